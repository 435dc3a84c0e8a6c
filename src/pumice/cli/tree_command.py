"""`pumice tree`: the dependency graph of what is installed, or of what would be."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK
from pumice.operation.graph import RUN, planned_graph, read_graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.graph import Graph
    from pumice.rock.dependency import Dependency

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "tree",
    "Show the dependency graph of rocks.",
    description="Shows what the named rock needs, and what that needs in turn; without a name, for every "
    "rock that no other one needs. A rock that was shown before is not shown again in full: (*). Of a rock "
    "that is not installed it shows what installing it would bring, and marks what is there already.",
    positionals=(Positional("rock", "Name of a rock, installed or on a server.", "?"),),
    options=(JSON,),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints the graph as an indented list, or as one JSON object a rock."""
    graph = read_graph(session.config, session.terminal)
    name = arguments.text("rock")
    roots = graph.roots() or list(graph.links)
    if name is not None:
        wanted, namespace = session.named_rock(name)
        if not any(each == wanted for each, _ in graph.links):
            graph = planned_graph(
                [_request(wanted, namespace)], session.config, session.terminal, offline=session.offline
            )
            if not arguments.flag("json"):
                session.terminal.print(f"{wanted} is not installed. This is what installing it would bring:")
        roots = [(wanted, version) for version in graph.versions(wanted)]
    if arguments.flag("json"):
        _print_json(graph, graph.links if name is None else graph.reached(roots), session)
        return EXIT_OK
    shown: set[tuple[str, str]] = set()
    for root in roots:
        session.terminal.print("\n".join(_lines(graph, root, shown)))
    return EXIT_OK


def _request(name: str, namespace: str | None) -> Dependency:
    from pumice.rock.dependency import parse_dependency

    return parse_dependency(f"{namespace}/{name}" if namespace else name)


def _print_json(graph: Graph, rocks: Iterable[tuple[str, str]], session: Session) -> None:
    import json

    for rock in rocks:
        facts = [
            {
                "dependency": str(link.dependency),
                "version": link.version,
                "provided": link.provided,
                "kind": link.kind,
            }
            for link in graph.links[rock]
        ]
        told = {
            "name": rock[0],
            "version": rock[1],
            "installed": rock not in graph.planned,
            "dependencies": facts,
        }
        session.terminal.print(json.dumps(told))


def _lines(graph: Graph, root: tuple[str, str], shown: set[tuple[str, str]]) -> list[str]:
    lines = [f"{root[0]} {root[1]}"]
    shown.add(root)
    # A stack of our own: chains may be longer than Python's recursion allows.
    stack = [(root, "", iter(_edges(graph, root)))]
    while stack:
        _, prefix, edges = stack[-1]
        edge = next(edges, None)
        if edge is None:
            stack.pop()
            continue
        rock, text, last = edge
        branch, below = ("└── ", "    ") if last else ("├── ", "│   ")
        again = rock is not None and rock in shown and bool(graph.links.get(rock))
        lines.append(f"{prefix}{branch}{text}{' (*)' if again else ''}")
        if rock is not None and not again:
            shown.add(rock)
            stack.append((rock, prefix + below, iter(_edges(graph, rock))))
    return lines


def _edges(graph: Graph, rock: tuple[str, str]) -> list[tuple[tuple[str, str] | None, str, bool]]:
    links = [link for link in graph.links.get(rock, ()) if not link.provided]
    edges: list[tuple[tuple[str, str] | None, str, bool]] = []
    for place, link in enumerate(links):
        last = place == len(links) - 1
        if link.version is None:
            edges.append((None, f"{link.dependency} (missing)", last))
            continue
        target = (link.dependency.name, link.version)
        constraint = str(link.dependency)[len(link.dependency.full_name) :].strip()
        text = f"{target[0]} {target[1]}" + (f" ({constraint})" if constraint else "")
        if link.kind != RUN:
            text += f" ({link.kind})"
        if graph.planned and target not in graph.planned:
            text += " (installed)"
        edges.append((target if target in graph.links else None, text, last))
    return edges
