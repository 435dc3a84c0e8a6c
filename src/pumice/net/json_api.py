"""`JsonApi`: questions to an API that speaks JSON and knows us by a token.

The token goes to the API's own origin alone, and never in clear over a network; redirects are not followed,
and what is answered ends at a limit.
"""

from __future__ import annotations

import time

from pumice.base.value import Value
from pumice.errors import FetchError, UsageError
from pumice.net.address import parse_address, shown_url
from pumice.net.http import REDIRECTS, TRANSIENT, TransientError, exchange, give_back, pause_asked
from pumice.net.registry_auth import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pumice.net.connections import Connections

__all__ = ["Answer", "JsonApi"]

_LARGEST = 8 << 20
_LONGEST_PAUSE = 60.0
_LOCAL = ("127.0.0.1", "::1", "localhost")


class Answer(Value):
    """What was answered: any status but those that may pass."""

    status: int
    body: object
    """What the JSON says; None where there is none."""


class JsonApi:
    """One API below the URL `base`. Raises UsageError for a base to which a token must not go."""

    def __init__(
        self,
        base: str,
        token: str,
        connections: Connections,
        *,
        user_agent: str,
        tries: int = 4,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        address = parse_address(base.rstrip("/"))
        if address.scheme != "https" and address.host not in _LOCAL:
            raise UsageError(
                f"{shown_url(base)} is no https URL, and a token would be readable on the way",
                hint="Use the https URL of the API.",
            )
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise UsageError(
                "the token is not one: it has characters that no token has", hint="Check where it is set."
            )
        self.base = address.replace(credentials=None).url.rstrip("/")
        self._token = token
        self._connections = connections
        self._user_agent = user_agent
        self._tries = tries
        self._pause = pause

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """The answer to one request, asked again while that may help. Raises FetchError."""
        for left in range(self._tries - 1, -1, -1):
            try:
                return self._asked(method, f"{self.base}{path}", body)
            except TransientError as error:
                if not left:
                    raise FetchError(f"{self.base}: {error}", hint="Try again later.") from error
                failures = self._tries - left
                self._pause(max(min(0.25 * 2**failures, 10.0), min(error.pause, _LONGEST_PAUSE)))
        raise AssertionError("unreachable")

    def _asked(self, method: str, url: str, body: object) -> Answer:
        import json

        headers = {
            "User-Agent": self._user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {self._token}",
        }
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        response = exchange(parse_address(url), headers, self._connections, method=method, body=data)
        status = response.status
        if status in REDIRECTS:
            give_back(response)
            raise FetchError(
                f"{shown_url(url)} leads elsewhere ({status}), and a token is not taken there",
                hint="Give the URL that it leads to yourself, if you trust it.",
            )
        if status in TRANSIENT:
            pause = pause_asked(response)
            give_back(response)
            raise TransientError(f"it answers {status}", pause=pause)
        text = body_of(response, url, self._connections, _LARGEST)
        try:
            return Answer(status, json.loads(text) if text.strip() else None)
        except (ValueError, RecursionError):
            return Answer(status, None)
