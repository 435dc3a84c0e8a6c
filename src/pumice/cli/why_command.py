"""`pumice why`: which rocks need a rock, and which need those; of what is installed, or of what would be."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK, NotFoundError
from pumice.operation.graph import RUN, planned_graph, read_graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.graph import Graph
    from pumice.rock.dependency import Dependency

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "why",
    "Tell why a rock is installed, or would be.",
    description="Tells which installed rocks need the named one, with what each asks for, up to the rocks "
    "that nobody needs. With more words it tells so of what installing those would bring; of a rock that is "
    "not installed, in a project, of what the project needs.",
    positionals=(
        Positional("rock", "Name of a rock."),
        Positional("request", "What would be installed, as `install` takes it.", "*"),
    ),
    examples=(
        ("pumice why lua-cjson", "Which installed rocks need lua-cjson."),
        ("pumice why lua-cjson kong 'penlight >= 1.13'", "Why installing these two would bring lua-cjson."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints a chain of reasons."""
    name = session.named_rock(arguments.required("rock"))[0]
    words = arguments.texts("request")
    if words:
        _print_planned(name, _requests(words, session), session)
        return EXIT_OK
    graph = read_graph(session.config, session.terminal)
    if any(each == name for each, _ in graph.links):
        for version in graph.versions(name):
            session.terminal.print(f"{name} {version}")
        if not _print_users(graph, name, session):
            session.terminal.print("   No installed rock needs it: it was asked for itself.")
        return EXIT_OK
    session.terminal.print(f"{name} is not installed.")
    told = _print_users(graph, name, session)
    wanted = _of_project(session)
    if wanted:
        _print_planned(name, wanted, session)
    elif not told:
        session.terminal.print("   No installed rock needs it.")
        session.terminal.print(f"`pumice tree {name}` shows what installing it would bring.")
    return EXIT_OK


def _print_planned(name: str, wanted: Sequence[Dependency], session: Session) -> None:
    """The reasons in what would be installed. Raises NotFoundError if it would not be used at all."""
    graph = planned_graph(wanted, session.config, session.terminal, offline=session.offline)
    listed = ", ".join(str(each) for each in wanted)
    versions = [version for each, version in graph.links if each == name]
    if not versions:
        raise NotFoundError(
            f"Installing {listed} would not bring {name}",
            hint=f"`pumice tree {wanted[0].full_name}` shows what it would bring.",
        )
    for version in versions:
        there = "would be installed" if (name, version) in graph.planned else "is installed and would be used"
        session.terminal.print(f"{name} {version} {there} with {listed}")
    if not _print_users(graph, name, session):
        session.terminal.print("   Nothing else needs it: it is asked for itself.")


def _print_users(graph: Graph, name: str, session: Session) -> bool:
    """Who needs the rock, and who needs those; False if nobody does."""
    seen = {name}
    found = False
    # A stack of our own: chains may be longer than Python's recursion allows.
    stack = [graph.users(name)]
    while stack:
        user = next(stack[-1], None)
        if user is None:
            stack.pop()
            continue
        rock, link = user
        found = True
        again = rock[0] in seen
        there = " (not installed)" if rock in graph.planned else ""
        lacking = " (missing)" if link.version is None and not link.provided else ""
        kind = "" if link.kind == RUN else f" as a {link.kind}"
        text = f"{rock[0]} {rock[1]}{there} needs {link.dependency}{kind}{lacking}{' (*)' if again else ''}"
        session.terminal.print("   " * len(stack) + text)
        if not again:
            seen.add(rock[0])
            stack.append(graph.users(rock[0]))
    return found


def _requests(words: Sequence[str], session: Session) -> Sequence[Dependency]:
    from pumice.errors import UsageError
    from pumice.operation.requests import parse_requests

    requests = parse_requests(words, session.namespace)
    if requests.files or requests.bundles:
        raise UsageError(
            "Only names can be asked about here",
            hint="`pumice install --dry-run FILE` tells what a file needs.",
        )
    return requests.names


def _of_project(session: Session) -> Sequence[Dependency]:
    """What the project of the current directory needs; nothing outside of one."""
    from pumice.operation.change import provided_rocks
    from pumice.operation.make import read_rockspec
    from pumice.operation.project import find_project

    try:
        project = find_project(session.config.cwd)
    except NotFoundError:
        return ()
    provided = provided_rocks(session.config)
    needed = read_rockspec(project.rockspec, session.config).dependencies
    return [each for each in needed if each.name not in provided]
