"""Who we are to a registry: users of Docker's config file, and the tokens that are had for them.

A registry names its token service in the challenge of a 401. The service may be another host, but user and
password never go from an https registry to an http service, and a token goes to its own registry only.
"""

from __future__ import annotations

import time

from pumice.base.value import Value
from pumice.errors import ConfigError, FetchError
from pumice.net.address import parse_address, shown_url
from pumice.net.connections import basic
from pumice.net.http import Response, TransientError, exchange, give_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from urllib3 import BaseHTTPResponse

    from pumice.net.connections import Connections

__all__ = ["Login", "answer", "body_of", "find_login"]

_LARGEST_TOKEN = 1 << 16
_LARGEST_ANSWER = 1 << 20
_LONGEST = 120.0


class Login(Value):
    """A user of a registry: a password, or an identity token that stands for both."""

    user: str
    password: str
    identity: str | None = None

    def __repr__(self) -> str:
        return "Login(...)"


def find_login(config: Mapping[str, object], host: str, repository: str) -> Login | None:
    """The user for a repository in the content of Docker's config.json, the nearest entry first.

    Raises ConfigError for an entry that cannot be read.
    """
    entries = config.get("auths")
    if not isinstance(entries, dict):
        return None
    parts = [host, *repository.split("/")]
    keys = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    keys += [f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/"]
    keys += [f"http://{host}"]
    if host == "docker.io":
        keys += ["https://index.docker.io/v1/", "index.docker.io"]
    for key in keys:
        entry = entries.get(key)
        if isinstance(entry, dict) and entry:
            return _login(entry, host)
    return None


def _login(entry: Mapping[str, object], host: str) -> Login | None:
    from binascii import Error, a2b_base64

    user, password, identity = entry.get("username"), entry.get("password"), entry.get("identitytoken")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            user, _, password = a2b_base64(encoded, strict_mode=True).decode().partition(":")
        except (Error, ValueError) as error:
            raise ConfigError(
                f"The login for {host} in Docker's config.json cannot be read",
                hint=f"Run `docker login {host}` again.",
            ) from error
    if not isinstance(user, str) or not isinstance(password, str | None):
        return None
    return Login(user, (password or "").rstrip("\0"), identity if isinstance(identity, str) else None)


def answer(
    challenges: Sequence[str],
    scopes: Sequence[str],
    login: Login | None,
    connections: Connections,
    *,
    registry: str,
    user_agent: str,
) -> str:
    """The Authorization header for a registry (its URL) that has challenged us.

    Raises FetchError where we have nothing to say, TransientError where the token service did not answer.
    """
    found = {}
    for challenge in challenges:
        scheme, _, rest = challenge.strip().partition(" ")
        found[scheme.lower()] = rest
    if "bearer" in found:
        return "Bearer " + _token(
            _parameters(found["bearer"]), scopes, login, connections, registry, user_agent
        )
    if "basic" in found and login is not None and login.identity is None:
        return basic(f"{login.user}:{login.password}")
    raise FetchError(f"{registry} wants a user and password", hint=_log_in(registry))


def _token(
    parameters: Mapping[str, str],
    scopes: Sequence[str],
    login: Login | None,
    connections: Connections,
    registry: str,
    user_agent: str,
) -> str:
    from urllib.parse import urlencode, urlsplit

    realm = parse_address(parameters.get("realm", ""))
    if registry.startswith("https:") and realm.scheme != "https":
        raise FetchError(
            f"{registry} sends for a token to {shown_url(realm.url)}, which is not safe",
            hint="The registry is broken or not to be trusted: nothing was sent there.",
        )
    service = parameters.get("service", "")
    headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
    if login is not None and login.identity is not None:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": "pumice",
            "scope": " ".join(scopes),
            "refresh_token": login.identity,
        }
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = exchange(realm, headers, connections, method="POST", body=urlencode(form).encode())
    else:
        query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
        url = realm.url + ("&" if urlsplit(realm.url).query else "?") + query
        if login is not None:
            headers["Authorization"] = basic(f"{login.user}:{login.password}")
        response = exchange(parse_address(url), headers, connections)
    if response.status in (429, 500, 502, 503, 504):
        give_back(response)
        raise TransientError(f"{shown_url(realm.url)} answers {response.status}")
    if response.status != 200:
        give_back(response)
        raise FetchError(
            f"{shown_url(realm.url)} gives no token for {registry}: it answers {response.status}",
            hint=_log_in(registry),
        )
    return _token_in(body_of(response, realm.url, connections, _LARGEST_ANSWER), realm.url)


def body_of(response: BaseHTTPResponse, url: str, connections: Connections, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises FetchError for more, TransientError when it drips."""
    pieces = []
    size = 0
    until = time.monotonic() + _LONGEST
    answered = Response(url, response, connections.stall)
    try:
        for piece in answered.pieces():
            size += len(piece)
            if size > limit:
                raise FetchError(
                    f"{shown_url(url)} answers with more than {limit} bytes, which is no such document",
                    hint="The registry is broken or not to be trusted.",
                )
            if time.monotonic() > until:
                raise TransientError(f"{shown_url(url)} does not come to an end")
            pieces.append(piece)
    finally:
        answered.close()
    return b"".join(pieces)


def _token_in(data: bytes, url: str) -> str:
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if (
        not isinstance(token, str)
        or not 0 < len(token) <= _LARGEST_TOKEN
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise FetchError(
            f"{shown_url(url)} gives no token that can be used",
            hint="The registry's token service is broken or not to be trusted.",
        )
    return token


def _parameters(text: str) -> dict[str, str]:
    from urllib.request import parse_http_list

    pairs = (item.partition("=") for item in parse_http_list(text))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _log_in(registry: str) -> str:
    host = registry.partition("://")[2]
    return f"Log in with `docker login {host}` (or skopeo, podman), and check that the user may do this."
