"""Whole commands as a user runs them: what they print, what they leave, and their exit codes (contract 1.3)."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRock = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def run(command: Any, tree: Path) -> Callable[..., int]:
    """Runs a command on the tree."""
    server = tree.parent / "server"
    server.mkdir(exist_ok=True)
    for version in ("5.1", "5.4"):
        empty = "commands = {}\nmodules = {}\nrepository = {}\n"
        (server / f"manifest-{version}").write_text(empty)

    def call(*words: str, **named: Any) -> int:
        # no test asks the public servers: this one has nothing
        own = () if any("-server" in word for word in words) else (f"--only-server={server}",)
        return int(command(f"--tree={tree}", *own, *words, **named))

    return call


Run = Callable[..., int]


def test_several_rocks_are_installed_at_once_in_the_order_of_their_dependencies(
    run: Run, command: Any, make_rock: MakeRock
) -> None:
    top = make_rock("top", "1.0-1", {"lua/top.lua": ""}, ["middle >= 1.0"])
    middle = make_rock("middle", "1.0-1", {"lua/middle.lua": ""}, ["base"])
    base = make_rock("base", "1.0-1", {"lua/base.lua": ""})
    assert run("install", str(top), str(middle), str(base)) == 0
    installed = [line for line in command.output.splitlines() if "is now installed" in line]
    assert [line.split()[0] for line in installed] == ["base", "middle", "top"]


def test_rocks_that_need_each_other_are_installed_together(run: Run, make_rock: MakeRock) -> None:
    one = make_rock("one", "1.0-1", {"lua/one.lua": ""}, ["two"])
    two = make_rock("two", "1.0-1", {"lua/two.lua": ""}, ["one"])
    assert run("install", str(one), str(two)) == 0


def test_a_missing_dependency_stops_everything(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    fine = make_rock("fine", "1.0-1", {"lua/fine.lua": ""})
    lacking = make_rock("lacking", "1.0-1", {"lua/lacking.lua": ""}, ["nowhere >= 2"])
    assert run("install", str(fine), str(lacking)) == 1
    assert "Missing dependencies for lacking 1.0-1:\n   nowhere >= 2 (not installed)" in command.output
    assert "Error: " in command.output
    assert "nowhere >= 2" in command.output.partition("Error: ")[2]
    assert not (tree / "share").exists()
    assert run("install", "--deps-mode=none", str(lacking)) == 0
    assert run("install", "--nodeps", str(lacking)) == 0


def test_an_upgrade_removes_the_old_version_unless_keep(run: Run, command: Any, make_rock: MakeRock) -> None:
    old = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n"})
    new = make_rock("a", "2.0-1", {"lua/a.lua": "return 2\n"})
    assert run("install", str(old)) == 0
    assert run("install", "--keep", str(new)) == 0
    run("list", "--porcelain")
    assert [line.split("\t")[1] for line in command.output.splitlines()] == ["2.0-1", "1.0-1"]
    assert run("install", str(new)) == 0
    assert "Removing a 1.0-1..." in command.output
    run("list", "--porcelain")
    assert [line.split("\t")[1] for line in command.output.splitlines()] == ["2.0-1"]


@pytest.mark.adversary(45)
def test_a_rock_that_others_need_is_not_removed_unless_forced(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    base = make_rock("base", "1.0-1", {"lua/base.lua": ""})
    top = make_rock("top", "1.0-1", {"lua/top.lua": ""}, ["base"])
    assert run("install", str(base), str(top)) == 0
    assert run("remove", "base") == 1
    assert (
        "Will not remove base 1.0-1.\nRemoving it would break dependencies for: \ntop 1.0-1" in command.output
    )
    assert "Error: Failed removing." in command.output
    assert (tree / "share/lua/5.1/base.lua").exists()
    assert run("remove", "--force", "base") == 0
    assert "The following packages may be broken by this forced removal:\ntop 1.0-1" in command.output
    assert "Missing dependencies for top 1.0-1:\n   base (not installed)" in command.output
    assert not (tree / "share/lua/5.1/base.lua").exists()


def test_a_rock_for_another_machine_is_refused(run: Run, command: Any, make_rock: MakeRock) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": ""})
    foreign = rock.rename(rock.with_name("a-1.0-1.win32-x86.rock"))
    assert run("install", str(foreign)) == 1
    assert "Error: Incompatible architecture win32-x86" in command.output


def test_a_hook_that_fails_takes_the_installation_back(
    run: Run, command: Any, tree: Path, make_rock: MakeRock, tmp_path: Path
) -> None:
    folder = tmp_path / "hooked"
    folder.mkdir()
    rockspec = folder / "hooked-1.0-1.rockspec"
    text = (
        'package = "hooked" version = "1.0-1" source = { url = "http://localhost/x" }'
        'description = { license = "MIT" }'
        'build = { type = "builtin", modules = { hooked = "hooked.lua" } }'
        'hooks = { post_install = "echo $(LUADIR); test -e $(PREFIX)/rock_manifest && exit %d" }'
    )
    (folder / "hooked.lua").write_text("return 1\n")
    rockspec.write_text(text % 3)
    assert run("make", cwd=folder) == 1
    assert "Error: Failed running post_install hook." in command.output
    assert not (tree / "share").exists()
    rockspec.write_text(text % 0)
    assert run("make", cwd=folder) == 0
    assert (tree / "share/lua/5.1/hooked.lua").exists()


def test_a_locked_tree_is_exit_4_and_names_the_holder(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    from pumice.tree.lock import TreeLock

    rock = make_rock("a", "1.0-1", {"lua/a.lua": ""})
    with TreeLock(str(tree), command="the other one"):
        # flock belongs to the open file, so the forked child meets it as another process would
        assert run("--lock-timeout=0", "install", str(rock)) == 4
    assert f"requires exclusive write access to {tree}" in command.output
    assert "try --force-lock" in command.output
    assert "the other one" in command.output
    assert run("install", str(rock)) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_no_permission_to_write_is_exit_2(command: Any, tree: Path, make_rock: MakeRock) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": ""})
    tree.mkdir(mode=0o755)
    for parent in (rock.parent, *tree.parents, command.home):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    command.home.chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os._exit(command(f"--tree={tree}", "install", str(rock)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_only_verbose_shows_a_traceback(run: Run, command: Any) -> None:
    assert run("show", "nosuch") == 1
    assert "Traceback" not in command.output
    assert run("--verbose", "show", "nosuch") == 1
    assert "Traceback" in command.output


def test_a_bug_is_exit_99_and_asks_for_a_report(
    run: Run, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pumice.operation.listing as listing

    monkeypatch.setattr(listing, "read_spec", lambda *_: 1 / 0)
    assert run("show", "x") == 99
    assert "bug (please report it)" in command.output
    assert "ZeroDivisionError" in command.output
    assert "Traceback" not in command.output


@pytest.mark.parametrize(
    "words",
    [
        ("install", "nosuch-1.0-1.all.rock"),
        ("install", "penlight"),
        ("install", "http://127.0.0.1:1/x-1.0-1.all.rock"),
        ("install", "http://127.0.0.1:1/x"),
        ("make",),
        ("make", "nosuch.rockspec"),
        ("make", "x.rock"),
        ("make", "--sign"),
        ("pack", "nosuch"),
        ("pack",),
        ("pack", "nosuch.rockspec"),
        ("pack", "--format", "tar"),
        ("pack", "--format", "nosuch"),
        ("remove", "nosuch"),
        ("remove", "x.rock"),
        ("unpack", "nosuch-1.0-1.all.rock"),
        ("unpack", "nosuch"),
        ("show", "nosuch"),
        ("which", "nosuch"),
        ("lint", "nosuch.rockspec"),
        ("lint", "nosuch"),
        ("check", "nosuch"),
        ("ship", "nosuch"),
        ("new", "Bad_Name"),
        ("history",),
        ("rollback",),
        ("rollback", "x"),
        ("verify",),
        ("repair", "nosuch.rock"),
        ("help", "nosuch"),
        ("nosuch",),
        ("--nosuch",),
        ("install", "foo=1"),
        ("--lua-version", "x", "list"),
        ("--lock-timeout", "x", "list"),
        ("--only-server", "a", "--server", "b", "list"),
    ],
    ids=" ".join,
)
def test_every_error_is_told_with_a_hint(words: tuple[str, ...], run: Run, command: Any) -> None:
    """`Error: …`, then what to do next; exit code 1; no traceback."""
    assert run(*words) == 1
    lines = command.output.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("Error: "))
    assert any(line.startswith("Hint: ") for line in lines[place:])
    assert "Traceback" not in command.output


def test_inspect_prints_a_json_object_a_line_and_goes_on_after_an_error(
    run: Run, command: Any, make_rock: MakeRock, tmp_path: Path
) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": ""}, ["b >= 1", "lua >= 5.1"])
    assert run("install", "--nodeps", str(rock)) == 0
    bad = tmp_path / "bad-1.0-1.rockspec"
    bad.write_text("package = ")
    good = tmp_path / "Good-1.0-1.rockspec"
    good.write_text(
        'package = "Good" version = "1.0-1" source = { url = "git://x/y" }'
        'build = { type = "builtin", modules = { a = "a.lua", platforms = {} } }'
    )
    good = good.rename(tmp_path / "good-1.0-1.rockspec")
    assert run("inspect", "--json", str(bad), str(good), str(rock), str(tmp_path / "tree")) == 1
    first, second, third, fourth = [json.loads(line) for line in command.output.splitlines()]
    assert set(first) == {"file", "error"}
    assert second["kind"] == "rockspec"
    assert second["package"] == "Good"
    assert second["rockspec_format"] == "1.0"
    assert second["supported_platforms"] is None
    assert (third["kind"], third["arch"], third["files"]) == ("rock", "all", ["lua/a.lua"])
    assert third["dependencies"] == ["b >= 1", "lua >= 5.1"]
    assert fourth["kind"] == "tree"
    assert fourth["rocks"] == [{"name": "a", "version": "1.0-1"}]


def test_inspect_does_not_take_an_archive_for_a_rockspec(run: Run, command: Any, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    assert run("inspect", "--json", str(tmp_path / "x.tar.gz")) == 1
    assert json.loads(command.output.splitlines()[0])["error"].endswith("is an archive, not a rock")


@pytest.fixture
def as_nobody(command: Any, tree: Path) -> Callable[..., int]:
    """Runs a command on the tree as another user, who can reach it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for folder in (*tree.parents, command.home):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    command.home.chmod(0o777)

    def run(*words: str) -> int:
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            code = command(f"--tree={tree}", *words)
            (command.home / "said").write_text(command.output)
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        command.output = (command.home / "said").read_text()
        (command.home / "said").unlink()
        return code

    return run


def test_another_user_reads_what_the_first_installed(
    run: Run, as_nobody: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    """And may change none of it."""
    assert run("install", str(make_rock("a", "1.0-1", {"lua/a.lua": "", "bin/tool": "print(1)\n"}))) == 0
    assert as_nobody("list", "--porcelain") == 0
    assert command.output.startswith("a\t1.0-1\t")
    for words in (
        ("show", "a"),
        ("which", "a"),
        ("path",),
        ("verify",),
        ("pack", "a"),
        ("inspect", str(tree)),
    ):
        assert as_nobody(*words) == 0, command.output
    for words in (("remove", "a"), ("repair",)):
        assert as_nobody(*words) == 2, command.output
        assert "Error: Your user does not have write permissions in " in command.output


def test_a_tree_made_under_a_narrow_umask_is_told_of(
    run: Run, as_nobody: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    """A gateway's user would take its files for absent: `verify` warns its owner, and others learn why."""
    before = os.umask(0o077)
    try:
        assert run("install", str(make_rock("a", "1.0-1", {"lua/a.lua": ""}))) == 0
    finally:
        os.umask(before)
    assert (tree / "share/lua/5.1/a.lua").stat().st_mode & 0o777 == 0o600
    assert run("verify") == 0
    assert "a.lua: its mode 600 does not let other users, such as a gateway's, read it" in command.output
    for words in (("list",), ("verify",), ("inspect", str(tree))):
        assert as_nobody(*words) != 0
        assert "cannot be read: Permission denied" in command.output


def test_a_generation_tree_remembers_and_rolls_back(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    old = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n"})
    new = make_rock("a", "2.0-1", {"lua/a.lua": "return 2\n"})
    assert run("--layout=generations", "install", str(old)) == 0
    assert f"is now installed in {tree}\n" in command.output.replace(" (license: MIT)", "")
    assert run("install", str(new)) == 0
    assert (tree / "current/share/lua/5.1/a.lua").read_text() == "return 2\n"
    run("history", "--json")
    generations = [json.loads(line) for line in command.output.splitlines()]
    assert [each["added"] for each in generations] == [["a 1.0-1"], ["a 2.0-1"]]
    assert [each["removed"] for each in generations] == [[], ["a 1.0-1"]]
    assert run("rollback") == 0
    assert (tree / "current/share/lua/5.1/a.lua").read_text() == "return 1\n"
    run("list", "--porcelain")
    assert command.output.split("\t")[:2] == ["a", "1.0-1"]
    assert run("rollback", "2") == 0
    assert run("verify") == 0


def test_repair_fills_a_generation_again_from_the_store(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n"})
    assert run("--layout=generations", "install", str(rock)) == 0
    (tree / "current/share/lua/5.1/a.lua").unlink()
    assert run("verify") == 1
    assert run("repair") == 0
    assert "share/lua/5.1/a.lua is missing" in command.output
    assert (tree / "current/share/lua/5.1/a.lua").read_text() == "return 1\n"
    assert run("verify") == 0
    assert run("repair") == 0
    assert "Nothing to mend." in command.output


def test_pack_without_a_rock_prints_its_usage_as_luarocks_does(run: Run, command: Any) -> None:
    assert run("pack") == 1
    assert command.output.startswith("Usage: pumice pack [-h] ")
    assert "\n\nError: missing argument 'rock'\n" in command.output


@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_repair_gives_a_command_its_x_bits_back(
    run: Run, command: Any, tree: Path, make_rock: MakeRock, layout: str
) -> None:
    rock = make_rock("a", "1.0-1", {"bin/a": "print 'a'\n"})
    assert run(f"--layout={layout}", "install", str(rock)) == 0
    program = (tree / "current" if layout == "generations" else tree) / "bin/a"
    program.chmod(0o644)
    assert run("verify") == 1
    assert "bin/a: is not executable" in command.output
    assert run("repair") == 0
    assert program.stat().st_mode & 0o111 == 0o111
    assert run("verify") == 0


def test_repair_says_what_the_umask_does_not_let_it_mend(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n"})
    assert run("install", str(rock)) == 0
    (tree / "share/lua/5.1/a.lua").chmod(0o600)
    before = os.umask(0o077)
    try:
        assert run("repair") == 1
    finally:
        os.umask(before)
    assert "not mended: " in command.output
    assert run("repair") == 0
    assert (tree / "share/lua/5.1/a.lua").stat().st_mode & 0o777 == 0o644


def test_verify_tells_of_a_current_generation_that_is_missing(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    assert run("--layout=generations", "install", str(make_rock("a", "1.0-1", {"lua/a.lua": ""}))) == 0
    (tree / "current").unlink()
    (tree / "current").symlink_to("generations/99")
    assert run("verify") == 1
    assert f"{tree}/current: names {tree}/generations/99, which is missing" in command.output


@pytest.mark.parametrize("verb", ["install", "make"])
def test_a_signature_that_cannot_be_verified_stops_the_command(
    verb: str, run: Run, command: Any, tree: Path
) -> None:
    """Whoever asks for the check must not get an unchecked rock."""
    assert run(verb, "--verify", *(["a-1.0-1.all.rock"] if verb == "install" else [])) == 1
    assert "Error: Signatures cannot be verified yet" in command.output
    assert not tree.exists()


@pytest.mark.parametrize("words", [("pack", "--sign", "a"), ("make", "--pack-binary-rock", "--sign")])
def test_a_rock_that_cannot_be_signed_is_not_packed(words: tuple[str, ...], run: Run, command: Any) -> None:
    assert run(*words) == 1
    assert "Error: Rocks cannot be signed yet" in command.output


@pytest.mark.adversary(47)
def test_verify_finds_and_repair_mends_from_the_cache(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n", "lua/b.lua": "return 2\n"})
    assert run("install", str(rock)) == 0
    rock.unlink()
    (tree / "share/lua/5.1/a.lua").write_text("edited\n")
    (tree / "share/lua/5.1/b.lua").unlink()
    assert run("verify") == 1
    assert "share/lua/5.1/a.lua" in command.output
    assert "share/lua/5.1/b.lua" in command.output
    assert run("repair") == 0
    assert (tree / "share/lua/5.1/a.lua").read_text() == "return 1\n"
    assert (tree / "share/lua/5.1/a.lua~").read_text() == "edited\n"
    assert (tree / "share/lua/5.1/b.lua").read_text() == "return 2\n"


def test_repair_says_what_it_cannot_mend(run: Run, command: Any, tree: Path, make_rock: MakeRock) -> None:
    rock = make_rock("a", "1.0-1", {"lua/a.lua": "return 1\n"})
    assert run("install", str(rock)) == 0
    (tree / "share/lua/5.1/a.lua").unlink()
    cache = command.home / ".cache"
    os.rename(cache, command.home / "elsewhere")
    assert run("repair") == 1
    assert "not mended: " in command.output
    assert run("repair", str(rock)) == 0
    assert (tree / "share/lua/5.1/a.lua").exists()


def test_repair_takes_down_what_a_lost_rock_left_in_the_place_of_another(
    run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    first = make_rock("a", "1.0-1", {"bin/tool": "print(1)\n"})
    second = make_rock("b", "1.0-1", {"bin/tool": "print(2)\n"})
    assert run("install", str(first), str(second)) == 0
    shutil.rmtree(tree / "lib/luarocks/rocks-5.1/a")
    shutil.rmtree(command.home / ".cache")
    assert run("repair") == 0
    assert "/b/1.0-1/bin/tool" in (tree / "bin/tool").read_text()
    assert run("verify") == 0


@pytest.mark.adversary(52)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_waiting_install_and_leaves_nothing(
    number: signal.Signals, run: Run, command: Any, tree: Path, make_rock: MakeRock
) -> None:
    """Exit code 128 + the signal's number; no lock, no temporary directory, no half-installed rock."""
    from pumice.tree.lock import TreeLock

    rock = make_rock("a", "1.0-1", {"lua/a.lua": ""})
    with TreeLock(str(tree)):
        child = os.fork()
        if child == 0:
            os._exit(run("install", str(rock)))
        time.sleep(1.0)
        os.kill(_only_child_of(child), number)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + number
    assert not list(tree.rglob("*"))
    assert not [path for path in command.home.iterdir() if path.name.startswith("pumice-")]


def _only_child_of(process: int) -> int:
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)
