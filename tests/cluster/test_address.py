"""Addresses are read back as they are written, and nothing in one can be taken for an option."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.address import Address, parse_address
from pumice.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://kong@10.0.0.11:22", Address("ssh", "10.0.0.11", user="kong", port=22)),
        ("ssh://edge-1", Address("ssh", "edge-1")),
        ("ssh://edge-1/", Address("ssh", "edge-1")),
        ("ssh://[::1]:2222", Address("ssh", "::1", port=2222)),
        ("ssh://a@corp@host", Address("ssh", "host", user="a@corp")),
        ("local:", Address("local")),
        ("docker://kong-1", Address("docker", "kong-1")),
        ("podman://kong@box", Address("podman", "box", user="kong")),
        ("kubectl://kong/gw-0", Address("kubectl", "gw-0", namespace="kong")),
        (
            "kubectl://prod@kong/gw-0/proxy",
            Address("kubectl", "gw-0", namespace="kong", context="prod", container="proxy"),
        ),
    ],
)
def test_an_address_is_understood(text, address):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1",
        "http://host",
        "ssh://",
        "ssh://-oProxyCommand=id",
        "ssh://-l@host",
        "ssh://host:0",
        "ssh://host:99999",
        "ssh://host:22x",
        "ssh://host/path",
        "ssh://ho st",
        "ssh://ho\nst",
        "ssh://$(id)",
        "ssh://::1",
        "ssh://[::1",
        "local:/tmp",
        "local://x",
        "docker://--privileged",
        "docker://a/b",
        "kubectl://pod",
        "kubectl://a/b/c/d",
        "kubectl://--all@a/b",
        "kubectl:///pod",
    ],
)
def test_what_is_no_address_is_refused_with_the_ways_to_write_one(text):
    with pytest.raises(ConfigError) as caught:
        parse_address(text)
    assert "kubectl://namespace/pod" in caught.value.hint


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        parse_address("ssh://kong:hunter2@host")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@given(st.text(max_size=30))
def test_no_part_of_an_address_begins_with_a_dash_or_holds_a_blank(text):
    for scheme in ("ssh", "docker", "kubectl"):
        try:
            address = parse_address(f"{scheme}://{text}")
        except ConfigError:
            continue
        for part in (address.host, address.user, address.namespace, address.context, address.container):
            if part:
                assert not part.startswith("-")
                assert not any(letter.isspace() or ord(letter) < 32 for letter in part)
        assert parse_address(str(address)) == address
