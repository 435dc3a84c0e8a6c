"""`Plugin`: which Kong plugins some modules make up, and what they may be called (Kong contract 1.1, 1.2)."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["BUNDLED", "PHASES", "PREFIX", "Plugin", "find_plugins", "name_problem"]

PREFIX = "kong.plugins."

PHASES = (
    "init_worker",
    "configure",
    "certificate",
    "rewrite",
    "access",
    "preread",
    "response",
    "header_filter",
    "body_filter",
    "log",
    "ws_handshake",
    "ws_client_frame",
    "ws_upstream_frame",
    "ws_close",
)
"""The functions of a handler that Kong calls, in the order of a request."""

BUNDLED = frozenset(
    (
        "acl",
        "acme",
        "ai-prompt-decorator",
        "ai-prompt-guard",
        "ai-prompt-template",
        "ai-proxy",
        "ai-request-transformer",
        "ai-response-transformer",
        "aws-lambda",
        "azure-functions",
        "basic-auth",
        "bot-detection",
        "correlation-id",
        "cors",
        "datadog",
        "file-log",
        "grpc-gateway",
        "grpc-web",
        "hmac-auth",
        "http-log",
        "ip-restriction",
        "jwt",
        "key-auth",
        "ldap-auth",
        "loggly",
        "oauth2",
        "opentelemetry",
        "post-function",
        "pre-function",
        "prometheus",
        "proxy-cache",
        "rate-limiting",
        "redirect",
        "request-size-limiting",
        "request-termination",
        "request-transformer",
        "response-ratelimiting",
        "response-transformer",
        "session",
        "standard-webhooks",
        "statsd",
        "syslog",
        "tcp-log",
        "udp-log",
        "zipkin",
    )
)
"""The plugins that the open-source gateway 3.9 brings."""

_LONGEST = 51
"""The chart's volume is `kong-plugin-NAME`, a DNS label of at most 63 characters."""


class Plugin(Value):
    """One plugin by its name: what stands in `plugins=` of kong.conf."""

    name: str
    modules: tuple[str, ...]
    """Every module `kong.plugins.NAME.…`, sorted."""

    @property
    def handler(self) -> str:
        """The name of the module that Kong loads first."""
        return f"{PREFIX}{self.name}.handler"

    @property
    def schema(self) -> str:
        """The name of the module that Kong loads after it."""
        return f"{PREFIX}{self.name}.schema"


def find_plugins(modules: Iterable[str]) -> tuple[Plugin, ...]:
    """The plugins among these modules, by name.

    A plugin is what has a `handler` or `schema` right below it; a dot in its name is a directory level.
    Modules below `kong.plugins.NAME` without either make a plugin NAME that lacks both.
    """
    below = sorted(module[len(PREFIX) :] for module in set(modules) if module.startswith(PREFIX))
    names: set[str] = set()
    for tail in sorted(below, key=lambda tail: tail.count(".")):
        name, _, last = tail.rpartition(".")
        if last in ("handler", "schema") and name and not _covered(name, names):
            names.add(name)
    for tail in below:
        if not _covered(tail, names):
            names.add(tail.split(".", 1)[0])
    return tuple(
        Plugin(name, tuple(PREFIX + tail for tail in below if tail == name or tail.startswith(name + ".")))
        for name in sorted(names)
    )


def _covered(name: str, names: set[str]) -> bool:
    """Whether `name` is one of `names`, or lies below one."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def name_problem(name: str, bundled: Collection[str] = BUNDLED) -> tuple[str, str] | None:
    """Why `name` would not do on every channel that a plugin can take, and what to do; None when it is fine.

    Kong itself takes any name that makes a path; Kubernetes and Konnect do not (contract 1.2). `bundled` are
    the plugins that the gateway brings.
    """
    if not name:
        return "a plugin needs a name", "give one such as 'acme-audit'"
    if name.startswith(("kong-plugin-", PREFIX)):
        short = name.removeprefix(PREFIX).removeprefix("kong-plugin-") or "my-plugin"
        return f"'{name}' is the name of the rock or module, not of the plugin", f"name the plugin '{short}'"
    suggestion = "".join(c if c in _ALLOWED else "-" for c in name.lower().replace("_", "-")).strip(
        "-0123456789"
    )
    if set(name) - _ALLOWED or not name[0].isalpha() or name.endswith("-"):
        return (
            f"'{name}' is no name for every channel: only lower-case letters, digits and '-' between them",
            f"name it '{suggestion or 'my-plugin'}': Kubernetes, Konnect and the operator want that",
        )
    if len(name) > _LONGEST:
        return (
            f"'{name}' is too long: {len(name)} characters, where Kubernetes leaves {_LONGEST}",
            "choose a shorter name",
        )
    if name in bundled:
        return (
            f"'{name}' is a plugin that Kong brings: a node's search path decides which one it loads",
            f"put your organisation before it, as in 'acme-{name}'",
        )
    return None


_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
