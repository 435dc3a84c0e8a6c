"""What nodes shall hold: planned here from their records, for their machine, with everything it needs."""

from __future__ import annotations

import shutil
import subprocess
import threading

import pytest

from pumice.cluster.content import Wish
from pumice.cluster.elf import read_elf
from pumice.cluster.payload import make_payload
from pumice.errors import DataError, DependencyError, TreeError

HANDLER = "share/lua/5.1/kong/plugins/demo/handler.lua"


@pytest.fixture
def tools(tmp_path, link_tools):
    """What is planned here does not depend on the node's tools."""
    return link_tools(tmp_path / "tools", "coreutils")


@pytest.fixture
def node(local_node):
    """One node."""
    return local_node()


@pytest.fixture
def rock(tmp_path):
    """Writes the sources of a rock with one module."""

    def write(name: str, version: str = "1.0-1", more: str = "", file: str = "m.lua", text: str = "return 1"):
        folder = tmp_path / f"{name}-{version}"
        folder.mkdir()
        (folder / file).write_text(text)
        (folder / f"{name}-{version}.rockspec").write_text(
            f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "{version}"\nsource = {{ url = "." }}\n'
            f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{file}" }} }}\n{more}\n'
        )
        return folder

    return write


class TestInstalling:
    def test_a_plugin_is_found_with_its_version_priority_and_schema(self, node, maker, plugin):
        content = maker.content(node.connection, node.probe(), Wish((f"{plugin()}/",)))

        demo = content.plugins["demo"]
        assert (demo.version, demo.priority, demo.rock) == ("0.1.0", 10, ("kong-plugin-demo", "0.1.0-1"))
        assert demo.schema["name"] == "demo"
        assert demo.files == ("kong/plugins/demo/handler.lua", "kong/plugins/demo/schema.lua")
        assert not demo.migrations
        assert content.asked == ("demo",)
        assert content.added == (("kong-plugin-demo", "0.1.0-1"),)
        assert HANDLER in content.files
        assert "lib/luarocks/rocks-5.1/manifest" in content.files

    def test_the_tree_is_what_an_installation_here_would_make(self, node, maker, plugin, tmp_path):
        source = plugin()
        node.roll_out(maker, Wish((f"{source}/",)))
        subprocess.run(
            ["luarocks", "--lua-version=5.1", f"--tree={tmp_path}/other", "make", "--deps-mode=none"],
            cwd=source,
            check=True,
            capture_output=True,
        )

        theirs = {
            str(path.relative_to(tmp_path / "other")): path.read_bytes()
            for path in (tmp_path / "other").rglob("*")
            if path.is_file()
        }
        assert node.files() == theirs

    def test_doing_it_again_sends_nothing(self, node, maker, plugin):
        source = plugin()
        node.roll_out(maker, Wish((f"{source}/",)))

        facts = node.probe()
        content = maker.content(node.connection, facts, Wish((f"{source}/",)))

        assert content.unchanged
        assert content.asked == ("demo",)
        assert make_payload(content, facts, command="x", now=1.0) is None
        again = make_payload(content, facts, command="x", now=1.0, again=True)
        assert (again.generation, again.keys) == (2, ())

    def test_an_upgrade_and_a_downgrade_replace_the_version(self, node, maker, plugin):
        old, new = plugin(), plugin(version="0.2.0")
        node.roll_out(maker, Wish((f"{old}/",)), "r1")
        content = node.roll_out(maker, Wish((f"{new}/",)), "r2")

        assert (content.plugins_before["demo"].version, content.plugins["demo"].version) == ("0.1.0", "0.2.0")
        assert content.removed == (("kong-plugin-demo", "0.1.0-1"),)
        assert b"0.2.0" in node.files()[HANDLER]
        node.roll_out(maker, Wish((f"{old}/",)), "r3")
        assert b"0.1.0" in node.files()[HANDLER]

    def test_equal_nodes_share_one_computation(self, local_node, maker, plugin):
        nodes = [local_node() for _ in range(3)]
        wish = Wish((f"{plugin()}/",))
        made = []
        threads = [
            threading.Thread(
                target=lambda node=node: made.append(maker.content(node.connection, node.probe(), wish))
            )
            for node in nodes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(made) == 3
        assert all(content is made[0] for content in made)

    def test_a_node_that_somebody_else_filled_is_read_from_the_node(self, node, maker, plugin, tmp_path):
        node.roll_out(maker, Wish((f"{plugin()}/",)))
        shutil.rmtree(tmp_path / "cache")
        maker._blobs._known.clear()

        content = maker.content(node.connection, node.probe(), Wish((f"{plugin('other')}/",)))

        assert set(content.plugins) == {"demo", "other"}
        assert content.plugins["demo"].version == "0.1.0"

    def test_what_a_node_gives_that_is_not_what_its_digest_says_is_not_believed(
        self, node, maker, plugin, tmp_path
    ):
        node.roll_out(maker, Wish((f"{plugin()}/",)))
        shutil.rmtree(tmp_path / "cache")
        maker._blobs._known.clear()
        manifest = node.tree / "current/lib/luarocks/rocks-5.1/manifest"
        manifest.chmod(0o644)
        manifest.write_bytes(b"commands = {} os.exit()")

        with pytest.raises(TreeError, match="manifest of its tree is damaged"):
            maker.content(node.connection, node.probe(), Wish((f"{plugin('other')}/",)))

    def test_commands_find_their_tree_wherever_it_is(self, node, maker, rock):
        source = rock("tool", more='build.install = { bin = { tool = "m.lua" } }')

        node.roll_out(maker, Wish((f"{source}/",)))

        command = node.files()["bin/tool"]
        assert b"PUMICE_TREE" in command
        assert b"generations" not in command


class TestDependencies:
    def test_what_the_gateway_brings_is_not_sent(self, node, maker, plugin):
        source = plugin(more='dependencies = { "lua >= 5.1", "penlight >= 1.5", "lua-resty-http" }')

        content = maker.content(node.connection, node.probe(), Wish((f"{source}/",)))

        assert content.rocks == (("kong-plugin-demo", "0.1.0-1"),)

    def test_what_is_missing_is_told_before_anything_is_sent(self, node, maker, plugin):
        source = plugin(more='dependencies = { "nowhere >= 1" }')

        with pytest.raises(Exception, match="nowhere"):
            maker.content(node.connection, node.probe(), Wish((f"{source}/",)))

        assert not node.tree.exists()

    def test_rocks_that_come_together_fulfil_each_other(self, node, maker, plugin, rock):
        source = plugin(more='dependencies = { "base >= 1" }')

        content = maker.content(node.connection, node.probe(), Wish((f"{source}/", f"{rock('base')}/")))

        assert content.rocks == (("base", "1.0-1"), ("kong-plugin-demo", "0.1.0-1"))

    def test_what_others_need_is_not_removed_unless_forced(self, node, maker, plugin, rock):
        source = plugin(more='dependencies = { "base >= 1" }')
        node.roll_out(maker, Wish((f"{source}/", f"{rock('base')}/")))
        facts = node.probe()

        with pytest.raises(DependencyError, match="base cannot be removed"):
            maker.content(node.connection, facts, Wish(remove=("base",)))
        content = maker.content(node.connection, facts, Wish(remove=("base",), force=True))
        assert content.removed == (("base", "1.0-1"),)


class TestRemoving:
    def test_a_plugins_name_means_its_rock(self, node, maker, plugin):
        node.roll_out(maker, Wish((f"{plugin()}/",)), "r1")

        content = node.roll_out(maker, Wish(remove=("demo",)), "r2")

        assert content.plugins == {}
        assert HANDLER not in node.files()
        assert "plugins = bundled # all of them" in node.conf.read_text()

    def test_what_is_not_there_is_nothing_to_do(self, node, maker):
        assert maker.content(node.connection, node.probe(), Wish(remove=("demo",))).unchanged


C_MODULE = "int luaopen_cmod(void *state) { (void)state; return 0; }"


@pytest.mark.peer
class TestMachines:
    def facts(self, node, **more):
        return node.probe().replace(**more)

    def test_a_module_for_this_machine_is_sent_to_nodes_like_it(self, node, maker, rock):
        content = maker.content(
            node.connection, node.probe(), Wish((f"{rock('cmod', file='m.c', text=C_MODULE)}/",))
        )

        assert "lib/lua/5.1/cmod.so" in content.files

    def test_nodes_of_another_machine_without_a_cross_compiler_are_refused(self, node, maker, rock):
        source = rock("cmod", file="m.c", text=C_MODULE)

        with pytest.raises(DataError, match="is for x86_64, and not for linux-s390") as error:
            maker.content(node.connection, self.facts(node, arch="s390x"), Wish((f"{source}/",)))

        assert "s390x-linux-gnu-gcc" in error.value.hint

    def test_a_rock_of_lua_alone_goes_to_every_machine(self, node, maker, plugin):
        content = maker.content(
            node.connection, self.facts(node, arch="s390x", libc="musl"), Wish((f"{plugin()}/",))
        )

        assert "demo" in content.plugins

    @pytest.mark.parametrize(
        ("arch", "libc", "compiler"),
        [("aarch64", "glibc", "aarch64-linux-gnu-gcc"), ("x86_64", "musl", "musl-gcc")],
    )
    def test_a_cross_compiler_builds_for_another_machine(self, node, maker, rock, arch, libc, compiler):
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        source = rock("cmod", file="m.c", text=C_MODULE)

        content = maker.content(
            node.connection, self.facts(node, arch=arch, libc=libc), Wish((f"{source}/",))
        )

        elf = read_elf(content.source.read(content.files["lib/lua/5.1/cmod.so"].key))
        assert elf.processor == arch
        assert elf.libc in (libc, None)

    def test_a_gateway_of_another_lua_is_refused(self, node, maker, plugin):
        with pytest.raises(DataError, match=r"runs Lua 5\.4"):
            maker.content(node.connection, self.facts(node, lua="5.4"), Wish((f"{plugin()}/",)))

    def test_a_hook_is_refused(self, node, maker, plugin):
        source = plugin(more='hooks = { post_install = "true" }')

        with pytest.raises(DataError, match="hook"):
            maker.content(node.connection, node.probe(), Wish((f"{source}/",)))


class TestMigrations:
    def test_are_noticed(self, node, maker, plugin):
        source = plugin(
            files={
                "daos.lua": "return {{}}",
                "migrations/init.lua": 'return {{ "000_base" }}',
                "migrations/000_base.lua": "return {{}}",
            }
        )

        assert maker.content(node.connection, node.probe(), Wish((f"{source}/",))).plugins["demo"].migrations


class TestElf:
    def test_what_is_none_is_none(self):
        assert read_elf(b"") is None
        assert read_elf(b"#!/bin/sh\n" * 10) is None
        assert read_elf(b"\x7fELF" + b"\xff" * 100) is None
        assert read_elf(b"\x7fELF\x02\x01" + b"\0" * 100).needed == ()

    def test_this_machines_shell_is_read(self):
        with open("/bin/sh", "rb") as file:
            elf = read_elf(file.read())

        assert elf.processor == __import__("os").uname().machine


class TestExactly:
    """What is not asked for, and not needed by what is, goes."""

    NEEDS = 'dependencies = { "lua >= 5.1", "lib" }'

    def names(self, content):
        return {name for name, _ in content.rocks}

    def test_what_nobody_asks_for_goes_with_what_only_it_needed(self, node, maker, rock):
        lib, only, far = rock("lib"), rock("only", more='dependencies = { "far" }'), rock("far")
        one = rock("one", more=self.NEEDS)
        two = rock("two", more='dependencies = { "lib", "only" }')
        everything = tuple(f"{each}/" for each in (far, lib, only, one, two))
        node.roll_out(maker, Wish(everything), "r1")

        content = maker.content(node.connection, node.probe(), Wish((f"{one}/",), exact=True))

        assert self.names(content) == {"one", "lib"}
        assert set(content.removed) == {("far", "1.0-1"), ("only", "1.0-1"), ("two", "1.0-1")}
        assert "share/lua/5.1/two.lua" not in content.files
        assert "share/lua/5.1/lib.lua" in content.files

    def test_a_cycle_that_nothing_asks_for_goes(self, node, maker, rock):
        a, b = rock("a", more='dependencies = { "b" }'), rock("b", more='dependencies = { "a" }')
        kept = rock("kept")
        node.roll_out(maker, Wish(tuple(f"{each}/" for each in (a, b, kept))), "r1")

        content = maker.content(node.connection, node.probe(), Wish((f"{kept}/",), exact=True))

        assert self.names(content) == {"kept"}

    def test_an_upgrade_whose_new_version_needs_less_takes_the_rest_away(self, node, maker, rock):
        lib, old, new = rock("lib"), rock("one", more=self.NEEDS), rock("one", "2.0-1")
        node.roll_out(maker, Wish((f"{lib}/", f"{old}/")), "r1")

        content = maker.content(node.connection, node.probe(), Wish((f"{new}/",), exact=True))

        assert content.rocks == (("one", "2.0-1"),)
        assert set(content.removed) == {("lib", "1.0-1"), ("one", "1.0-1")}

    def test_a_tree_that_is_exactly_so_is_unchanged(self, node, maker, rock):
        lib, one = rock("lib"), rock("one", more=self.NEEDS)
        node.roll_out(maker, Wish((f"{lib}/", f"{one}/")), "r1")

        assert maker.content(node.connection, node.probe(), Wish((f"{one}/",), exact=True)).unchanged
