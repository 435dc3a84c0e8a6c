"""`pumice show`: information about an installed rock, in LuaRocks's shapes (contract 1.4, 1.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import JSON, PORCELAIN
from pumice.errors import EXIT_OK
from pumice.operation.show import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.show import RockReport

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "show",
    "Show information about an installed rock.",
    description="Show information about an installed rock.\n\n"
    "Without any flags, show all module information.\nWith flags, return only the desired information.",
    positionals=(
        Positional("rock", "Name of an installed rock."),
        Positional("version", "Rock version.", "?"),
    ),
    options=(
        Option(("--home",), "Show home page of project."),
        Option(("--modules",), "Show all modules provided by the package as used by require()."),
        Option(("--deps",), "Show packages the package depends on."),
        Option(("--build-deps",), "Show build-only dependencies for the package."),
        Option(("--test-deps",), "Show dependencies for testing the package."),
        Option(("--rockspec",), "Show the full path of the rockspec file."),
        Option(("--mversion",), "Show the package version."),
        Option(("--rock-tree",), "Show local tree where rock is installed."),
        Option(("--rock-namespace",), "Show rock namespace."),
        Option(("--rock-dir",), "Show data directory of the installed rock."),
        Option(("--rock-license",), "Show rock license."),
        Option(("--issues",), "Show URL for project's issue tracker."),
        Option(("--labels",), "List the labels of the rock."),
        PORCELAIN,
        JSON,
    ),
)


# LuaRocks's own order: the first flag that is given decides.
_SINGLE: tuple[tuple[str, Callable[[RockReport], str]], ...] = (
    ("rock_tree", lambda report: report.rock.tree.root),
    ("rock_namespace", lambda report: report.rock.namespace or ""),
    ("rock_dir", lambda report: report.rock_dir),
    ("home", lambda report: report.rockspec.description.homepage or ""),
    ("rock_license", lambda report: report.rockspec.description.license or ""),
    ("issues", lambda report: report.rockspec.description.issues_url or ""),
    ("labels", lambda report: "\n".join(report.rockspec.description.labels)),
    ("modules", lambda report: "\n".join(report.module_names)),
    ("deps", lambda report: _lines(report.dependencies)),
    ("build_deps", lambda report: _lines(report.build_dependencies)),
    ("test_deps", lambda report: _lines(report.test_dependencies)),
    ("rockspec", lambda report: report.rockspec_path),
    ("mversion", lambda report: report.rock.version),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints one value, or the whole report."""
    name, namespace = session.named_rock(arguments.required("rock"))
    report = show(session.config, session.trees, name, arguments.text("version"), session.terminal, namespace)
    for key, value in _SINGLE:
        if arguments.flag(key):
            text = value(report)
            if text or key not in ("deps", "build_deps", "test_deps"):
                session.terminal.print(text)
            return EXIT_OK
    if arguments.flag("json"):
        session.terminal.print(_json(report))
    elif arguments.flag("porcelain"):
        session.terminal.print("\n".join(_porcelain(report, session)))
    else:
        session.terminal.print("\n".join(_friendly(report, session)))
    return EXIT_OK


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(name for name, _ in pairs)


def _detailed(report: RockReport, session: Session) -> list[str]:
    text = report.rockspec.description.detailed
    if text is None:
        return []
    try:
        width = min(80, int(session.environment.get("COLUMNS", "80")))
    except ValueError:
        width = 80
    return format_text(text, width).split("\n")


def format_text(text: str, width: int) -> str:
    """A description joined into paragraphs and broken at `width`, as LuaRocks's `show` does it.

    Only the blanks that start a line go, and a single newline inside a paragraph becomes a blank.
    """
    text = text.lstrip(" \t\n\v\f\r")
    if text[-1:] in tuple(" \t\n\v\f\r"):
        text = text[:-1]
    lines = text.split("\n")
    text = "\n".join([lines[0], *(line.lstrip(" \t") for line in lines[1:])])
    joined = []
    position = 0
    while position < len(text):
        # Lua's gsub takes its matches from left to right without overlap; so does this.
        if (
            position + 2 < len(text)
            and text[position] != "\n"
            and text[position + 1] == "\n"
            and text[position + 2] != "\n"
        ):
            joined.append(f"{text[position]} {text[position + 2]}")
            position += 3
        else:
            joined.append(text[position])
            position += 1
    paragraphs = "".join(joined).split("\n\n")
    result = "\n\n".join(_broken(paragraph, width) for paragraph in paragraphs)
    return result[:-1] if result[-1:] in tuple(" \t\n\v\f\r") else result


def _broken(line: str, width: int) -> str:
    done = []
    while len(line) > width:
        cut = line.rfind(" ", 0, width)
        if cut < 0:
            break
        done.append(line[:cut])
        line = line[cut + 1 :]
    return "\n".join([*done, line])


def _porcelain(report: RockReport, session: Session) -> list[str]:
    description = report.rockspec.description
    single = (
        ("namespace", report.rock.namespace),
        ("package", report.rockspec.package),
        ("version", report.rock.version),
        ("summary", description.summary or ""),
    )
    lines = [f"{key}\t{value}" for key, value in single if value is not None]
    lines += [f"detailed\t{line}" for line in _detailed(report, session)]
    later = (
        ("license", description.license),
        ("homepage", description.homepage),
        ("issues", description.issues_url),
        ("labels", ", ".join(description.labels) if description.labels else None),
        ("location", report.rock.tree.root),
    )
    lines += [f"{key}\t{value}" for key, value in later if value is not None]
    # Tools split these rows on tabs; the reference puts the rock's name where the command's belongs (B19).
    lines += [f"command\t{report.rock.name}\t{file}" for _, file in report.commands]
    for key, pairs in (
        ("module", report.modules),
        ("build_dependency", report.build_dependencies),
        ("test_dependency", report.test_dependencies),
        ("dependency", report.dependencies),
        ("indirect_dependency", report.indirect_dependencies),
    ):
        lines += [f"{key}\t{name}\t{label}" for name, label in pairs]
    return lines


def _friendly(report: RockReport, session: Session) -> list[str]:
    description = report.rockspec.description
    namespace = f"{report.rock.namespace}/" if report.rock.namespace else ""
    title = f"{namespace}{report.rockspec.package} {report.rock.version} - {description.summary or ''}"
    lines = ["", title, ""]
    detailed = _detailed(report, session)
    if detailed:
        lines += [*detailed, ""]
    for label, value in (
        ("License:      ", description.license),
        ("Homepage:     ", description.homepage),
        ("Issues:       ", description.issues_url),
        ("Labels:       ", ", ".join(description.labels) if description.labels else None),
        ("Installed in: ", report.rock.tree.root),
    ):
        if value is not None:
            lines.append(f"{label}\t{value}")
    for title, pairs in (
        ("Commands:", report.commands),
        ("Modules:", report.modules),
        ("Has build dependency on:", report.build_dependencies),
        ("Tests depend on:", report.test_dependencies),
        ("Depends on:", report.dependencies),
        ("Indirectly pulling:", report.indirect_dependencies),
    ):
        if pairs:
            lines += ["", title, *(f"\t{name} ({label})" for name, label in pairs)]
    return [*lines, ""]


def _json(report: RockReport) -> str:
    import json

    description = report.rockspec.description
    return json.dumps(
        {
            "namespace": report.rock.namespace,
            "package": report.rockspec.package,
            "version": report.rock.version,
            "summary": description.summary,
            "detailed": description.detailed,
            "license": description.license,
            "homepage": description.homepage,
            "issues": description.issues_url,
            "labels": list(description.labels),
            "location": report.rock.tree.root,
            "rock_dir": report.rock_dir,
            "rockspec": report.rockspec_path,
            "commands": dict(report.commands),
            "modules": dict(report.modules),
            "dependencies": dict(report.dependencies),
            "build_dependencies": dict(report.build_dependencies),
            "test_dependencies": dict(report.test_dependencies),
            "indirect_dependencies": dict(report.indirect_dependencies),
        }
    )
