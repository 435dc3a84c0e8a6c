"""`LocalGateway`: a throw-away gateway on this machine, a real Kong or the stand-in, in its own place."""

from __future__ import annotations

import os
import time

from pumice.base.process import find_program, run
from pumice.base.value import Value
from pumice.errors import BuildError, CheckError, FetchError, UsageError
from pumice.kong.standin.write import find_programs, write_conf, write_gateway
from pumice.kong.trace import NAMES, trace_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.operation.try_echo import Echo

__all__ = ["Kind", "LocalGateway", "find_gateway"]

_DAEMON = 1.0
"""Seconds in which nginx has written its pid, once it runs."""
_WAIT = 30.0
"""Seconds that a real Kong may take to start or to change its workers."""


class Kind(Value):
    """Which gateway there is on this machine."""

    version: str
    kong: str | None
    """The command of a real one; None: the stand-in is written."""

    @property
    def label(self) -> str:
        """For people."""
        if self.kong is not None:
            return f"Kong {self.version} ({self.kong})"
        return f"a stand-in for Kong {self.version}: nginx with its Lua module. This is not Kong"


def find_gateway(config: Config) -> Kind:
    """A real Kong where `kong` is on the path, else the stand-in. Raises BuildError with what to install."""
    path = config.environment.get("PATH", "")
    kong = find_program("kong", path)
    if kong is None:
        find_programs(path)
        return Kind(version="3.9.1", kong=None)
    done = run([kong, "version"], timeout=_WAIT, env=_environment(config), keep_errors=False)
    words = done.output.split()
    if not done.ok or not words:
        raise BuildError(
            f"{kong} does not say its version: {done.output.strip()[:200] or done.returncode}",
            hint="run it by hand; or take it off PATH, and a stand-in is used",
        )
    return Kind(version=words[-1], kong=kong)


class LocalGateway:
    """One node without a database, with an echo behind it; `directory` is its own, and goes with it."""

    def __init__(self, kind: Kind, directory: str, tree: TreeSpec, config: Config, port: int | None) -> None:
        self._config = config
        self._tree = tree
        self._directory = directory
        self._prefix = os.path.join(directory, "prefix")
        self._conf = os.path.join(directory, "kong.conf")
        self._declared = os.path.join(directory, "kong.yml")
        self._echo: Echo | None = None
        self._runs = self._starting = False
        self.trace_file = os.path.join(directory, "trace")
        self.log_file = os.path.join(self._prefix, "logs", "error.log")
        self.port, self._admin_port, echo_port = _free_ports(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._echo_url = f"http://127.0.0.1:{echo_port}"
        if kind.kong is None:
            programs = find_programs(config.environment.get("PATH", ""))
            self._kong = write_gateway(
                os.path.join(directory, "gateway"), programs=programs, version=kind.version
            ).kong
        else:
            from pumice.operation.try_echo import Echo

            self._kong = kind.kong
            self._echo = Echo(echo_port)
        for name, text in trace_plugins().items():
            target = os.path.join(directory, "lua", name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(text)
        with open(self.trace_file, "wb"):
            pass
        # the workers of a gateway that root starts are somebody else
        os.chmod(self.trace_file, 0o666)

    def configure(self, plugins: Mapping[str, object]) -> None:
        """What the next start or reload takes: the plugins with their settings."""
        import json

        lua, own = self._tree.lua_dir, os.path.join(self._directory, "lua")
        write_conf(
            self._conf,
            {
                "prefix": self._prefix,
                "database": "off",
                "declarative_config": self._declared,
                "plugins": ",".join(["bundled", *plugins, *NAMES]),
                "lua_package_path": f"{lua}/?.lua;{lua}/?/init.lua;{own}/?.lua",
                "lua_package_cpath": f"{self._tree.lib_dir}/?.{self._config.lib_extension}",
                "proxy_listen": f"127.0.0.1:{self.port}",
                "admin_listen": f"127.0.0.1:{self._admin_port}",
                "status_listen": "off",
                "admin_gui_listen": "off",
                "anonymous_reports": "off",
                "nginx_worker_processes": 1,
                "log_level": "notice",
                # whatever becomes of us, the stand-in does not outlive us; a real Kong does not know it
                "standin_owner": os.getpid(),
            },
        )
        entities = [{"name": name, "config": settings} for name, settings in plugins.items()]
        entities += [{"name": name, "config": {"file": self.trace_file}} for name in NAMES]
        route = {"name": "pumice-try", "paths": ["/"], "strip_path": False}
        service = {"name": "pumice-try", "url": self._echo_url, "routes": [route]}
        with open(self._declared, "w", encoding="utf-8") as file:
            # JSON is YAML
            json.dump({"_format_version": "3.0", "services": [service], "plugins": entities}, file)

    def start(self) -> None:
        """Starts it. Raises CheckError with what it said when it refuses."""
        self._runs = self._starting = True
        done = self._run("start", "-c", self._conf)
        self._starting = False
        if not done[0]:
            raise CheckError(
                f"The gateway refuses to start:\n{done[1].strip()}", hint="pumice explain tells more"
            )
        until = time.monotonic() + _WAIT
        while not self.workers():
            if time.monotonic() > until:
                raise CheckError(
                    f"The gateway started and answers nothing at 127.0.0.1:{self._admin_port}",
                    hint="a plugin that calls os.exit while it loads ends the gateway without a word",
                )
            time.sleep(0.05)

    def reload(self) -> str | None:
        """Reloads it: None when the new code runs, else what the log says; then the old code goes on."""
        before, read = self.workers(), self._log_size()
        ok, said = self._run("reload", "-c", self._conf)
        if not ok:
            return said.strip()
        until = time.monotonic() + _WAIT
        while time.monotonic() < until:
            log = self._log_since(read)
            if "init_by_lua error" in log:
                return log[log.index("init_by_lua error") :]
            now = self.workers()
            if now and not set(now) & set(before) and not any(_lives(pid) for pid in before):
                return None
            time.sleep(0.03)
        return f"the workers did not change within {_WAIT:g} seconds"

    def stop(self) -> None:
        """Stops it, whatever state it is in."""
        if self._starting:
            # interrupted: nginx may be about to become a daemon, and writes its pid only then
            pid, until = os.path.join(self._prefix, "pids", "nginx.pid"), time.monotonic() + _DAEMON
            while not os.path.exists(pid) and time.monotonic() < until:
                time.sleep(0.02)
        if self._runs:
            self._run("stop", "-p", self._prefix)
            self._runs = False
        if self._echo is not None:
            self._echo.close()

    def workers(self) -> tuple[int, ...]:
        """The pids of its workers; none when it does not answer."""
        import json

        from pumice.net.address import parse_address
        from pumice.net.connections import Connections
        from pumice.net.http import TransientError, exchange

        # an environment of its own: no proxy stands between this machine and itself
        connections = Connections(timeout=2.0, stall=5.0, environment={})
        try:
            address = parse_address(f"http://127.0.0.1:{self._admin_port}/")
            answer = exchange(address, {"Accept": "application/json"}, connections)
            pids = json.loads(answer.read())["pids"]["workers"]
            return tuple(pid for pid in pids if isinstance(pid, int))
        except (TransientError, FetchError, ValueError, KeyError, TypeError):
            return ()
        finally:
            connections.close()

    def _run(self, *words: str) -> tuple[bool, str]:
        done = run(
            [self._kong, *words], cwd=self._directory, env=_environment(self._config), timeout=2 * _WAIT
        )
        return done.ok, done.output

    def _log_size(self) -> int:
        try:
            return os.path.getsize(self.log_file)
        except OSError:
            return 0

    def _log_since(self, start: int) -> str:
        try:
            with open(self.log_file, "rb") as file:
                file.seek(start)
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _environment(config: Config) -> dict[str, str]:
    """Of the gateway: KONG_* of the user's shell would beat its configuration."""
    return {name: value for name, value in config.environment.items() if not name.startswith("KONG_")}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_ports(wanted: int | None) -> Sequence[int]:
    """Three ports of the loopback, the first as wanted. Raises UsageError where that one is taken."""
    import socket

    servers = []
    try:
        for port in (wanted or 0, 0, 0):
            server = socket.socket()
            servers.append(server)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
            except OSError as error:
                raise UsageError(
                    f"port {port} cannot be had: {error.strerror}", hint="give another one with --port"
                ) from error
        return [server.getsockname()[1] for server in servers]
    finally:
        for server in servers:
            server.close()
