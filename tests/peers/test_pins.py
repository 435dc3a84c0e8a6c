"""`luarocks.lock`: written, carried, packed and honoured as the real LuaRocks does."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.peer

MADE = 'return {\n   dependencies = {\n      leaf = "2.0-1",\n      stem = "2.0-1"\n   },\n}\n'
OLDER = 'return { dependencies = { lua = "5.1-1", stem = "1.0-1", leaf = "1.0-1" } }\n'


def rockspec(name: str, version: str, url: str, *needs: str) -> str:
    """The text of a rockspec without modules."""
    listed = ", ".join(f'"{each}"' for each in needs)
    return (
        f'package = "{name}"\nversion = "{version}"\nsource = {{ url = "{url}" }}\n'
        f'dependencies = {{ {listed} }}\nbuild = {{ type = "builtin", modules = {{}} }}\n'
    )


@pytest.fixture
def server(tmp_path: Path) -> str:
    """`stem` needs `leaf`, each in two versions."""
    folder = tmp_path / "server"
    folder.mkdir()
    (tmp_path / "none.lua").write_text("")
    for version in ("1.0-1", "2.0-1"):
        for name, needs in (("stem", ("leaf",)), ("leaf", ())):
            text = rockspec(name, version, f"file://{tmp_path}/none.lua", *needs)
            (folder / f"{name}-{version}.rockspec").write_text(text)
    words = ["luarocks-admin", "make_manifest", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    return f"--only-server={folder}"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A project that needs `stem`, and what its rockspec says of where its sources are."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "app-1.0-1.rockspec").write_text(
        rockspec("app", "1.0-1", f"file://{tmp_path}/app.tar.gz", "lua >= 5.1", "stem")
    )
    return folder


@pytest.fixture(params=["pumice", "luarocks"])
def either(request: pytest.FixtureRequest, server: str) -> Run:
    """Each of the two programs in turn, with the server and Lua 5.1."""
    run: Run = request.getfixturevalue(request.param)
    return lambda *words, **more: run("--lua-version=5.1", server, *words, **more)


@pytest.fixture
def ours(pumice: Run, server: str) -> Run:
    """Pumice, with the server and Lua 5.1."""
    return lambda *words, **more: pumice("--lua-version=5.1", server, *words, **more)


def installed(tree: Path) -> set[str]:
    """What lies in a tree."""
    rocks = tree / "lib/luarocks/rocks-5.1"
    return {f"{path.parent.name} {path.name}" for path in rocks.glob("*/*") if path.is_dir()}


def without_lua(path: Path) -> str:
    """A lock without the line of the Lua, which LuaRocks writes up to 3.8 and reads never."""
    return "".join(line for line in path.read_text().splitlines(True) if not line.strip().startswith("lua ="))


def own(tree: Path) -> Path:
    """Where the lock of the app is in a tree."""
    return tree / "lib/luarocks/rocks-5.1/app/1.0-1/luarocks.lock"


def test_make_pin_writes_it_here_and_into_the_rock(either: Run, app: Path, tree: Path) -> None:
    (app / "luarocks.lock").write_text(OLDER)
    either("make", "--pin", cwd=app)
    assert without_lua(app / "luarocks.lock") == without_lua(own(tree)) == MADE
    assert installed(tree) == {"app 1.0-1", "leaf 2.0-1", "stem 2.0-1"}
    assert '["luarocks.lock"]' in (own(tree).parent / "rock_manifest").read_text()
    either("make", "--pin", cwd=app)
    assert without_lua(own(tree)) == MADE


def test_make_heeds_it_and_carries_it(either: Run, app: Path, tree: Path) -> None:
    (app / "luarocks.lock").write_text(OLDER)
    text = either("make", cwd=app).stdout
    assert "Using dependencies pinned in lockfile: " in text and "/luarocks.lock\n" in text
    assert "app 1.0-1 is pinned to leaf 1.0-1 (not installed)\n" in text
    assert "app 1.0-1 is pinned to stem 1.0-1 (not installed)\n" in text
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 1.0-1"}
    assert own(tree).read_text() == OLDER
    assert "pinned to leaf 1.0-1 (1.0-1 installed)" in either("make", cwd=app).stdout


def test_other_versions_give_way_to_pinned_ones(either: Run, app: Path, tree: Path) -> None:
    either("make", cwd=app)
    (app / "luarocks.lock").write_text(OLDER)
    either("make", cwd=app)
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 1.0-1"}


def test_only_a_rock_of_a_rock_may_be_pinned_otherwise(ours: Run, app: Path, tree: Path) -> None:
    """LuaRocks leaves what is installed for a dependency as it is (contract B18)."""
    ours("make", cwd=app)
    (app / "luarocks.lock").write_text('return { dependencies = { leaf = "1.0-1" } }')
    text = ours("make", cwd=app).stdout
    assert "Forcing leaf to pinned version 1.0-1 (latest matching is 2.0-1)\n" in text
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 2.0-1"}


def test_a_packed_rock_brings_it_along(either: Run, app: Path, tree: Path, tmp_path: Path) -> None:
    (app / "luarocks.lock").write_text(OLDER)
    either("make", cwd=app)
    away = tmp_path / "away"
    away.mkdir()
    either("pack", "app", cwd=away)
    shutil.rmtree(tree)
    text = either("install", str(away / "app-1.0-1.all.rock"), cwd=away).stdout
    assert f"Using dependencies pinned in lockfile: {own(tree)}\n" in text
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 1.0-1"}
    assert own(tree).read_text() == OLDER


def archived(app: Path, *, lock: bool) -> Path:
    """The project as the archive that its rockspec names; gives the rockspec, elsewhere."""
    if lock:
        (app / "luarocks.lock").write_text(OLDER)
    words = ["tar", "czf", f"{app}.tar.gz", "-C", str(app.parent), "app"]
    subprocess.run(words, check=True, timeout=60)
    (app.parent / "away").mkdir()
    return Path(shutil.copy(app / "app-1.0-1.rockspec", app.parent / "away"))


def test_install_pin_pins_what_a_rockspec_was_built_with(either: Run, app: Path, tree: Path) -> None:
    path = archived(app, lock=False)
    either("install", "--pin", str(path), cwd=path.parent)
    assert without_lua(own(tree)) == MADE
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_install_pin_overrides_what_the_sources_pin(ours: Run, app: Path, tree: Path) -> None:
    path = archived(app, lock=True)
    ours("install", "--pin", str(path), cwd=path.parent)
    assert own(tree).read_text() == MADE


def test_only_deps_and_pin_write_it_here(either: Run, app: Path, tree: Path) -> None:
    path = archived(app, lock=False)
    either("install", "--only-deps", "--pin", str(path), cwd=path.parent)
    assert without_lua(path.parent / "luarocks.lock") == MADE
    either("make", "--only-deps", "--pin", cwd=app)
    assert without_lua(app / "luarocks.lock") == MADE
    assert installed(tree) == {"leaf 2.0-1", "stem 2.0-1"}


@pytest.mark.parametrize("command", ["install", "build"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_lock_of_the_sources_holds(ours: Run, app: Path, tree: Path, command: str, packed: bool) -> None:
    """No oracle: LuaRocks 3.8 looks for it in the wrong directory; so says the contract of later ones."""
    path = archived(app, lock=True)
    if packed:
        ours("pack", str(path), cwd=path.parent)
        path = path.with_name("app-1.0-1.src.rock")
    ours(command, str(path), cwd=path.parent)
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 1.0-1"}
    assert own(tree).read_text() == OLDER


def with_filesystem() -> dict[str, str]:
    """The environment in which LuaRocks has LuaFilesystem; without it, it never enters the sources' directory."""
    tools = Path(__file__).parents[2] / ".venv/lua-tools/usr/lib"
    found = {file.parent.name: f"{file.parent}/?.so;;" for file in tools.glob("*/lua/5.*/lfs.so")}
    assert "5.1" in found, "scripts/lua-tools unpacks it"
    versioned = {
        f"LUA_CPATH_{version.replace('.', '_')}": path for version, path in found.items() if version != "5.1"
    }
    return {"LUA_CPATH": found["5.1"], **versioned}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("install", "rockspec"),
        ("install", "src"),
        ("install", "all"),
        ("build", "rockspec"),
        ("build", "src"),
    ],
)
@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("who", ["pumice", "luarocks"])
def test_by_name_the_lock_of_sources_or_rock_holds_and_one_here_never(
    request: pytest.FixtureRequest,
    server: str,
    app: Path,
    tree: Path,
    tmp_path: Path,
    command: str,
    kind: str,
    lock: bool,
    who: str,
) -> None:
    run: Run = request.getfixturevalue(who)
    environment = with_filesystem() if who == "luarocks" else {}

    def either(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run("--lua-version=5.1", server, *words, cwd=cwd, environment=environment)

    folder = Path(server.partition("=")[2])
    path = archived(app, lock=lock)
    if kind == "rockspec":
        shutil.copy(path, folder)
    elif kind == "src":
        either("pack", str(path), cwd=folder)
    else:
        either("make", cwd=app)
        either("pack", "app", cwd=folder)
        shutil.rmtree(tree)
    words = ["luarocks-admin", "make_manifest", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    (tmp_path / "luarocks.lock").write_text(MADE if lock else OLDER)
    text = either(command, "app", cwd=tmp_path).stdout
    version = "1.0-1" if lock else "2.0-1"
    assert installed(tree) == {"app 1.0-1", f"leaf {version}", f"stem {version}"}
    assert ("Using dependencies pinned in lockfile: " in text) == lock == own(tree).exists()
    if lock:
        assert own(tree).read_text() == OLDER


def test_by_name_with_pin_no_lock_is_heeded(
    either: Run, server: str, app: Path, tree: Path, tmp_path: Path
) -> None:
    folder = Path(server.partition("=")[2])
    shutil.copy(archived(app, lock=True), folder)
    words = ["luarocks-admin", "make_manifest", "."]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    either("install", "--pin", "app", cwd=tmp_path)
    assert installed(tree) == {"app 1.0-1", "leaf 2.0-1", "stem 2.0-1"}
    assert without_lua(own(tree)) == MADE
    assert not (tmp_path / "luarocks.lock").exists()


@pytest.mark.parametrize("command", ["make", "build"])
def test_pin_and_pack_write_what_an_empty_tree_would_get(
    either: Run, app: Path, tree: Path, command: str
) -> None:
    """The rock has it, and after `make` this directory too; no tree changes, and no lock is heeded."""
    (app / "luarocks.lock").write_text(OLDER)
    path = archived(app, lock=True) if command == "build" else None
    words = [str(path)] if path else []
    either(command, "--pin", "--pack-binary-rock", *words, cwd=app)
    with zipfile.ZipFile(app / "app-1.0-1.all.rock") as rock:
        packed = rock.read("luarocks.lock").decode()
    (app / "packed").write_text(packed)
    assert without_lua(app / "packed") == MADE
    if command == "make":
        assert without_lua(app / "luarocks.lock") == MADE
    assert not tree.exists() or not installed(tree)


def test_a_lock_here_goes_before_that_of_the_sources(ours: Run, app: Path, tree: Path) -> None:
    path = archived(app, lock=True)
    (path.parent / "luarocks.lock").write_text(MADE)
    ours("install", str(path), cwd=path.parent)
    assert installed(tree) == {"app 1.0-1", "leaf 2.0-1", "stem 2.0-1"}


def test_a_binary_rock_is_never_pinned(either: Run, app: Path, tree: Path, tmp_path: Path) -> None:
    either("make", cwd=app)
    either("pack", "app", cwd=app)
    shutil.rmtree(tree)
    either("install", "--pin", str(app / "app-1.0-1.all.rock"), cwd=tmp_path)
    assert not own(tree).exists() and not (tmp_path / "luarocks.lock").exists()


def test_a_lock_that_does_not_load_is_a_warning(either: Run, app: Path, tree: Path) -> None:
    (app / "luarocks.lock").write_text("return {")
    done = either("make", cwd=app)
    assert "Warning: Could not read existing lockfile" in done.stdout + done.stderr
    assert installed(tree) == {"app 1.0-1", "leaf 2.0-1", "stem 2.0-1"}


@pytest.mark.parametrize("name", ["LEAF", "someone/leaf"])
def test_names_in_it_are_those_of_rocks(ours: Run, app: Path, tree: Path, name: str) -> None:
    (app / "luarocks.lock").write_text(f'return {{ dependencies = {{ ["{name}"] = "1.0-1" }} }}')
    ours("make", cwd=app)
    assert installed(tree) == {"app 1.0-1", "leaf 1.0-1", "stem 2.0-1"}


def test_what_can_be_no_name_is_a_warning(ours: Run, app: Path, tree: Path) -> None:
    (app / "luarocks.lock").write_text('return { dependencies = { ["a ? b"] = "1.0-1" } }')
    done = ours("make", cwd=app)
    assert "Warning: " in done.stderr
    assert installed(tree) == {"app 1.0-1", "leaf 2.0-1", "stem 2.0-1"}


def test_a_version_that_nobody_has_is_explained(ours: Run, app: Path, tree: Path) -> None:
    (app / "luarocks.lock").write_text('return { dependencies = { leaf = "9.0-1" } }')
    done = ours("make", cwd=app, fails=True)
    assert "leaf is pinned to 9.0-1" in done.stderr
    assert not tree.exists() or not installed(tree)


def test_two_rocks_that_pin_differently_are_refused(ours: Run, app: Path, tree: Path, tmp_path: Path) -> None:
    rocks = []
    for name, text in (("app", OLDER), ("other", MADE)):
        folder = tmp_path / f"project-{name}"
        folder.mkdir()
        spec = folder / f"{name}-1.0-1.rockspec"
        spec.write_text(rockspec(name, "1.0-1", "git://localhost/x", "stem"))
        (folder / "luarocks.lock").write_text(text)
        ours("make", "--pack-binary-rock", cwd=folder)
        rocks.append(folder / f"{name}-1.0-1.all.rock")
        assert "luarocks.lock" in zipfile.ZipFile(rocks[-1]).namelist()
    done = ours("install", *map(str, rocks), fails=True)
    assert "app is pinned to" in done.stderr and "other to" in done.stderr
    assert not tree.exists() or not installed(tree)
