"""URLs in parts, as shown, and the proxies that lead to them."""

from __future__ import annotations

import pytest

from pumice.errors import FetchError
from pumice.net.address import parse_address, proxy_for, shown_url


@pytest.mark.parametrize(
    ("url", "clean", "origin", "credentials"),
    [
        ("http://a/b", "http://a/b", ("http", "a", 80), None),
        ("HTTPS://A.Org", "https://a.org/", ("https", "a.org", 443), None),
        ("http://a:8080/b?c=d#e", "http://a:8080/b?c=d", ("http", "a", 8080), None),
        ("https://u:p%40@a/b", "https://a/b", ("https", "a", 443), "u:p@"),
        ("https://token@a/b", "https://a/b", ("https", "a", 443), "token:"),
        ("http://[::1]:81/b", "http://[::1]:81/b", ("http", "::1", 81), None),
        ("http://a/b c/é%20", "http://a/b%20c/%C3%A9%20", ("http", "a", 80), None),
    ],
)
def test_an_address_is_the_url_without_credentials(
    url: str, clean: str, origin: tuple[str, str, int], credentials: str | None
) -> None:
    address = parse_address(url)
    assert (address.url, address.origin, address.credentials) == (clean, origin, credentials)


@pytest.mark.parametrize("url", ["ftp://a", "a", "http://", "http://a:99999/", "http://a:x/", "http://[::1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(FetchError):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@a/b", "http://a/b"),
        ("http://u:p@x@a/b?token=1", "http://a/b?..."),
        ("http://a?token=1", "http://a?..."),
        ("http://a?to@ken/b", "http://a?..."),
        ("http://a/b@c#to@ken", "http://a/b@c"),
        ("http://a/\x1b[2J", "http://a/\\x1b[2J"),
        ("/plain/path", "/plain/path"),
    ],
)
def test_what_is_shown_has_no_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://a/", {}, None),
        ("http://a/", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("http://a/", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("http://a/", {"http_proxy": "http://low", "HTTP_PROXY": "http://up"}, "http://low"),
        ("http://a/", {"https_proxy": "http://p:1"}, None),
        ("https://a/", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://a/", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("http://a/", {"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, None),
        ("http://a.org/", {"http_proxy": "http://p", "no_proxy": "*"}, None),
        ("http://a.org/", {"http_proxy": "http://p", "no_proxy": "a.org"}, None),
        ("http://x.a.org/", {"http_proxy": "http://p", "NO_PROXY": "b.org,.a.org"}, None),
        ("http://x.a.org/", {"http_proxy": "http://p", "no_proxy": "*.a.org"}, None),
        ("http://xa.org/", {"http_proxy": "http://p", "no_proxy": "a.org"}, "http://p"),
        ("http://a.org:81/", {"http_proxy": "http://p", "no_proxy": "a.org:81"}, None),
        ("http://a.org:82/", {"http_proxy": "http://p", "no_proxy": "a.org:81"}, "http://p"),
        ("http://[::1]/", {"http_proxy": "http://p", "no_proxy": "::1"}, None),
        ("http://a/", {"http_proxy": "http://p", "no_proxy": ""}, "http://p"),
    ],
)
def test_the_proxy_is_what_the_environment_says(
    url: str, environment: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(parse_address(url), environment) == proxy
