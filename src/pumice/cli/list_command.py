"""`pumice list`: the installed rocks (contract 1.4, 1.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import JSON, PORCELAIN
from pumice.errors import EXIT_OK
from pumice.operation.listing import find_installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.listing import InstalledRock

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "list",
    "List currently installed rocks.",
    positionals=(
        Positional("filter", "A substring of a rock name to filter by.", "?"),
        Positional("version", "Rock version to filter by.", "?"),
    ),
    options=(
        Option(
            ("--outdated",),
            "List only rocks for which there is a higher version available in the rocks server.",
        ),
        PORCELAIN,
        JSON,
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints the rocks of the chosen tree, or of every tree."""
    if arguments.flag("outdated"):
        _print_outdated(arguments, session)
        return EXIT_OK
    config, terminal = session.config, session.terminal
    rocks = find_installed(
        session.trees,
        (arguments.text("filter") or "").lower(),
        arguments.text("version"),
        terminal,
        substring=True,
        namespace=session.namespace,
    )
    if arguments.flag("json"):
        _print_json(rocks, session)
    elif arguments.flag("porcelain"):
        for rock in rocks:
            fields = [rock.name, rock.version, "installed", rock.tree.rocks_dir]
            if rock.namespace:
                fields.append(rock.namespace)
            terminal.print("\t".join(fields))
    else:
        title = f"Rocks installed for Lua {config.lua_version}"
        if session.tree_chosen:
            title += f" in {config.tree.root}"
        terminal.print(f"\n{title}\n{'-' * len(title)}\n")
        _print_for_people(rocks, session)
    return EXIT_OK


def _print_for_people(rocks: list[InstalledRock], session: Session) -> None:
    """One block a rock; a rock's namespaces apart, as LuaRocks prints them."""
    blocks: dict[tuple[str, str], list[InstalledRock]] = {}
    for rock in rocks:
        blocks.setdefault((rock.name, rock.namespace or ""), []).append(rock)
    for name, namespace in sorted(blocks):
        session.terminal.print(f"{namespace}/{name}" if namespace else name)
        for rock in blocks[name, namespace]:
            session.terminal.print(f"   {rock.version} (installed) - {rock.tree.rocks_dir}")
        session.terminal.print()


def _print_json(rocks: list[InstalledRock], session: Session) -> None:
    import json

    for rock in rocks:
        session.terminal.print(
            json.dumps(
                {
                    "name": rock.name,
                    "version": rock.version,
                    "tree": rock.tree.root,
                    "namespace": rock.namespace,
                }
            )
        )


def _print_outdated(arguments: Arguments, session: Session) -> None:
    from pumice.operation.outdated import find_outdated

    terminal = session.terminal
    rocks = find_outdated(
        session.trees,
        (arguments.text("filter") or "").lower(),
        arguments.text("version"),
        session.config,
        terminal,
        namespace=session.namespace,
        offline=session.offline,
    )
    if arguments.flag("json"):
        import json

        for rock in rocks:
            facts = {field: getattr(rock, field) for field in ("name", "installed", "available", "server")}
            terminal.print(json.dumps(facts))
    elif arguments.flag("porcelain"):
        for rock in rocks:
            terminal.print("\t".join((rock.name, rock.installed, rock.available, rock.server)))
    else:
        terminal.print("\nOutdated rocks:\n---------------\n")
        for rock in rocks:
            terminal.print(f"{rock.name}\n   {rock.installed} < {rock.available} at {rock.server}\n")
