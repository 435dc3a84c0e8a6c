"""What a plugin's rock brings: its source reference, dependencies and contents (Kong contract 3, 8)."""

from __future__ import annotations

import os
import re

from pumice.kong.finding import Finding, finding
from pumice.kong.handler_rules import line_of
from pumice.kong.kong_version import NEWEST
from pumice.kong.plugin import PREFIX
from pumice.kong.provided import KONG_VERSIONS, provided_by_kong
from pumice.rock.constraint import matches
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.package import Package
    from pumice.rock.rockspec import Rockspec

__all__ = ["content_findings", "dependency_findings", "size_findings", "source_findings"]

_GIT = ("git://", "git+", "gitrec://")
_PRIVATE = ("git+ssh://", "ssh://", "file://", "git+file://")
_IN_DEVELOPMENT = ("scm", "dev", "cvs")
_TAG = re.compile(r"v?(\d+(?:\.\d+)+)(?:-\d+)?")
_SECRETS = (
    (re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"), "a private key"),
    (re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an access key of AWS"),
    (re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"), "a token of GitHub"),
    (re.compile(rb"\b[ks]pat_[A-Za-z0-9]{30,100}\b"), "a token of Konnect"),
    (re.compile(rb"\bxox[abprs]-[0-9A-Za-z-]{20,100}\b"), "a token of Slack"),
)
_SECRET_NAMES = (".env", "id_rsa", "id_ed25519", ".netrc", ".npmrc")
_OPERATOR_LIMIT = 1 << 20
"""What a ConfigMap and the operator's layer may hold (contract 4.5, 4.6)."""


def source_findings(package: Package) -> Iterator[Finding]:
    """Sources that nobody can fetch, that only the author can, or that are another thing tomorrow."""
    rockspec = package.rockspec
    if rockspec is None or package.kind != "directory":
        return
    source, url = rockspec.globals.get("source"), ""
    if isinstance(source, dict) and isinstance(source.get("url"), str):
        url = source["url"]
    released = rockspec.version.rpartition("-")[0]
    if not url or not isinstance(source, dict):
        return
    file, line = os.path.basename(rockspec.file_name), line_of(rockspec.text, "url")
    tag, branch = source.get("tag"), source.get("branch")
    if url.startswith("git://"):
        who = (
            "GitHub closed that protocol in 2022" if "github.com" in url else "it is neither safe nor common"
        )
        yield finding(
            "source-dead",
            f"the source is fetched by git://, and {who}: `luarocks install` from the rockspec fails",
            file=file,
            line=line,
            hint=f"write git+https{url[3:]}",
        )
    elif url.startswith(_PRIVATE) or "://" not in url:
        yield finding(
            "source-private",
            f"the source, {url}, can be fetched with the author's keys or on this machine only",
            file=file,
            line=line,
            hint="ship the rock itself, or name an https address",
        )
    if url.startswith(_GIT) and not released.startswith(_IN_DEVELOPMENT):
        if not tag and not (isinstance(branch, str) and released in branch):
            what = f"the branch {branch}" if branch else "no tag"
            yield finding(
                "source-mutable",
                f"the source names {what}: what is fetched for {released} changes with every commit",
                file=file,
                line=line_of(rockspec.text, "branch") if branch else line,
                hint=f'tag the release, and write tag = "{released}"',
            )
        shape = _TAG.fullmatch(tag) if isinstance(tag, str) else None
        if shape is not None and shape[1] != released:
            yield finding(
                "source-drift",
                f"the source has the tag {tag}, the rockspec the version {released}",
                file=file,
                line=line_of(rockspec.text, "tag"),
                hint="make them equal; `pumice bump` raises both together",
            )


def dependency_findings(package: Package, gateway: Gateway = NEWEST) -> Iterator[Finding]:
    """Dependencies that no gateway can meet, or that replace a library which `gateway` itself uses."""
    rockspec = package.rockspec
    if rockspec is None:
        return
    # what the later ones of Enterprise bring is not published
    provided = provided_by_kong(gateway.version) if gateway.version in KONG_VERSIONS else {}
    for dependency in rockspec.dependencies:
        has = "5.1" if dependency.name == "lua" else provided.get(dependency.name)
        if has is None or matches(parse_version(has), dependency.constraints):
            continue
        file, line = os.path.basename(rockspec.file_name), _line(rockspec, dependency.text)
        if dependency.name == "lua":
            yield finding(
                "lua-excluded",
                f"'{dependency.text}' excludes Lua 5.1, which a gateway's LuaJIT is: the rock cannot be "
                "installed for Kong",
                file=file,
                line=line,
                hint='write "lua >= 5.1"',
            )
        else:
            yield finding(
                "dependency-collides",
                f"'{dependency.text}' is not what Kong brings ({has}): installing it replaces a library that "
                "Kong itself uses",
                file=file,
                line=line,
                hint=f"allow {has}, or take the dependency out",
            )


def content_findings(package: Package) -> Iterator[Finding]:
    """Modules that shadow Kong's, and secrets."""
    rockspec = package.rockspec
    spec = os.path.basename(rockspec.file_name) if rockspec is not None else None
    for module in sorted({*package.modules, *package.c_modules}):
        if (module == "kong" or module.startswith("kong.")) and not module.startswith(PREFIX):
            yield finding(
                "module-shadows",
                f"{module} lies where Kong's own modules do: on a node's path it comes first",
                file=package.modules.get(module, spec),
                hint=f"move it below {PREFIX}NAME, or out of kong",
            )
    for path in sorted(package.shipped):
        yield from _secret_findings(package, path)


def size_findings(package: Package) -> Iterator[Finding]:
    """More Lua than every channel takes."""
    rockspec = package.rockspec
    size = sum(len(package.source(path) or b"") for path in set(package.modules.values()))
    if size > _OPERATOR_LIMIT:
        yield finding(
            "size-channel",
            f"the plugin's Lua is {size / (1 << 20):.1f} MiB: ConfigMaps and the operator take less than 1",
            file=os.path.basename(rockspec.file_name) if rockspec is not None else None,
            hint="ship it as a rock or an image, or make it smaller",
        )


def _secret_findings(package: Package, path: str) -> Iterator[Finding]:
    content = package.source(path) or b""
    found = next(((match, what) for pattern, what in _SECRETS if (match := pattern.search(content))), None)
    if found is not None or os.path.basename(path) in _SECRET_NAMES:
        yield finding(
            "secret-shipped",
            f"{path} holds {found[1]}" if found else f"{path} is a file in which secrets are kept",
            file=path,
            line=content.count(b"\n", 0, found[0].start()) + 1 if found else None,
            hint="take it out and make it invalid: whoever gets the rock has it, and so has its history",
        )


def _line(rockspec: Rockspec, text: str) -> int | None:
    place = rockspec.text.find(text.encode("utf-8", "surrogateescape"))
    return rockspec.text.count(b"\n", 0, place) + 1 if place >= 0 else None
