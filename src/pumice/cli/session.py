"""`Session`: what a command module gets besides its arguments."""

from __future__ import annotations

from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import Config, TreeSpec
    from pumice.cli.arguments import Arguments
    from pumice.cli.terminal import Terminal
    from pumice.operation.settings import Flags

__all__ = ["Session"]


class Session:
    """One run of the program: its environment, its terminal, and the configuration when first asked for."""

    def __init__(
        self,
        arguments: Arguments,
        terminal: Terminal,
        environment: Mapping[str, str],
        cwd: str,
        program: str,
    ) -> None:
        self.arguments = arguments
        self.terminal = terminal
        self.environment = environment
        self.cwd = cwd
        self.program = program
        self._config: Config | None = None

    @property
    def config(self) -> Config:
        """The settings of this command; read once. Raises ConfigError and UsageError."""
        if self._config is None:
            from pumice.operation.settings import load_config

            def warn(text: str) -> None:
                self.terminal.message("warning", text)

            config = load_config(self._flags(), self.environment, self.cwd, warn=warn)
            gateway = self.arguments.text("for")
            if gateway is not None:
                config = config.replace(rocks_provided={**_brought_by(gateway), **config.rocks_provided})
            self._config = config
        return self._config

    @property
    def tree_chosen(self) -> bool:
        """Whether one tree was asked for, so that questions go to it alone."""
        given = self.arguments
        return bool(
            given.text("tree") or given.flag("local") or given.flag("global") or self.config.local_by_default
        )

    @property
    def trees(self) -> tuple[TreeSpec, ...]:
        """The trees that a question goes to."""
        return (self.config.tree,) if self.tree_chosen else self.config.trees

    @property
    def namespace(self) -> str | None:
        """The value of --namespace, lower-case as LuaRocks keeps it."""
        namespace = self.arguments.text("namespace")
        return namespace.lower() if namespace else None

    @property
    def offline(self) -> bool:
        """Whether no server may be asked (--offline)."""
        return self.arguments.flag("offline")

    def named_rock(self, word: str) -> tuple[str, str | None]:
        """A rock argument `name` or `namespace/name`, lower-case (contract 1.1)."""
        namespace, slash, name = word.partition("/")
        if slash and namespace and name and "/" not in name:
            return name.lower(), namespace.lower()
        return word.lower(), self.namespace

    def _flags(self) -> Flags:
        from pumice.operation.settings import Flags

        given = self.arguments
        deps_mode = "none" if given.flag("nodeps") else given.text("deps_mode")
        return Flags(
            dev=given.flag("dev"),
            server=given.text("server"),
            only_server=given.text("only_server"),
            only_sources=given.text("only_sources"),
            namespace=given.text("namespace"),
            lua_dir=given.text("lua_dir"),
            lua_version=given.text("lua_version"),
            tree=given.text("tree"),
            local=given.flag("local"),
            global_=given.flag("global"),
            no_project=given.flag("no_project"),
            project_tree=given.text("project_tree"),
            force_lock=given.flag("force_lock"),
            lock_timeout=_seconds(given.text("lock_timeout"), "--lock-timeout"),
            verbose=given.flag("verbose"),
            timeout=_seconds(given.text("timeout"), "--timeout"),
            deps_mode=deps_mode,
            assignments=given.assignments,
        )


def _seconds(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise UsageError(f"malformed argument '{text}'", hint=f"{option} takes a number of seconds.")
    return seconds


def _brought_by(gateway: str) -> dict[str, str]:
    """The rocks of `kong@3.9`. Raises UsageError for another gateway or version."""
    from pumice.kong.provided import provided_by_kong

    name, _, version = gateway.partition("@")
    if name != "kong":
        raise UsageError(
            f"malformed argument '{gateway}'", hint="--for takes kong@VERSION, such as kong@3.9."
        )
    return provided_by_kong(version)
