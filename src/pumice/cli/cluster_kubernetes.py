"""`--to` a kubectl context: plugins on a gateway in Kubernetes."""

from __future__ import annotations

import os

from pumice.errors import EXIT_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.cluster_telling import Teller
    from pumice.cli.session import Session

__all__ = ["ship_rocks"]

_TIMEOUT = 300.0


def ship_rocks(paths: Sequence[str], arguments: Arguments, session: Session, teller: Teller) -> int:
    """Ships the plugins of rock files to the gateway of `--to`; the exit code. Raises PumiceError."""
    import time

    from pumice.cli.cluster_rollouts import seconds_of
    from pumice.cluster.events import Event
    from pumice.cluster.kubectl import Kubectl, parse_target
    from pumice.cluster.kubernetes import ship_to_kubernetes
    from pumice.cluster.programs import Programs
    from pumice.kong.plugin_files import files_of_plugins
    from pumice.rock.rockfile import open_rock

    target = parse_target(arguments.required("to"))
    rocks = [open_rock(path, platforms=session.config.platforms) for path in paths]
    plugins = [plugin for rock in rocks for plugin in files_of_plugins(rock)]
    folder = os.path.join(session.cwd, ".pumice", "kubernetes", _folder_name(arguments.required("to")))
    ended = ship_to_kubernetes(
        plugins,
        target,
        Kubectl(Programs(session.environment), target),
        folder,
        teller.tell,
        image=arguments.text("image"),
        secret=arguments.text("pull_secret"),
        timeout=seconds_of(arguments, "timeout", _TIMEOUT),
        plan_only=arguments.flag("plan") or arguments.text("plan") is not None,
    )
    teller.tell(Event("result", state="ok", text=ended.text, time=time.time()))
    teller.tell(Event("notice", text=f"The manifests are in {ended.folder}.", time=time.time()))
    return EXIT_OK


def _folder_name(target: str) -> str:
    return (
        "".join(each if each.isalnum() or each in "-_." else "-" for each in target).strip(".-") or "target"
    )
