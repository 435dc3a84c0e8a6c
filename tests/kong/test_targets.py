"""`--for`: versions, ranges, editions and channels, in any combination."""

import pytest

from pumice.errors import UsageError
from pumice.kong.kong_version import NEWEST, Gateway
from pumice.kong.targets import CHANNELS, DEFAULT, parse_targets


def told(*words: str) -> list[str]:
    return [f"{gateway.version} {gateway.edition}" for gateway in parse_targets(words).gateways]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), ["3.9 oss"]),
        (("newest",), ["3.9 oss"]),
        (("kong",), ["3.9 oss"]),
        (("kong@newest",), ["3.9 oss"]),
        (("oss",), ["3.9 oss"]),
        (("operator",), ["3.9 oss"]),
        (("kong@2.8",), ["2.8 oss"]),
        (("kong@3.9.2",), ["3.9 oss"]),
        (("kong@3.4,kong@2.8",), ["2.8 oss", "3.4 oss"]),
        (("kong@3.4", "kong@3.4", "kong@3.5"), ["3.4 oss", "3.5 oss"]),
        (("kong@>=3.8",), ["3.8 oss", "3.9 oss"]),
        (("kong@~>3.4",), ["3.4 oss"]),
        (("kong@>=3.0,<3.2",), ["3.0 oss", "3.1 oss"]),
        (("kong@<3",), ["2.8 oss"]),
        (("enterprise",), ["3.15 enterprise"]),
        (("kong@3.12",), ["3.12 enterprise"]),
        (("kong@3.4,enterprise",), ["3.4 enterprise"]),
        (("enterprise,kong@3.4,oss",), ["3.4 oss", "3.4 enterprise"]),
        (("kong@>=3.14,enterprise",), ["3.14 enterprise", "3.15 enterprise"]),
        (("kong@>3.9",), [f"3.{minor} enterprise" for minor in range(10, 16)]),
        (
            ("kong@>=3.9,oss,enterprise",),
            ["3.9 oss", "3.9 enterprise", *(f"3.{minor} enterprise" for minor in range(10, 16))],
        ),
    ],
)
def test_versions_and_editions(words: tuple[str, ...], wanted: list[str]) -> None:
    assert told(*words) == wanted


def test_channels_keep_their_order() -> None:
    assert parse_targets(["streaming, operator", "rock"]).channels == ("streaming", "operator", "rock")
    assert len(CHANNELS) == 7


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("nonsense", "no target"),
        ("kong@9", "Kong 9 is not known"),
        ("kong@x", "Kong x is not known"),
        ("kong@", "'kong@' names no version"),
        ("kong@ ", "'kong@' names no version"),
        ("", "'' is no target"),
        ("helm,", "'' is no target"),
        ("helm,foo", "'foo' is no target"),
        ("kong@>>3", "range"),
        ("oss,kong@3.12", "open-source"),
        ("<3.4", "no target"),
        ("kong-3.9", "no target"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(word: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse_targets([word])
    assert "3.9" in caught.value.hint or "operator" in caught.value.hint


def test_the_default_is_the_newest_open_source_gateway() -> None:
    assert parse_targets([]) == DEFAULT
    assert DEFAULT.gateways == (NEWEST,)


def test_labels_name_as_little_as_they_can() -> None:
    targets = parse_targets(["kong@3.4,kong@3.9,oss,enterprise"])
    old, old_ee, new, new_ee = targets.gateways
    assert (old, new_ee) == (Gateway("3.4"), Gateway("3.9", "enterprise"))
    assert targets.labels([old, old_ee, new, new_ee]) == ()
    assert targets.labels([old, old_ee]) == ("kong@3.4",)
    assert targets.labels([old, new]) == ("oss",)
    assert targets.labels([old_ee, new_ee]) == ("enterprise",)
    assert targets.labels([new_ee]) == ("kong@3.9 enterprise",)
    assert targets.labels([old, old_ee, new]) == ("kong@3.4", "kong@3.9 oss")
    assert parse_targets(["kong@3.4,kong@3.9"]).labels([Gateway("3.4")]) == ("kong@3.4",)
