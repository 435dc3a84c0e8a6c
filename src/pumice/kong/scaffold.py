"""`scaffold`: a new Kong plugin project, complete, that passes its own check (Kong contract 1.2, 3.1).

The files are templates beside this module; `@@NAME@@` and the like are what varies.
"""

from __future__ import annotations

import os

from pumice.errors import UsageError
from pumice.kong.plugin import name_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["project_directory", "scaffold"]

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_VERSION = "0.1.0"


def project_directory(name: str) -> str:
    """The directory that the project of plugin `name` gets: `kong-plugin-NAME`."""
    return f"kong-plugin-{name}"


def scaffold(
    name: str, *, author: str = "", homepage: str | None = None, year: int | None = None
) -> Mapping[str, str]:
    """Every file of a new project for plugin `name`: path below the project's directory, and text.

    `author` and `year` go into the licence, `homepage` (an https address of the repository) into the
    rockspec. Raises UsageError for a name that not every channel would take.
    """
    problem = name_problem(name)
    if problem is not None:
        raise UsageError(problem[0], hint=problem[1])
    address = (homepage or f"https://github.com/your-organisation/kong-plugin-{name}").removesuffix(".git")
    values = {
        "NAME": name,
        "ROCK": project_directory(name),
        "VERSION": _VERSION,
        "CLASS": "".join(part.capitalize() for part in name.split("-")),
        "HEADER": "-".join(part.capitalize() for part in name.split("-")),
        "ADDRESS": address,
        "HOLDER": " ".join(
            part for part in (str(year) if year else "", author or f"The authors of {name}") if part
        ),
    }
    files = {}
    for folder, folders, names in os.walk(_TEMPLATES):
        folders.sort()
        for file in sorted(names):
            template = os.path.join(folder, file)
            path = _filled(os.path.relpath(template, _TEMPLATES).removesuffix(".template"), values)
            with open(template, encoding="utf-8") as text:
                files[path] = _filled(text.read(), values)
    return files


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@@{key}@@", value)
    return text
