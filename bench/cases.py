"""What is measured: each case is the same work for both programs, in trees of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import workload

PUMICE, LUAROCKS, FLOOR = "pumice", "luarocks", "floor"
MANY = 200
LARGE = 2000

QUESTIONS = 0.7
CHANGES = 0.8
AT_ONCE = 0.05


@dataclass
class Step:
    """One row of the table for one side: commands that are measured together."""

    row: str
    commands: list[list[str]]
    cwd: Path
    says: str = ""
    """What the last command must print."""
    makes: Path | None = None
    """What must be there afterwards."""
    unmakes: Path | None = None
    """What must not be there afterwards."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Over the setting's own."""
    also: tuple[str, ...] = ()
    """More rows that this side's run counts for: it does the same work again when there is less to do."""


def _nothing(side: str) -> None:
    """The steps leave nothing behind that matters to the next run."""


@dataclass
class Case:
    """Steps that follow each other, for each side; `reset` is not measured."""

    name: str
    sides: dict[str, list[Step]]
    targets: dict[str, float | None]
    reset: Callable[[str], None] = _nothing
    """Called with the side before its steps."""
    close: Callable[[], None] = lambda: None
    """Called at the end, to stop what was started."""
    runs: int | None = None
    """At most so many runs; None: as many as asked for."""
    against: str = LUAROCKS
    """The side that Pumice is compared with; empty: the fastest of all others, by wall time alone."""
    most_memory: float | None = None
    """Megabytes that no process of Pumice may go beyond."""
    most_wall: float | None = None
    """Milliseconds that Pumice may take, where no rival does the work."""
    rows: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [step.row for step in self.sides[PUMICE]]


@dataclass(frozen=True)
class Setting:
    """Where and with which programs a bench runs."""

    folder: Path
    python: str
    pumice: list[str]
    luarocks: list[str]
    example: Path
    environment: Mapping[str, str]
    cache: Path = Path()
    """What is kept from bench to bench."""

    def program(self, side: str, tree: Path) -> list[str]:
        """One side's command line up to its command."""
        return [*(self.pumice if side == PUMICE else self.luarocks), "--tree", str(tree)]


def _both(make: Callable[[str], list[Step]]) -> dict[str, list[Step]]:
    return {side: make(side) for side in (PUMICE, LUAROCKS)}


def start_up(setting: Setting) -> Case:
    """`--version`, and what any Python program costs."""
    here = setting.folder

    def steps(side: str) -> list[Step]:
        program = setting.pumice if side == PUMICE else setting.luarocks
        return [Step("version", [[*program, "--version"]], here, says="command-line interface")]

    sides = _both(steps)
    sides[FLOOR] = [Step("version", [[setting.python, "-c", "pass"]], here)]
    return Case("version", sides, {"version": QUESTIONS})


def questions(setting: Setting) -> Case:
    """`list`, `show`, `path`, `which` on a tree with 20 rocks; only looked at, so shared."""
    tree = workload.write_tree(setting.folder / "looked-at", 20, setting.luarocks, setting.environment)
    rock = workload.rock_name(7)
    # LuaRocks 3.8 answers `which` from configured trees only.
    configuration = setting.folder / "looked-at.lua"
    configuration.write_text(f'rocks_trees = {{ {{ name = "user", root = "{tree}" }} }}\n', encoding="utf-8")
    asked = {
        "list": (["list"], rock),
        "show": (["show", rock], "A rock to measure with."),
        "path": (["path"], f"{tree}/share/lua/5.1"),
        "which": (["which", f"{rock.replace('-', '_')}.util"], "util.lua"),
    }

    def steps(side: str) -> list[Step]:
        return [
            Step(
                row,
                [[*setting.program(side, tree), *words]],
                setting.folder,
                says=says,
                environment={"LUAROCKS_CONFIG": str(configuration)},
            )
            for row, (words, says) in asked.items()
        ]

    sides = _both(steps)
    sides[FLOOR] = [Step(row, [[setting.python, "-c", "pass"]], setting.folder) for row in asked]
    return Case("questions", sides, dict.fromkeys(asked, QUESTIONS))


def make_and_pack(setting: Setting) -> Case:
    """`make` of the example plugin into an empty tree, then `pack` of it."""
    folder = setting.folder / "make"
    spec = next(setting.example.glob("*.rockspec")).stem
    name, version = spec.rsplit("-", 2)[0], "-".join(spec.rsplit("-", 2)[1:])
    rock = f"{spec}.all.rock"

    def steps(side: str) -> list[Step]:
        source = workload.write_plugin(folder / side / "source", setting.example)
        program = setting.program(side, folder / side / "tree")
        deployed = folder / side / "tree/share/lua/5.1/kong/plugins"
        out = folder / side / "out"
        return [
            Step("make", [[*program, "make"]], source, makes=deployed),
            Step("pack", [[*program, "pack", name, version]], out, makes=out / rock),
        ]

    def reset(side: str) -> None:
        for part in ("tree", "out"):
            shutil.rmtree(folder / side / part, ignore_errors=True)
        (folder / side / "out").mkdir(parents=True)

    sides = _both(steps)
    files = [str(path) for path in (folder / PUMICE / "source").iterdir()]
    copied = folder / FLOOR / "out"
    sides[FLOOR] = [
        Step("make", [["/bin/cp", "-r", *files, str(copied)]], setting.folder),
        Step("pack", [["/bin/tar", "-czf", f"{copied}.tar.gz", "-C", str(copied), "."]], setting.folder),
    ]
    return Case("make and pack", sides, {"make": CHANGES, "pack": CHANGES}, reset)


def install_one(setting: Setting) -> Case:
    """`install` of one local rock into an empty tree."""
    folder = setting.folder / "one"
    folder.mkdir()
    rock = workload.write_rock(1, folder)
    return Case(
        "install one rock",
        _installs(setting, folder, "install one rock", [rock], together=True),
        {"install one rock": CHANGES},
        lambda side: shutil.rmtree(folder / side, ignore_errors=True),
    )


def install_many(setting: Setting) -> Case:
    """200 local rocks: one command here, 200 there (LuaRocks takes one at a time)."""
    folder = setting.folder / "many"
    folder.mkdir()
    rocks = [workload.write_rock(number, folder) for number in range(MANY)]
    row = f"install {MANY} rocks"
    return Case(
        row,
        _installs(setting, folder, row, rocks, together=False),
        {row: AT_ONCE},
        lambda side: shutil.rmtree(folder / side, ignore_errors=True),
        runs=1,
    )


def _installs(
    setting: Setting, folder: Path, row: str, rocks: list[Path], *, together: bool
) -> dict[str, list[Step]]:
    words = [str(rock) for rock in rocks]
    last = rocks[-1].name.removesuffix("-1.0-1.all.rock")

    def steps(side: str) -> list[Step]:
        tree = folder / side
        program = [*setting.program(side, tree), "install"]
        commands = (
            [[*program, *words]] if together or side == PUMICE else [[*program, word] for word in words]
        )
        deployed = tree / "share/lua/5.1" / last.replace("-", "_") / "util.lua"
        return [Step(row, commands, setting.folder, makes=deployed)]

    sides = _both(steps)
    unpacked = folder / "unpacked"
    for rock in rocks:
        shutil.unpack_archive(rock, unpacked / rock.stem, "zip")
    sides[FLOOR] = [Step(row, [["/bin/cp", "-r", str(unpacked), str(folder / FLOOR)]], setting.folder)]
    return sides


def large_tree(setting: Setting) -> Case:
    """`list`, `install` and `remove` where 2,000 rocks are already."""
    folder = setting.folder / "large"
    folder.mkdir()
    rock = workload.write_rock(LARGE, folder)
    name = workload.rock_name(LARGE)
    first = workload.write_tree(folder / PUMICE, LARGE, setting.luarocks, setting.environment)
    shutil.copytree(first, folder / LUAROCKS)
    rows = {step: f"{step}, tree of {LARGE}" for step in ("list", "install", "remove")}

    def steps(side: str) -> list[Step]:
        program = setting.program(side, folder / side)
        deployed = folder / side / "share/lua/5.1" / name.replace("-", "_") / "util.lua"
        here = setting.folder
        return [
            Step(rows["list"], [[*program, "list"]], here, says=workload.rock_name(LARGE - 1)),
            Step(rows["install"], [[*program, "install", str(rock)]], here, makes=deployed),
            Step(rows["remove"], [[*program, "remove", name]], here, unmakes=deployed),
        ]

    return Case("large tree", _both(steps), dict.fromkeys(rows.values()), runs=5)


CASES: dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]] = {
    "version": (start_up, ("version",)),
    "questions": (questions, ("list", "show", "path", "which")),
    "make and pack": (make_and_pack, ("make", "pack")),
    "install one rock": (install_one, ("install one rock",)),
    f"install {MANY} rocks": (install_many, (f"install {MANY} rocks",)),
    "large tree": (
        large_tree,
        (f"list, tree of {LARGE}", f"install, tree of {LARGE}", f"remove, tree of {LARGE}"),
    ),
}
"""Every case with the rows that it fills."""
