"""The shell commands that a rockspec wants run: `hooks` (contract 2.8)."""

from __future__ import annotations

from pumice.errors import BuildError
from pumice.tree.layout import rock_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import Rock

__all__ = ["run_hook"]


def run_hook(rock: Rock, name: str, config: Config, progress: Progress) -> None:
    """The hook has run, if the rockspec has it; `config.tree` is the tree in which the rock now is.

    Its output goes where ours goes. Raises BuildError with LuaRocks's words if it fails.
    """
    command = rock.rockspec.hooks.get(name)
    if command is None:
        return
    from pumice.base.process import run
    from pumice.build.variables import Variables, rock_variables

    own = rock_variables(rock.rockspec, config, rock_dir(config.tree, rock.name, rock.version), {})
    command = Variables(config, progress, own).substitute(command)
    progress.message("info", command)
    finished = run(
        command,
        cwd=config.cwd,
        env=config.environment,
        on_line=lambda line: progress.message("info", line),
        hint="Nothing was installed.",
    )
    if not finished.ok:
        raise BuildError(
            f"Failed running {name} hook.",
            hint=f"The hook of {rock.name} {rock.version} ended with exit code {finished.returncode}; "
            "nothing was installed.",
        )
