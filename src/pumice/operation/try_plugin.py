"""`Trial`: a plugin in a throw-away gateway on this machine, reloaded when its sources change.

The plugin is checked, built and installed with what it needs into a private tree, and enabled on an echo.
What is broken later does not end the trial: the gateway goes on with the code that it has, and the trial says
why.
"""

from __future__ import annotations

import os
import re
import time

from pumice.base.config import TreeSpec
from pumice.base.progress import Silent
from pumice.base.value import Value
from pumice.errors import CheckError, DataError, NotFoundError, PumiceError, UsageError
from pumice.kong.explain import explain
from pumice.kong.gateway import verify_plugins
from pumice.kong.package import module_of_path
from pumice.kong.provided import KONG_VERSIONS, provided_by_kong
from pumice.kong.schema_values import validate_configuration
from pumice.kong.trace import Asked, Trace
from pumice.operation.check import check_path
from pumice.operation.deploy import InstallOptions
from pumice.operation.rockspec_choice import source_directory
from pumice.operation.schema import schemas_at
from pumice.operation.try_gateway import LocalGateway, find_gateway
from pumice.operation.work_dir import WorkDir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.kong.explain import Explanation
    from pumice.kong.finding import Finding
    from pumice.kong.gateway import PluginReport
    from pumice.kong.trace import Answered, Passed
    from pumice.operation.try_gateway import Kind

__all__ = ["Logged", "Refused", "Reloaded", "Trial"]

_LUA = "5.1"
"""Kong runs OpenResty's LuaJIT."""
_LOOK = 0.1
"""Seconds between two looks at the sources and at what the gateway wrote."""
_LEFT_OUT = frozenset(("lua_modules", "node_modules", "__pycache__"))
_BUILT = (".o", ".so", ".rock", "~", ".swp")
_LOGGED = re.compile(r"\[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)")
_REQUEST = re.compile(r", (?:client|context): .*$")
_SERIOUS = frozenset(("error", "crit", "alert", "emerg"))


class Logged(Value):
    """A line that the plugin wrote, or an error, in the gateway's log."""

    level: str
    text: str


class Reloaded(Value):
    """The gateway runs what the sources are now."""

    plugins: tuple[PluginReport, ...]
    findings: tuple[Finding, ...]
    """Of the check: warnings at most."""
    seconds: float


class Refused(Value):
    """The sources are broken; the gateway goes on with what it had."""

    message: str
    findings: tuple[Finding, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    hint: str = ""


class Trial:
    """A context manager; inside, the gateway runs. Entering raises PumiceError, and leaves nothing behind.

    `configuration` is a JSON object or a file with one: the plugin's settings, or a whole plugin entity; with
    several plugins, an object of those by name. `port` is the gateway's (None: any).
    """

    def __init__(
        self,
        path: str,
        config: Config,
        progress: Progress,
        *,
        configuration: str | None = None,
        port: int | None = None,
        check: bool = True,
    ) -> None:
        self._path = os.path.normpath(os.path.join(config.cwd, path))
        if not os.path.isdir(self._path) and not self._path.endswith((".rock", ".rockspec")):
            raise NotFoundError(
                f"{path} {'is nothing to try' if os.path.exists(self._path) else 'does not exist'}",
                hint="Give a directory, a rockspec or a rock.",
            )
        self._home = self._path if os.path.isdir(self._path) else source_directory(self._path)
        self._given = configuration
        self._given_file = _file_of(configuration, config)
        self._port = port
        self._check = check
        self._progress = progress
        self._work = WorkDir(config, "try")
        self.kind: Kind = find_gateway(config)
        minor = ".".join(self.kind.version.split(".")[:2])
        provided = provided_by_kong(minor if minor in KONG_VERSIONS else "newest")
        self._config = config.replace(lua_version=_LUA, rocks_provided={**provided, **config.rocks_provided})
        self.findings: tuple[Finding, ...] = ()
        """Of the check of the start: warnings at most."""
        self.plugins: tuple[PluginReport, ...] = ()

    @property
    def url(self) -> str:
        """Where the gateway takes requests."""
        return self._gateway.url

    def __enter__(self) -> Trial:
        self._work.__enter__()
        try:
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from pumice.base.signals import Deferred

        with Deferred():
            gateway = getattr(self, "_gateway", None)
            if gateway is not None:
                gateway.stop()
            self._work.__exit__(kind, error, trace)

    def events(self) -> Iterator[Asked | Passed | Answered | Logged | Reloaded | Refused]:
        """What happens, without end: requests phase by phase, lines of the log, reloads."""
        seen = self._sources
        trace = Trace()
        while True:
            passed = [event for line in self._tracing.lines() for event in trace.feed(line)]
            # read after the trace, the log has all that was said up to there; it belongs into the request
            said = list(self._logged(self._logging.lines()))
            start = 1 if passed and isinstance(passed[0], Asked) else 0
            yield from (*passed[:start], *said, *passed[start:])
            now = self._snapshot()
            if now != seen:
                # an editor may need some time to write all that it has
                time.sleep(_LOOK)
                seen = self._snapshot()
                if seen == now:
                    event = self._reload()
                    yield event
                    if isinstance(event, Refused):
                        # what the log says of it is told
                        self._logging.skip()
                else:
                    seen = {}
            time.sleep(_LOOK)

    def _begin(self) -> None:
        root = self._work.make()
        os.chmod(root, 0o755)  # the workers of a gateway that root starts are somebody else
        tree = TreeSpec.at(os.path.join(root, "tree"), _LUA, "try")
        self._config = self._config.replace(tree=tree, trees=(tree,), cwd=self._home)
        self._sources = self._snapshot()
        refused = self._checked()
        if refused is not None:
            self.findings = refused.findings
            raise CheckError(
                refused.message, hint="Mend what the check found; --no-check goes on regardless."
            )
        self._install(_Downloads(self._progress))
        settings = self._settings()
        self._gateway = LocalGateway(self.kind, root, tree, self._config, self._port)
        self._gateway.configure(settings)
        self._tracing = _Tail(self._gateway.trace_file)
        self._gateway.start()
        self._logging = _Tail(self._gateway.log_file)
        self._logging.skip()
        self.plugins = self._verified()

    def _checked(self) -> Refused | None:
        if not self._check:
            return None
        report = check_path(self._path, self._config)
        self.findings = report.findings
        if report.ok:
            return None
        return Refused("A gateway would refuse it.", findings=report.findings)

    def _install(self, progress: Progress) -> None:
        if self._path.endswith(".rock"):
            from pumice.operation.install import install

            install([self._path], self._config, InstallOptions("try"), progress)
            return
        from pumice.operation.make import make

        rockspec = self._path if self._path.endswith(".rockspec") else None
        make(self._config, InstallOptions("try"), progress, rockspec=rockspec)

    def _settings(self) -> dict[str, object]:
        """Each plugin's settings. Raises UsageError where a gateway would not take them."""
        given = self._configuration()
        found = schemas_at(self._path, self._config)
        settings: dict[str, object] = {}
        for schema in found:
            own: object = given if len(found) == 1 else given.get(schema.plugin, {})
            if isinstance(own, dict) and isinstance(own.get("config"), dict) and {*own} <= {"name", "config"}:
                own = own["config"]
            answer = validate_configuration(schema.plugin, schema.table, {"config": own})
            if not answer.ok:
                raise UsageError(
                    f"a gateway would not take these settings of {schema.plugin}: {answer.message}",
                    hint="give others with --config FILE; `pumice schema` shows what there is",
                )
            settings[schema.plugin] = own
        return settings

    def _configuration(self) -> Mapping[str, object]:
        import json

        if self._given is None:
            return {}
        text = self._given
        if self._given_file is not None:
            with open(self._given_file, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"--config is no JSON: {error}", hint="give a JSON object of settings") from error
        if not isinstance(value, dict):
            raise DataError("--config is no JSON object", hint='as in --config \'{"key": "value"}\'')
        return value

    def _verified(self) -> tuple[PluginReport, ...]:
        tree = self._config.tree
        names = [
            name
            for directory, _, files in os.walk(tree.lua_dir)
            for file in files
            if (name := module_of_path(os.path.relpath(os.path.join(directory, file), tree.lua_dir)))
            and name.startswith("kong.plugins.")
        ]
        return verify_plugins(tree.lua_dir, tree.lib_dir, names, lib_extension=self._config.lib_extension)

    def _reload(self) -> Reloaded | Refused:
        began = time.monotonic()
        try:
            refused = self._checked()
            if refused is not None:
                return refused
            self._install(Silent())
            self._gateway.configure(self._settings())
            failed = self._gateway.reload()
        except PumiceError as error:
            return Refused(error.message, hint=error.hint)
        if failed is not None:
            return Refused(failed.split("\nstack traceback:")[0], explanations=explain(failed))
        self.plugins = self._verified()
        return Reloaded(self.plugins, self.findings, time.monotonic() - began)

    def _logged(self, lines: list[bytes]) -> Iterator[Logged]:
        marks = tuple(f"[{plugin.name}]" for plugin in self.plugins)
        for line in lines:
            found = _LOGGED.search(line.decode("utf-8", "replace"))
            if found is None:
                continue
            level, text = found.groups()
            mark = next((mark for mark in marks if mark in text), None)
            if mark is not None and level not in _SERIOUS:
                text = text[text.index(mark) :]
            if mark is not None or level in _SERIOUS:
                yield Logged(level, _REQUEST.sub("", text))

    def _snapshot(self) -> dict[str, tuple[int, int]]:
        """When each source was written, and its size."""
        found: dict[str, tuple[int, int]] = {}
        for path in (self._given_file, self._path if os.path.isfile(self._path) else None):
            if path is not None:
                _note(path, found)
        if not self._path.endswith(".rock"):
            for directory, below, files in os.walk(self._home):
                below[:] = [name for name in below if not name.startswith(".") and name not in _LEFT_OUT]
                for name in files:
                    if not name.startswith(".") and not name.endswith(_BUILT):
                        _note(os.path.join(directory, name), found)
        return found


class _Downloads(Silent):
    """Shows what takes time; what is said of a tree that is thrown away is not worth a line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins."""
        self._progress.started(task, label, total)

    def advanced(self, task: str, amount: int = 1) -> None:
        """More of it is done."""
        self._progress.advanced(task, amount)

    def finished(self, task: str) -> None:
        """It is over."""
        self._progress.finished(task)

    def message(self, level: str, text: str) -> None:
        """A line for people, where it tells of something wrong."""
        self._progress.message(level if level in ("warning", "notice") else "detail", text)


def _note(path: str, found: dict[str, tuple[int, int]]) -> None:
    try:
        state = os.stat(path)
    except OSError:
        return
    found[path] = (state.st_mtime_ns, state.st_size)


def _file_of(configuration: str | None, config: Config) -> str | None:
    """The file that --config names, if it is none of JSON itself. Raises NotFoundError."""
    if configuration is None or configuration.lstrip().startswith(("{", "[")):
        return None
    path = os.path.normpath(os.path.join(config.cwd, configuration))
    if not os.path.isfile(path):
        raise NotFoundError(
            f"{configuration} does not exist", hint="--config takes a JSON object, or a file with one."
        )
    return path


class _Tail:
    """The lines that are added to a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def skip(self) -> None:
        """What is there already does not count."""
        try:
            self._at, self._rest = os.path.getsize(self._path), b""
        except OSError:
            self._at = 0

    def lines(self) -> list[bytes]:
        """Whole lines that are new."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines
