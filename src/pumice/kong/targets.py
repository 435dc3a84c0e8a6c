"""`Targets`: for what a package is checked: versions and editions of Kong, and the channels it ships through.

pumice check --for kong@3.4,kong@3.9 --for "kong@>=3.4" --for enterprise,operator
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import UsageError
from pumice.kong.kong_version import EDITIONS, ENTERPRISE_VERSIONS, NEWEST, Gateway
from pumice.kong.provided import KONG_VERSIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["CHANNELS", "DEFAULT", "Channel", "Targets", "parse_targets"]


class Channel(Value):
    """A way onto the nodes (Kong contract 4.11): what names the plugin there, and what an update asks for."""

    name: str
    name_from: str
    restart: str


CHANNELS = {
    channel.name: channel
    for channel in (
        Channel("rock", "the directory", "prepare and reload every node"),
        Channel("tar", "the directory", "prepare and reload every node"),
        Channel("image", "the directory", "new containers"),
        Channel("helm", "pluginName in the values", "roll the pods"),
        Channel(
            "operator", "metadata.name of the KongPluginInstallation", "none: the operator rolls the pods"
        ),
        Channel("konnect-hybrid", "name in schema.lua", "none on the control plane"),
        Channel("streaming", "name in schema.lua", "none"),
    )
}


class Targets(Value):
    """What was asked for. Every gateway is checked; channels add their own rules."""

    gateways: tuple[Gateway, ...] = (NEWEST,)
    channels: tuple[str, ...] = ()
    versions_named: bool = False
    """Whether a version was named: a channel may ask for a later one."""
    oss_named: bool = False

    def labels(self, holds: Collection[Gateway]) -> tuple[str, ...]:
        """The names of these gateways among all that were asked for; nothing when it is all of them."""
        if len(holds) == len(self.gateways):
            return ()
        editions = tuple(dict.fromkeys(gateway.edition for gateway in self.gateways))
        of_edition = [
            edition
            for edition in editions
            if all(gateway in holds for gateway in self.gateways if gateway.edition == edition)
        ]
        if len(holds) == sum(gateway.edition in of_edition for gateway in self.gateways):
            return tuple(of_edition)
        told = []
        for version in dict.fromkeys(gateway.version for gateway in self.gateways):
            there = [gateway for gateway in self.gateways if gateway.version == version]
            held = [gateway for gateway in there if gateway in holds]
            if held and len(held) == len(there):
                told.append(held[0].label)
            else:
                told += [f"{gateway.label} {gateway.edition}" for gateway in held]
        return tuple(told)


DEFAULT = Targets()


def parse_targets(words: Iterable[str]) -> Targets:
    """The targets that `--for` names. Raises UsageError for one that is not known, with what is.

    A range stands for every known version in it; without a version the newest open-source one is meant (that
    of Enterprise, where Enterprise alone is named), without an edition `oss`, and `enterprise` for the
    versions that only it has.
    """
    ranges: list[str] = []
    editions: dict[str, None] = {}
    channels: dict[str, None] = {}
    for word in _words(words):
        if word in CHANNELS:
            channels[word] = None
        elif word in EDITIONS:
            editions[word] = None
        elif word in ("newest", "kong") or word.startswith("kong@"):
            ranges.append(word.removeprefix("kong@") if word.startswith("kong@") else "newest")
        else:
            known = ", ".join(("newest", *EDITIONS, *CHANNELS))
            raise UsageError(f"'{word}' is no target", hint=f"Targets are kong@VERSION, kong@>=3.4, {known}.")
    pool = ENTERPRISE_VERSIONS if "enterprise" in editions else KONG_VERSIONS
    only = pool if set(editions) == {"enterprise"} else KONG_VERSIONS
    versions = {version for text in ranges or ["newest"] for version in _versions(text, pool, only[-1])}
    return Targets(
        tuple(
            Gateway(version, edition)
            for version in sorted(versions, key=ENTERPRISE_VERSIONS.index)
            for edition in _editions_of(version, tuple(editions))
        ),
        tuple(channels),
        bool(ranges),
        "oss" in editions,
    )


def _words(texts: Iterable[str]) -> list[str]:
    """The words between commas; `<3.9` goes on with the range before it."""
    found: list[str] = []
    for word in (part.strip() for text in texts for part in text.split(",")):
        if word[:1] in ("<", ">", "=", "~", "!") and found and found[-1].startswith("kong@"):
            found[-1] += f", {word}"
        else:
            found.append(word)
    return found


def _editions_of(version: str, named: Sequence[str]) -> tuple[str, ...]:
    if version in KONG_VERSIONS:
        return tuple(edition for edition in EDITIONS if edition in named) or ("oss",)
    if named == ("oss",):
        raise UsageError(f"there is no open-source Kong {version}", hint=_KNOWN)
    return ("enterprise",)


def _versions(text: str, pool: Sequence[str], newest: str) -> list[str]:
    """The versions that a version, a range of `pool`, or `newest` stands for."""
    if not text.strip():
        raise UsageError("'kong@' names no version", hint=_KNOWN)
    if text in ("newest", "latest"):
        return [newest]
    minor = ".".join(text.split(".")[:2])
    if minor in ENTERPRISE_VERSIONS and all(part.isdigit() for part in text.split(".")):
        return [minor]
    from pumice.errors import DataError
    from pumice.rock.constraint import matches, parse_constraints
    from pumice.rock.version import parse_version

    try:
        constraints = parse_constraints(text)
    except DataError as error:
        raise UsageError(f"'kong@{text}' is no range of versions: {error.message}", hint=_KNOWN) from None
    found = [version for version in pool if matches(parse_version(version), constraints)]
    if not found:
        # a range of versions that only Enterprise has
        found = [version for version in ENTERPRISE_VERSIONS if matches(parse_version(version), constraints)]
    if not found:
        raise UsageError(f"Kong {text} is not known", hint=_KNOWN)
    return found


_KNOWN = f"Known are {', '.join(KONG_VERSIONS)}, and of Enterprise {', '.join(ENTERPRISE_VERSIONS[-6:])}."
