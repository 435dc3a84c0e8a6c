"""The tree manifest: read by the entry, changed by the entry, and the whole text always LuaRocks's own."""

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.base.progress import Silent
from pumice.errors import ManifestError
from pumice.lua.data import evaluate
from pumice.lua.write import format_globals
from pumice.rock.dependency import parse_dependency
from pumice.tree.manifest import TreeManifest, read_tree_manifest
from pumice.tree.manifest_table import NotCanonical, parse_table, table_keys
from pumice.tree.manifest_text import CanonicalText

EMPTY = b"commands = {}\ndependencies = {}\nmodules = {}\nrepository = {}\n"
SMALL = b"""commands = {
   tool = {
      "b/1.0-1"
   }
}
dependencies = {
   a = {
      ["1.0-1"] = {},
      ["2.0-1"] = {
         {
            constraints = {
               {
                  no_upgrade = true,
                  op = "~>",
                  version = {
                     1, 2, -999.99999, revision = 3, string = "1.2rc1-3"
                  }
               }
            },
            name = "b",
            namespace = "ns"
         }
      }
   },
   b = {
      ["1.0-1"] = {}
   },
   elsewhere = {}
}
modules = {
   ["a.b"] = {
      "a/2.0-1",
      "a/1.0-1",
      "b/1.0-1"
   },
   ["data/x y.txt"] = {
      "a/2.0-1"
   }
}
repository = {
   a = {
      ["1.0-1"] = {
         {
            arch = "installed",
            commands = {},
            dependencies = {},
            modules = {
               ["a.b"] = "a/b.lua"
            }
         }
      },
      ["2.0-1"] = {
         {
            arch = "installed",
            commands = {},
            dependencies = {
               b = "1.0-1"
            },
            modules = {
               ["a.b"] = "a/b.so",
               ["data/x y.txt"] = "data/x y.txt"
            }
         }
      }
   },
   b = {
      ["1.0-1"] = {
         {
            arch = "installed",
            commands = {
               tool = "tool"
            },
            dependencies = {},
            modules = {
               ["a.b"] = "a/b.lua"
            }
         }
      }
   }
}
"""


def manifest_of(data=SMALL):
    """A manifest from text."""
    return TreeManifest.parse(data, "manifest")


def test_everything_can_be_asked_for():
    """Names, versions, what a rock provides and needs, who provides what."""
    manifest = manifest_of()
    assert manifest.names() == ["a", "b"]
    assert manifest.versions("a") == ("1.0-1", "2.0-1")
    assert manifest.versions("elsewhere") == ()
    assert manifest.has("b", "1.0-1") and not manifest.has("b", "2.0-1")
    entry = manifest.entry("a", "2.0-1")
    assert entry.modules == {"a.b": "a/b.so", "data/x y.txt": "data/x y.txt"}
    assert entry.dependencies == {"b": "1.0-1"}
    assert manifest.entry("a", "3.0-1") is None
    assert manifest.providers("modules", "a.b") == (("a", "2.0-1"), ("a", "1.0-1"), ("b", "1.0-1"))
    assert manifest.providers("commands", "tool") == (("b", "1.0-1"),)
    assert manifest.providers("modules", "nothing") == ()
    assert manifest.provided_items("modules") == ["a.b", "data/x y.txt"]
    (dependency,) = manifest.dependencies("a", "2.0-1")
    assert dependency == parse_dependency("ns/b @~> 1.2rc1-3").replace(text=dependency.text)
    assert manifest.dependencies("a", "1.0-1") == ()
    assert manifest.dependencies("c", "1.0-1") is None
    assert manifest.needing("b") == {"a"}
    assert manifest.needing("a") == set()


def test_what_is_not_changed_is_copied():
    """Byte for byte."""
    assert manifest_of().to_bytes() == SMALL
    assert manifest_of(EMPTY).to_bytes() == EMPTY


def test_adding_and_dropping_leaves_what_was():
    """Whatever was asked in between, and wherever the rock sorts."""
    for name in ("0", "a", "aa", "b-c", "zz", "end"):
        manifest = manifest_of()
        manifest.add(
            name, "3.0-1", {"a.b": "a/b.lua", "new": "new.lua"}, {"tool": "tool"}, (parse_dependency("b"),)
        )
        assert manifest.has(name, "3.0-1")
        assert manifest.needing("b") == {"a", name}
        added = manifest.to_bytes()
        assert added != SMALL
        again = manifest_of(added)
        assert again.has(name, "3.0-1")
        for each in (manifest, again):
            assert each.drop(name, "3.0-1") == []
            assert each.to_bytes() == SMALL


def test_providers_are_sorted_by_name_and_then_the_newest_first():
    """The first one is active."""
    manifest = manifest_of()
    for name, version in (("a", "1.10-1"), ("b", "0.9-1"), ("0", "1-1"), ("a", "scm-1"), ("a", "1.9-1")):
        manifest.add(name, version, {"a.b": "a/b.lua"}, {}, ())
    assert [f"{name}/{version}" for name, version in manifest.providers("modules", "a.b")] == [
        "0/1-1",
        "a/scm-1",
        "a/2.0-1",
        "a/1.10-1",
        "a/1.9-1",
        "a/1.0-1",
        "b/1.0-1",
        "b/0.9-1",
    ]


def test_an_item_that_the_manifest_should_have_had_is_told():
    """LuaRocks warns of a corrupted manifest."""
    manifest = manifest_of(
        SMALL.replace(b'   ["a.b"] = {\n      "a/2.0-1",', b'   ["a.c"] = {\n      "a/2.0-1",')
    )
    assert manifest.drop("b", "1.0-1") == ["a.b"]


def test_an_old_key_of_a_directory_module_is_withdrawn():
    """`m` in the rock's entry, `m.init` among the modules: between LuaRocks 2 and 3."""
    manifest = manifest_of(SMALL.replace(b'   ["a.b"] = {\n      "a/2', b'   ["a.b.init"] = {\n      "a/2'))
    assert manifest.drop("b", "1.0-1") == []
    assert manifest.providers("modules", "a.b.init") == (("a", "2.0-1"), ("a", "1.0-1"))


ODD_LAYOUTS = {
    "two blanks": SMALL.replace(b"\n   ", b"\n  "),
    "tabs": SMALL.replace(b"   ", b"\t"),
    "one line": SMALL.replace(b"\n", b" "),
    "no blanks": SMALL.replace(b" = ", b"="),
    "carriage returns": SMALL.replace(b"\n", b"\r\n"),
    "a comment": SMALL.replace(b"modules = {\n   [", b"modules = {\n   -- written by hand\n   [", 1),
    "other order": SMALL[SMALL.index(b"modules") :] + SMALL[: SMALL.index(b"modules")],
    "an entry on one line": SMALL.replace(b'   tool = {\n      "b/1.0-1"\n   }', b'   tool = { "b/1.0-1" }'),
    "semicolons": SMALL.replace(b"},\n", b"};\n"),
    "a comma at the end": SMALL.replace(b"      }\n   }\n}", b"      }\n   },\n}"),
    "other quotes": SMALL.replace(b'"b/1.0-1"\n', b"'b/1.0-1'\n"),
    "bracketed plain key": SMALL.replace(b"   b = {\n", b'   ["b"] = {\n'),
    "single-quoted keys": SMALL.replace(b'["2.0-1"]', b"['2.0-1']"),
    "long string": SMALL.replace(b'"b/1.0-1"\n', b"[[b/1.0-1]]\n"),
    "braces apart": SMALL.replace(b" = {\n", b" =\n{\n"),
    "no dependencies": SMALL[: SMALL.index(b"dependencies")] + SMALL[SMALL.index(b"modules") :],
}


@pytest.mark.parametrize("layout", ODD_LAYOUTS)
def test_any_layout_means_what_it_means_in_lua(layout):
    """And the next change writes it as LuaRocks would."""
    data = ODD_LAYOUTS[layout]
    manifest = manifest_of(data)
    assert manifest.names() == ["a", "b"]
    assert manifest.providers("commands", "tool") == (("b", "1.0-1"),)
    assert manifest.versions("a") == ("1.0-1", "2.0-1")
    manifest.add("c", "1.0-1", {"c": "c.lua"}, {}, ())
    manifest.drop("c", "1.0-1")
    written = evaluate(manifest.to_bytes(), "written").globals
    meant = evaluate(data, "given").globals
    assert written == {"dependencies": {}, **meant}


def test_entries_out_of_order_are_found_and_put_in_order():
    """Whoever wrote them so."""
    start = SMALL.index(b'   a = {\n      ["1.0-1"] = {\n         {\n            arch')
    end = SMALL.index(b"   b = {\n", start)
    swapped = SMALL[:start] + SMALL[end:-3] + b",\n" + SMALL[start : end - 2] + b"\n}\n"
    manifest = manifest_of(swapped)
    assert manifest.versions("b") == ("1.0-1",)
    assert manifest.versions("a") == ("1.0-1", "2.0-1")
    manifest.add("c", "1.0-1", {}, {}, ())
    manifest.drop("c", "1.0-1")
    assert manifest.to_bytes() == SMALL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"return {}",
        b"repository = 1\nmodules = {}\ncommands = {}\n",
        b"\x1bLua",
        b"while true do end",
        SMALL[: len(SMALL) // 2],
        SMALL.replace(b"repository", b"repositori"),
        b'commands = {}\nmodules = {}\nrepository = { a = "b" }\n',
        b"commands = {}\nmodules = {}\nrepository = {\n   [ [[a\nb]] ] = {}\n}\n",
    ],
)
def test_what_is_no_manifest_is_refused(data):
    """LuaRocks then says that there is none."""
    with pytest.raises(ManifestError):
        manifest_of(data)


def test_a_tree_without_a_manifest_has_no_rocks(bench):
    """And a reader does not complain."""
    manifest = read_tree_manifest(bench.tree, Silent())
    assert (manifest.names(), manifest.rebuilt) == ([], True)
    assert manifest.to_bytes() == EMPTY


def test_a_damaged_manifest_is_replaced_by_what_is_on_the_disk(bench, tools):
    """A reader is warned, and sees the rocks all the same."""
    bench.install(tools.rock("m", "1.0-1", {"lua/m.lua": b"1"}, ["lua >= 5.1"]))
    (bench.root / "lib/luarocks/rocks-5.1/manifest").write_bytes(b"{")
    said = []

    class Listening(Silent):
        def message(self, level, text):
            said.append((level, text))

    manifest = read_tree_manifest(bench.tree, Listening())
    assert manifest.names() == ["m"]
    assert [level for level, _ in said] == ["warning"]


TEXTS = st.text(st.sampled_from("ab._-/ \"\\{}=,\u00fc]['1"), min_size=1, max_size=8)
TABLES = st.recursive(
    st.one_of(TEXTS, st.integers(-5, 10**12), st.booleans(), st.floats(-1e6, 1e6, width=32)),
    lambda inner: st.one_of(
        st.dictionaries(TEXTS, inner, max_size=4),
        st.lists(inner, max_size=3).map(lambda each: dict(enumerate(each, 1))),
    ),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, TABLES, max_size=4))
def test_tables_are_read_as_lua_reads_them(table):
    """Of everything that the writer writes."""
    text = format_globals({"x": {"key": table}}).encode()
    value = text[len(b"x = {\n   key = ") : -len(b"\n}\n")]
    assert parse_table(value) == evaluate(text, "x").globals["x"]["key"]


@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.just({}), max_size=2), min_size=1, max_size=4))
def test_keys_are_read_without_the_rest(table):
    """Or the text is left to the parser."""
    text = format_globals({"x": {"key": table}}).encode()
    value = text[len(b"x = {\n   key = ") : -len(b"\n}\n")]
    try:
        keys = table_keys(value)
    except NotCanonical:
        assert any('"' in key or "\\" in key for key in table)
    else:
        assert keys == sorted(table, key=str.encode)


@settings(max_examples=60)
@given(
    st.dictionaries(TEXTS, st.lists(TEXTS, min_size=1, max_size=2), max_size=12),
    st.lists(st.tuples(TEXTS, st.booleans()), max_size=8),
)
def test_changed_sections_are_what_the_writer_would_have_written(before, changes):
    """Keys in order, commas in place, however many entries come and go."""
    tables = {key: dict(enumerate(values, 1)) for key, values in before.items()}
    sections = {"commands": {}, "dependencies": {}, "modules": tables, "repository": {}}
    text = CanonicalText(format_globals(sections).encode(), checked=True)
    section = text.sections["modules"]
    after = dict(tables)
    for key, stays in changes:
        if stays:
            after[key] = {1: "new"}
            section.set(key, b'{\n      "new"\n   }')
        else:
            after.pop(key, None)
            section.set(key, None)
        assert (section.get(key) is not None) is stays
    assert section.keys() == sorted(after, key=str.encode)
    assert text.render() == format_globals({**sections, "modules": after}).encode()


def large(rocks):
    """The manifest of a tree of many rocks, each with eight modules and a dependency on an earlier one."""
    names = [f"rock{number:05d}" for number in range(rocks)]
    repository, modules, dependencies = {}, {}, {}
    for number, name in enumerate(names):
        provided = {f"{name}.m{each}": f"{name}/m{each}.lua" for each in range(8)}
        entry = {"arch": "installed", "modules": provided, "commands": {}, "dependencies": {}}
        repository[name] = {"1.0-1": {1: entry}}
        modules.update({module: {1: f"{name}/1.0-1"} for module in provided})
        dependencies[name] = {"1.0-1": {1: {"name": names[number // 2], "constraints": {}}}}
    return format_globals(
        {"commands": {}, "dependencies": dependencies, "modules": modules, "repository": repository}
    ).encode()


def seconds(work):
    """The CPU time that `work` takes at its best."""
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.peer
def test_one_rock_more_in_a_large_tree_costs_less_than_lua_takes_to_read_the_manifest(tmp_path, bench, tools):
    """LuaRocks loads all of it, computes all closures, sorts, and writes; here most of it is copied."""
    data = large(2000)
    (tmp_path / "manifest").write_bytes(data)
    rock = tools.rock("zebra", "1.0-1", {f"lua/zebra/m{each}.lua": b"1" for each in range(8)}, ["rock01999"])
    bench.install(tools.rock("warm", "1.0-1"))
    (bench.root / "lib/luarocks/rocks-5.1/manifest").write_bytes(data)

    def install():
        planner = bench.planner()
        planner.install(rock)
        planner.finish()

    program = "local start = os.clock() setfenv(loadfile(arg[1]), {})() print(os.clock() - start)"
    (tmp_path / "load.lua").write_text(program)
    done = subprocess.run(
        ["lua5.1", tmp_path / "load.lua", tmp_path / "manifest"], capture_output=True, text=True, check=True
    )
    # What is asserted is that nothing walks the whole tree in Python.
    assert seconds(install) < 10 * float(done.stdout)
    assert seconds(
        lambda: read_tree_manifest(bench.tree, Silent()).providers("modules", "rock01000.m3")
    ) < float(done.stdout)


@pytest.mark.adversary(37)
def test_a_manifest_with_more_constants_than_luajit_takes_loads():
    """80,000 entries, in the usual layout and in another one."""
    modules = {f"m{number}": {1: "a/1.0-1"} for number in range(80_000)}
    data = format_globals({"commands": {}, "modules": modules, "repository": {}}).encode()
    assert manifest_of(data).providers("modules", "m79999") == (("a", "1.0-1"),)
    assert manifest_of(data.replace(b"\n   ", b"\n ")).providers("modules", "m79999") == (("a", "1.0-1"),)
