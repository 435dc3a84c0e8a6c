"""Where a node is and how it is reached: the addresses of cluster.toml.

ssh://[USER@]HOST[:PORT]                       HOST may be a name of the user's ssh configuration
local:                                         this machine
docker://[USER@]CONTAINER, podman://…          a running container
kubectl://[CONTEXT@]NAMESPACE/POD[/CONTAINER]  a pod; without CONTEXT the current one
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import ConfigError

__all__ = ["SCHEMES", "Address", "parse_address"]

SCHEMES = ("ssh", "local", "docker", "podman", "kubectl")

_HINT = (
    "An address is one of ssh://user@host:22, local:, docker://container, podman://container, "
    "kubectl://namespace/pod."
)
# No word of an address may begin with a dash (a program would take it for an option) or hold a blank.
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\+-]*\$?")
_HOST = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.%:-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONTEXT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@:/+-]*")


class Address(Value):
    """An address that was understood; `str` gives it back in its usual spelling."""

    scheme: str
    """One of `SCHEMES`."""
    host: str = ""
    """A host or an alias of the ssh configuration, a container, a pod; empty for `local:`."""
    user: str | None = None
    port: int | None = None
    """Of ssh; None leaves it to the ssh configuration."""
    namespace: str | None = None
    context: str | None = None
    container: str | None = None
    """Of the pod; None is its default container."""

    def __str__(self) -> str:
        if self.scheme == "local":
            return "local:"
        if self.scheme == "kubectl":
            context = f"{self.context}@" if self.context else ""
            container = f"/{self.container}" if self.container else ""
            return f"kubectl://{context}{self.namespace}/{self.host}{container}"
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}"


def parse_address(text: str) -> Address:
    """The address that a text names.

    Raises ConfigError for another scheme, for a part that is missing or too much, and for a name that
    could be taken for an option of the program that reaches it.
    """
    if text in {"local:", "local://", "local"}:
        return Address("local")
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in SCHEMES or not rest:
        raise _refused(text, "it has no scheme that Pumice knows" if not mark or rest else "it names no node")
    if scheme == "ssh":
        return _ssh(text, rest)
    if scheme == "kubectl":
        return _kubectl(text, rest)
    if scheme == "local":
        raise _refused(text, "`local:` takes no name")
    user, at, name = rest.rpartition("@")
    _check(text, "container", _NAME, name)
    if at:
        _check(text, "user", _USER, user)
    return Address(scheme, name, user=user or None)


def _ssh(text: str, rest: str) -> Address:
    rest = rest.removesuffix("/")
    user, at, place = rest.rpartition("@")
    if at:
        if ":" in user:
            raise _refused(f"ssh://…@{place}", "a password does not belong here; use a key or an agent")
        _check(text, "user", _USER, user)
    if place.startswith("["):
        host, bracket, after = place[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise _refused(text, "the bracket of an IPv6 address is not closed")
        port = after[1:] if after else None
    elif place.count(":") > 1:
        raise _refused(text, "an IPv6 address stands in brackets: ssh://[::1]:22")
    else:
        host, colon, after = place.partition(":")
        port = after if colon else None
    _check(text, "host", _HOST, host)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _refused(text, f"{port!r} is no port")
    return Address("ssh", host, user=user or None, port=int(port) if port else None)


def _kubectl(text: str, rest: str) -> Address:
    context, at, place = rest.rpartition("@")
    if at:
        _check(text, "context", _CONTEXT, context)
    parts = place.split("/")
    if len(parts) not in {2, 3}:
        raise _refused(text, "it takes a namespace and a pod")
    for what, part in zip(("namespace", "pod", "container"), parts, strict=False):
        _check(text, what, _NAME, part)
    container = parts[2] if len(parts) == 3 else None
    return Address("kubectl", parts[1], namespace=parts[0], context=context or None, container=container)


def _check(text: str, what: str, pattern: re.Pattern[str], part: str) -> None:
    if not pattern.fullmatch(part):
        raise _refused(text, f"{part!r} is no name of a {what}" if part else f"the {what} is missing")


def _refused(text: str, reason: str) -> ConfigError:
    return ConfigError(f"{text!r} is no address of a node: {reason}.", hint=_HINT)
