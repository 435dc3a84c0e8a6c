"""What the validators of Kong's typedefs say of a text, by the typedef's name (Kong contract 2.7).

In the stand-in these are functions that do nothing; `Opaque.name` says which typedef one belongs to.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TYPEDEFS"]

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


def _is_ip(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _split_port(text: str) -> tuple[str, str | None]:
    """A host and its port, if it has one; an IPv6 address has one only behind brackets."""
    bracketed = re.fullmatch(r"(\[[^\]]*\])(?::(.*))?", text, re.DOTALL)
    if bracketed is not None:
        return bracketed[1], bracketed[2]
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _host(text: str) -> str | None:
    host, port = _split_port(text)
    if not _is_ip(host) and not _HOST.fullmatch(host):
        return f"invalid value: {text}"
    return None if port is None else "must not have a port"


def _host_with_port(text: str) -> str | None:
    host, port = _split_port(text)
    if not _is_ip(host) and not _HOST.fullmatch(host):
        return f"invalid value: {text}"
    if port is not None and not (port.isascii() and port.isdigit() and int(port) <= 65535):
        return "invalid port number"
    return None


def _wildcard_host(text: str) -> str | None:
    if text.count("*") > 1:
        return "only one wildcard must be specified"
    if text.count("*") == 1:
        if not (text.startswith("*.") or text.endswith(".*") or text == "*"):
            return "wildcard must be leftmost or rightmost character"
        text = text.replace("*", "wildcard", 1)
    return _host(text)


def _sni(text: str) -> str | None:
    host, port = _split_port(text)
    if _is_ip(host):
        return "must not be an IP"
    if not _HOST.fullmatch(host):
        return f"invalid value: {text}"
    return None if port is None else "must not have a port"


def _ip(text: str) -> str | None:
    return None if _is_ip(text) else f"not an ip address: {text}"


def _cidr(text: str) -> str | None:
    import ipaddress

    try:
        ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return f"invalid cidr range: Invalid IP {text}"
    return None


def _ip_or_cidr(text: str) -> str | None:
    import ipaddress

    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"invalid ip or cidr range: '{text}'"
    return None


def _path(text: str) -> str | None:
    if not re.fullmatch(r"/[A-Za-z0-9.\-_~/%:@!$&'()*+,;=]*", text):
        return f"invalid path: '{text}' (characters outside of the reserved list of RFC 3986 found)"
    return _encoded(text)


def _encoded(text: str) -> str | None:
    bad = re.search(r"%(?![0-9A-Fa-f]{2}).{0,2}", text)
    return None if bad is None else f"invalid url-encoded value: '{bad[0]}'"


def _router_path(text: str) -> str | None:
    if not text.startswith(("/", "~/")):
        return "should start with: / (fixed path) or ~/ (regex path)"
    if text.startswith("~"):
        return None
    if "//" in text:
        return "must not have empty segments"
    return _path(text)


def _name(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9.\-_~]+", text):
        return None
    return f"invalid value '{text}': it must only contain alphanumeric and '., -, _, ~' characters"


def _utf8_name(text: str) -> str | None:
    if all(not char.isascii() or char.isalnum() or char in ".-_~" for char in text):
        return None
    return f"invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"


def _header_name(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_-]+", text):
        return None
    return f"bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"


def _cookie_name(text: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+", text):
        return None
    return f"bad cookie name '{text}', allowed characters are A-Z, a-z, 0-9, and those of an RFC 2616 token"


def _tag(text: str) -> str | None:
    if re.search(r"[\x00-\x1f\x7f,/]", text):
        return f"invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    return None


def _semantic_version(text: str) -> str | None:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)*(-.*)?", text, re.DOTALL):
        return None
    return f"invalid version number: {text}"


def _url(text: str) -> str | None:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", text)
    rest = text[scheme.end() :] if scheme is not None else text
    if not re.match(r"//[^/?#]", rest):
        return "missing host in url"
    return "missing scheme in url" if scheme is None else None


def _pem(kind: str, complaint: str) -> Callable[[str], str | None]:
    def judge(text: str) -> str | None:
        return None if re.search(rf"-----BEGIN [A-Z0-9 ]*{kind}-----", text) else f"invalid {complaint}"

    return judge


def _lua_code(text: str) -> str | None:
    from pumice.lua.compile import compile_check

    problem = compile_check(text.encode("utf-8", "surrogateescape"), "luajit", "=value")
    return None if problem is None else f"error parsing function: {problem.message}"


TYPEDEFS: dict[str, Callable[[str], str | None]] = {
    "certificate": _pem("CERTIFICATE", "certificate"),
    "cidr": _cidr,
    "cookie_name": _cookie_name,
    "header_name": _header_name,
    "host": _host,
    "host_with_optional_port": _host_with_port,
    "ip": _ip,
    "ip_or_cidr": _ip_or_cidr,
    "key": _pem("PRIVATE KEY", "key"),
    "lua_code": _lua_code,
    "name": _name,
    "path": _path,
    "router_path": _router_path,
    "semantic_version": _semantic_version,
    "sni": _sni,
    "tag": _tag,
    "url": _url,
    "utf8_name": _utf8_name,
    "wildcard_host": _wildcard_host,
}
"""By name: what is wrong with a text, or None."""
