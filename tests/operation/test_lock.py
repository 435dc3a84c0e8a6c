"""`lock` says exactly what a project's dependencies are; `sync` makes a tree that, wherever it runs."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.archive.member import Entry
from pumice.archive.zip_writer import write_zip
from pumice.base.config import Config, TreeSpec
from pumice.base.progress import Silent
from pumice.errors import DataError, DependencyError, FetchError, NotFoundError, PumiceError
from pumice.index.build import build_index
from pumice.operation.lock import lock_project
from pumice.operation.sync import sync
from pumice.rock.arch import machine_arch
from pumice.solve.lock import read_lock
from pumice.tree.manifest import read_tree_manifest


def _entry(name: str, text: str) -> Entry:
    return Entry(name, text.encode)


class Bench:
    """A server directory, a project, and what is in its tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = folder / "server"
        self.project = folder / "project"
        self.server.mkdir()
        self.project.mkdir()
        self.cache = folder / "cache"

    def rock(
        self, name: str, version: str, *needs: str, text: str = "", place: str = "", built: bool = True
    ) -> Path:
        """A rock with one module, on the server."""
        home = self.server / place if place else self.server
        home.mkdir(parents=True, exist_ok=True)
        rockspec = self.rockspec(name, version, f"http://localhost/{name}.zip", needs)
        (home / f"{name}-{version}.rockspec").write_text(rockspec)
        path = home / f"{name}-{version}.all.rock"
        if built:
            files = {
                f"{name}-{version}.rockspec": rockspec,
                f"lua/{name}.lua": text or f"return '{version}'\n",
            }
            write_zip(str(path), [_entry(key, value) for key, value in files.items()])
        return path

    def rockspec(self, name: str, version: str, url: str, needs: tuple[str, ...] = (), more: str = "") -> str:
        """The text of a rockspec."""
        listed = ", ".join(f'"{each}"' for each in needs)
        return (
            f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "{version}"\n'
            f'source = {{ url = "{url}"{more} }}\ndependencies = {{ {listed} }}\n'
            f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{name}.lua" }} }}\n'
        )

    def needs(self, *needs: str, more: str = "") -> None:
        """The project's rockspec."""
        text = self.rockspec("app", "1.0-1", "git://localhost/app", needs) + more
        (self.project / "app-1.0-1.rockspec").write_text(text)

    def serve(self) -> None:
        """The server's manifests are up to date."""
        for place in [self.server, *self.server.glob("manifests/*")]:
            build_index(str(place), Silent())

    def config(self, **more: object) -> Config:
        """Settings of a command in the project."""
        lua = str(more.get("lua_version", "5.1"))
        tree = TreeSpec.at(str(more.pop("tree", self.folder / "home")), lua)
        given: dict[str, object] = {
            "lua_version": lua,
            "arch": machine_arch(),
            "platforms": ("unix", "linux"),
            "variables": {},
            "sysconfdir": "/etc/luarocks",
            "cwd": str(self.project),
            "home": str(self.folder),
            "tree": tree,
            "trees": (tree,),
            "rocks_servers": ((str(self.server),),),
            "cache_dir": str(self.cache),
            "environment": {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder)},
            **more,
        }
        return Config(**given)  # type: ignore[arg-type]

    def lock(self, *, upgrade: bool = False, offline: bool = False, dry_run: bool = False, **more: object):
        return lock_project(self.config(**more), Silent(), upgrade=upgrade, offline=offline, dry_run=dry_run)

    def sync(
        self, *, offline: bool = False, dry_run: bool = False, layout: str | None = None, **more: object
    ):
        return sync(
            self.config(**more),
            Silent(),
            tree_given="tree" in more,
            offline=offline,
            dry_run=dry_run,
            layout=layout,
        )

    @property
    def text(self) -> str:
        return (self.project / "pumice.lock").read_text()

    def locked(self) -> dict[str, str]:
        return {rock.name: rock.version for rock in read_lock(self.text).rocks}

    def installed(self, root: Path | None = None, lua: str = "5.1") -> set[str]:
        tree = TreeSpec.at(str(root or self.project / "lua_modules"), lua)
        manifest = read_tree_manifest(tree, Silent())
        return {f"{name} {version}" for name in manifest.names() for version in manifest.versions(name)}

    def module(self, name: str) -> str:
        return (self.project / f"lua_modules/share/lua/5.1/{name}.lua").read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def simple(bench: Bench) -> Bench:
    """`stem` needs `leaf`; two versions of each."""
    bench.rock("stem", "1.0-1", "lua >= 5.1", "leaf ~> 1")
    bench.rock("leaf", "1.0-1")
    bench.rock("leaf", "1.2-1")
    bench.rock("leaf", "2.0-1")
    bench.serve()
    bench.needs("lua >= 5.1", "stem")
    return bench


def test_the_lock_has_everything_but_what_the_lua_brings(simple: Bench):
    done = simple.lock()
    assert done.added == ("leaf 1.2-1", "stem 1.0-1") and done.removed == ()
    stem = next(rock for rock in read_lock(simple.text).rocks if rock.name == "stem")
    assert (stem.lua, stem.platform, stem.dependencies) == ("5.1", machine_arch(), ("leaf",))
    assert stem.url.endswith("/stem-1.0-1.all.rock") and simple.locked().keys() == {"stem", "leaf"}
    before = simple.text
    assert simple.lock().added == () and simple.text == before


def test_a_project_for_another_lua_is_refused(simple: Bench):
    simple.needs("lua >= 5.4", "stem")
    with pytest.raises(DependencyError, match="lua"):
        simple.lock()
    assert not (simple.project / "pumice.lock").exists()


def test_what_a_gateway_brings_is_not_locked(simple: Bench):
    simple.lock(rocks_provided={"leaf": "1.9-1"})
    assert simple.locked() == {"stem": "1.0-1"}


def test_an_older_lock_is_kept_until_an_upgrade_is_asked_for(simple: Bench):
    simple.lock()
    simple.rock("leaf", "1.3-1")
    simple.serve()
    assert simple.lock().added == ()
    tried = simple.lock(upgrade=True, dry_run=True)
    assert (tried.added, tried.removed) == (("leaf 1.3-1",), ("leaf 1.2-1",))
    assert simple.locked()["leaf"] == "1.2-1"
    assert simple.lock(upgrade=True).added == ("leaf 1.3-1",)
    simple.needs("stem", "leaf < 1.3")
    assert simple.lock().removed == ("leaf 1.3-1",)
    assert simple.locked()["leaf"] == "1.2-1"


def test_own_build_and_test_dependencies_are_not_locked(simple: Bench):
    simple.needs(more='build_dependencies = { "leaf" }\ntest_dependencies = { "leaf" }\n')
    assert simple.lock().rocks == ()
    assert simple.sync().installed == ()


def test_lua_versions_and_platforms_stand_side_by_side(simple: Bench):
    simple.lock()
    simple.lock(lua_version="5.4")
    lock = read_lock(simple.text)
    foreign = [rock.replace(platform="linux-riscv64") for rock in lock.rocks if rock.lua == "5.1"]
    from pumice.solve.lock import lock_text

    (simple.project / "pumice.lock").write_text(lock_text(lock.with_target("5.1", "linux-riscv64", foreign)))
    simple.lock()
    assert len(read_lock(simple.text).targets()) == 3 and len(read_lock(simple.text).rocks) == 6
    simple.sync()
    simple.sync(lua_version="5.4")
    assert simple.installed() == simple.installed(lua="5.4") == {"stem 1.0-1", "leaf 1.2-1"}
    with pytest.raises(DataError, match=r"nothing for Lua 5\.3"):
        simple.sync(lua_version="5.3")


def test_sync_installs_removes_and_then_does_nothing(simple: Bench):
    simple.lock()
    planned = simple.sync(dry_run=True)
    assert planned.installed == (("leaf", "1.2-1"), ("stem", "1.0-1"))
    assert not (simple.project / "lua_modules").exists()
    simple.sync()
    assert simple.installed() == {"stem 1.0-1", "leaf 1.2-1"}
    simple.needs("leaf == 2.0")
    simple.lock()
    done = simple.sync()
    assert done.installed == (("leaf", "2.0-1"),)
    assert done.removed == (("leaf", "1.2-1"), ("stem", "1.0-1"))
    assert simple.installed() == {"leaf 2.0-1"}
    times = {path: path.lstat().st_mtime_ns for path in (simple.project / "lua_modules").rglob("*")}
    assert simple.sync() == done.replace(installed=(), removed=())
    assert times == {path: path.lstat().st_mtime_ns for path in (simple.project / "lua_modules").rglob("*")}


def test_a_project_is_found_from_below_and_without_a_lock_told_so(simple: Bench):
    below = simple.project / "src" / "deep"
    below.mkdir(parents=True)
    with pytest.raises(NotFoundError, match=r"pumice\.lock does not exist") as caught:
        simple.sync(cwd=str(below))
    assert "pumice lock" in caught.value.hint
    simple.lock(cwd=str(below))
    simple.sync(cwd=str(below))
    assert simple.installed() == {"stem 1.0-1", "leaf 1.2-1"}
    with pytest.raises(NotFoundError, match="not in a project"):
        simple.lock(cwd=str(simple.folder))


def test_another_tree_is_synced_only_when_named(simple: Bench):
    simple.lock()
    home = simple.folder / "named"
    simple.sync(tree=home)
    assert simple.installed(home) == {"stem 1.0-1", "leaf 1.2-1"}
    assert not (simple.project / "lua_modules").exists()


def test_a_generation_tree_gets_one_generation_for_the_whole_sync(simple: Bench):
    simple.lock()
    home = simple.folder / "generations-tree"
    simple.sync(tree=home, layout="generations")
    assert simple.installed(home / "current") == {"stem 1.0-1", "leaf 1.2-1"}
    simple.needs("leaf == 2.0")
    simple.lock()
    simple.sync(tree=home)
    assert simple.installed(home / "current") == {"leaf 2.0-1"}
    assert simple.installed(home / "generations" / "1") == {"stem 1.0-1", "leaf 1.2-1"}
    assert sorted(path.name for path in (home / "generations").iterdir() if path.name.isdigit()) == ["1", "2"]
    assert simple.sync(tree=home).installed == ()


def test_what_changed_on_the_server_is_refused_with_both_digests(simple: Bench):
    simple.lock()
    digest = next(rock.sha256 for rock in read_lock(simple.text).rocks if rock.name == "leaf")
    path = simple.rock("leaf", "1.2-1", text="return 'changed'\n")
    import hashlib

    now = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(PumiceError) as caught:
        simple.sync()
    assert digest in caught.value.message and now in caught.value.message
    assert not (simple.project / "lua_modules").exists()


def test_the_same_bytes_may_come_from_another_server(simple: Bench):
    simple.lock()
    moved = simple.folder / "moved"
    simple.server.rename(moved)
    with pytest.raises(PumiceError):
        simple.sync()
    simple.sync(rocks_servers=((str(moved),),))
    assert simple.installed() == {"stem 1.0-1", "leaf 1.2-1"}


def test_what_was_fetched_once_is_synced_offline(simple: Bench, serve: Callable[[Path], str]):
    url = serve(simple.server)
    simple.lock(rocks_servers=((url,),))
    simple.sync(rocks_servers=((url,),), offline=True)
    assert simple.installed() == {"stem 1.0-1", "leaf 1.2-1"}
    simple.cache = simple.folder / "empty"
    with pytest.raises(PumiceError):
        simple.sync(rocks_servers=((url,),), offline=True, tree=simple.folder / "other")


def test_credentials_are_never_in_a_lock_and_are_used_by_sync(
    simple: Bench, serve_private: Callable[[Path], str]
):
    """The server answers nobody without the password."""
    url = serve_private(simple.server)
    simple.lock(rocks_servers=((url,),))
    assert "secret" not in simple.text and "someone" not in simple.text
    simple.cache = simple.folder / "other-cache"
    simple.sync(rocks_servers=((url,),))
    assert simple.installed() == {"stem 1.0-1", "leaf 1.2-1"}
    simple.cache = simple.folder / "third-cache"
    with pytest.raises(PumiceError) as caught:
        simple.sync(tree=simple.folder / "other", rocks_servers=())
    assert "secret" not in caught.value.message


def test_namespaces_are_locked_and_installed(bench: Bench):
    bench.rock("tool", "1.0-1", place="manifests/someone")
    bench.rock("tool", "3.0-1")
    bench.serve()
    bench.needs("someone/tool")
    bench.lock()
    (rock,) = read_lock(bench.text).rocks
    assert (rock.namespace, rock.version) == ("someone", "1.0-1")
    bench.sync()
    folder = bench.project / "lua_modules/lib/luarocks/rocks-5.1/tool/1.0-1"
    assert (folder / "rock_namespace").read_text() == "someone"


# Sources


def archive(path: Path, text: str, *, stamp: int = 0, level: int = 9) -> None:
    """A source archive of one module and a link."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=level) as tar:
        info = tarfile.TarInfo("leaf-1.0/leaf.lua")
        info.size, info.mtime, info.mode = len(text), stamp, 0o644
        tar.addfile(info, io.BytesIO(text.encode()))


def test_an_archive_is_locked_by_what_it_holds(bench: Bench):
    source = bench.folder / "sources" / "leaf-1.0.tar.gz"
    archive(source, "return 'leaf'\n")
    (bench.server / "leaf-1.0-1.rockspec").write_text(bench.rockspec("leaf", "1.0-1", f"file://{source}"))
    bench.serve()
    bench.needs("leaf")
    bench.lock()
    before = bench.text
    archive(source, "return 'leaf'\n", stamp=5_000_000, level=1)
    bench.lock()
    assert bench.text == before
    bench.sync()
    assert bench.module("leaf") == "return 'leaf'\n"
    archive(source, "return 'evil'\n")
    with pytest.raises(DataError, match=r"not what pumice\.lock says") as caught:
        bench.sync(tree=bench.folder / "other")
    (rock,) = read_lock(before).rocks
    assert rock.sha256 in caught.value.message
    assert not (bench.folder / "other").exists()


def git(folder: Path, *words: str) -> str:
    """git, apart from any configuration of the machine."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "x@localhost"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(bench: Bench) -> Path:
    """A repository with a tagged first version, in which `leaf.lua` says 'first'."""
    folder = bench.folder / "leaf"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "leaf.lua").write_text("return 'first'\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("run")
    (folder / "linked").symlink_to("sub")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("x")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "tag", "v1")
    return folder


@pytest.mark.parametrize("reference", [', tag = "v1"', ', branch = "main"', ""])
@pytest.mark.parametrize("version", ["1.0-1", "scm-1"])
def test_git_sources_are_locked_by_commit(bench: Bench, repository: Path, reference: str, version: str):
    rockspec = bench.rockspec("leaf", version, f"git+file://{repository}", more=reference)
    (bench.server / f"leaf-{version}.rockspec").write_text(rockspec)
    bench.serve()
    bench.needs("leaf")
    first = git(repository, "rev-parse", "HEAD")
    bench.lock()
    (rock,) = read_lock(bench.text).rocks
    assert rock.commit == first
    (repository / "leaf.lua").write_text("return 'second'\n")
    git(repository, "commit", "-qam", "second")
    git(repository, "tag", "-f", "v1")
    bench.sync()
    assert bench.module("leaf") == "return 'first'\n"
    assert bench.sync().installed == ()
    done = bench.lock()
    second = git(repository, "rev-parse", "HEAD")
    assert done.added == (f"leaf {version} (commit {second[:12]})",)
    assert bench.sync().installed == (("leaf", version),)
    assert bench.module("leaf") == "return 'second'\n"
    assert bench.sync().installed == ()


def test_a_commit_that_holds_something_else_is_refused(bench: Bench, repository: Path):
    """As after a rewritten lock: the commit is there, but its content is not what was locked."""
    rockspec = bench.rockspec("leaf", "1.0-1", f"git+file://{repository}", more=', tag = "v1"')
    (bench.server / "leaf-1.0-1.rockspec").write_text(rockspec)
    bench.serve()
    bench.needs("leaf")
    bench.lock()
    (rock,) = read_lock(bench.text).rocks
    lock = bench.project / "pumice.lock"
    lock.write_text(lock.read_text().replace(rock.sha256, "0" * 64))
    with pytest.raises(DataError) as caught:
        bench.sync()
    assert rock.sha256 in caught.value.message and "0" * 64 in caught.value.message
    lock.write_text(bench.text.replace(str(rock.commit), "1" * 40))
    with pytest.raises(FetchError):
        bench.sync()
    assert not (bench.project / "lua_modules").exists()


def test_the_digest_of_sources_is_that_of_names_bytes_x_bits_and_links(bench: Bench, repository: Path):
    rockspec = bench.rockspec("leaf", "1.0-1", str(repository))
    (bench.server / "leaf-1.0-1.rockspec").write_text(rockspec)
    bench.serve()
    bench.needs("leaf")

    def digest() -> str:
        bench.lock()
        (rock,) = read_lock(bench.text).rocks
        return rock.sha256

    seen = [digest()]
    assert digest() == seen[0]
    os.utime(repository / "leaf.lua", (1, 1))
    (repository / "leaf.lua").chmod(0o600)
    (repository / "nothing").mkdir()
    assert digest() == seen[0]
    for change in (
        lambda: (repository / "leaf.lua").chmod(0o755),
        lambda: ((repository / "link").unlink(), (repository / "link").write_text("run")),
        lambda: ((repository / "linked").unlink(), (repository / "linked").symlink_to("run")),
        lambda: (repository / "sub" / "file").rename(repository / "sub" / "other"),
    ):
        change()
        seen.append(digest())
    assert len(set(seen)) == len(seen)


def test_sources_that_are_not_here_are_not_asked_for_offline(bench: Bench):
    text = bench.rockspec("leaf", "1.0-1", "git+https://127.0.0.1:1/leaf")
    (bench.server / "leaf-1.0-1.rockspec").write_text(text)
    bench.serve()
    bench.needs("leaf")
    with pytest.raises(FetchError, match="not at hand"):
        bench.lock(offline=True)


def test_locked_sources_come_from_the_cache_by_their_digest(
    bench: Bench, repository: Path, serve: Callable[[Path], str]
):
    """Neither the archive nor the repository is there any more, and the tag had been moved meanwhile."""
    served = bench.folder / "served"
    archive(served / "stem.tar.gz", "return 'stem'\n")
    bare = served / "leaf.git"
    git(bench.folder, "clone", "-q", "--bare", str(repository), str(bare))
    git(bare, "update-server-info")
    url = serve(served)
    for name, where in (("leaf", f"git+{url}/leaf.git"), ("stem", f"{url}/stem.tar.gz")):
        more = ', tag = "v1"' if name == "leaf" else ""
        text = bench.rockspec(name, "1.0-1", where, more=more).replace(f'"{name}.lua"', '"leaf.lua"')
        (bench.server / f"{name}-1.0-1.rockspec").write_text(text)
    bench.serve()
    bench.needs("leaf", "stem")
    bench.lock()
    for path in (served / "stem.tar.gz", bare / "info" / "refs"):
        path.unlink()
    bench.sync(offline=True)
    assert bench.module("leaf") == "return 'first'\n" and bench.module("stem") == "return 'stem'\n"
    assert bench.sync(tree=bench.folder / "other").installed
    (kept,) = [path for path in (bench.cache / "files").glob("*/*") if b"first" in path.read_bytes()]
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes().replace(b"first", b"evil!"))
    with pytest.raises(FetchError):
        bench.sync(tree=bench.folder / "third", offline=True)


def test_what_a_locked_rock_needs_to_be_built_comes_with_it(bench: Bench, repository: Path):
    rockspec = bench.rockspec("leaf", "1.0-1", f"git+file://{repository}")
    (bench.server / "leaf-1.0-1.rockspec").write_text(rockspec + 'build_dependencies = { "maker" }\n')
    bench.rock("maker", "1.0-1")
    bench.serve()
    bench.needs("leaf")
    bench.lock()
    assert bench.locked() == {"leaf": "1.0-1", "maker": "1.0-1"}
    bench.sync()
    assert bench.installed() == {"leaf 1.0-1", "maker 1.0-1"}


def test_the_record_of_a_sync_may_be_lost_or_damaged(simple: Bench):
    simple.lock()
    simple.sync()
    record = simple.project / ".pumice" / "synced.json"
    assert json.loads(record.read_text())[str(simple.project / "lua_modules")]
    assert (simple.project / ".pumice" / ".gitignore").read_text() == "*\n"
    for text in ("", "[]", '{"a": 1}', "[" * 100_000):
        record.write_text(text)
        assert simple.sync().installed == ()


@pytest.mark.parametrize("text", ["version = 2\n", "<<<<<<< mine\n", "version = 1\nrock = 1\n", "\udcff"])
def test_a_damaged_lock_is_told_of_and_never_replaced(simple: Bench, text: str):
    path = simple.project / "pumice.lock"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for act in (simple.lock, simple.sync):
        with pytest.raises(DataError, match=r"pumice\.lock"):
            act()
    assert path.read_bytes() == text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "..",
        "http://127.0.0.1:1/",
        "http://127.0.0.1:1/..",
        "http://127.0.0.1:1/.rock",
        "ftp://127.0.0.1/leaf-1.0-1.rock",
        "/dev/null.rock",
        "git+file:///nowhere",
        "http://[/leaf-1.0-1.all.rock",
    ],
)
def test_whatever_url_a_lock_names_only_the_locked_bytes_come(simple: Bench, url: str):
    """Without a server that has the locked bytes, whatever stands there ends in an error."""
    simple.needs("leaf")
    simple.lock()
    (rock,) = read_lock(simple.text).rocks
    path = simple.project / "pumice.lock"
    path.write_text(simple.text.replace(rock.url, url))
    with pytest.raises(PumiceError):
        simple.sync(rocks_servers=(), cache_dir=str(simple.folder / "empty"))
    assert not (simple.project / "lua_modules").exists()
    assert sorted(each.name for each in simple.folder.iterdir() if each.name.startswith("pumice-")) == []
