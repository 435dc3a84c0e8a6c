"""Section 4.11 of the Kong contract, cell by cell: what each channel takes, and what it says of the rest."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.errors import CheckError
from pumice.kong.channel_plugin import ChannelPlugin
from pumice.kong.channel_rules import channel_report
from pumice.kong.check import Report, check
from pumice.kong.finding import Finding
from pumice.kong.helm import helm_texts
from pumice.kong.manual_tar import package_of_tar
from pumice.kong.operator import operator_texts
from pumice.kong.package import Package
from pumice.kong.plugin import find_plugins
from pumice.kong.plugin_files import PluginFiles
from pumice.kong.targets import CHANNELS, Targets, parse_targets

Demo = Callable[..., Package]
Changed = Callable[..., str]

NODES = ("rock", "tar", "image")
PLAIN = "return { name = 'demo', fields = { { config = { type = 'record', fields = {} } } } }"
MODULES = '["kong.plugins.demo.util"] = "kong/plugins/demo/util.lua" } }'
BELOW = '["kong.plugins.demo.lib.util"] = "kong/plugins/demo/lib/util.lua" } }'
ENTITIES = (
    '["kong.plugins.demo.daos"] = "kong/plugins/demo/daos.lua",'
    '["kong.plugins.demo.migrations"] = "kong/plugins/demo/migrations/init.lua" } }'
)
ELSEWHERE = '["demo.util"] = "util.lua" } }'


def handler(body: str = "", before: str = "") -> str:
    return f'{before}\nlocal D = {{ PRIORITY = 1, VERSION = "1.0.0" }}\n{body}\nreturn D'


def on(channel: str, package: Package, *more: str) -> Report:
    return check(package, targets=parse_targets([channel, *more]))


def of_channel(channel: str, package: Package, *more: str) -> list[Finding]:
    """What the channel says, but for the switch that it always reminds of."""
    found = on(channel, package, *more).findings
    return [item for item in found if channel in item.targets and item.code != "channel-flag"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_two_plain_files_are_taken_everywhere(demo: Demo, channel: str) -> None:
    report = on(channel, demo(schema=PLAIN))
    assert [item.code for item in report.findings if item.code != "channel-flag"] == []
    (verdict,) = report.channels
    assert (verdict.plugin, verdict.channel, verdict.ok) == ("demo", channel, True)


CELLS = [
    # extra modules
    ("modules", NODES, ()),
    ("modules", ("helm",), ()),
    ("modules", ("operator",), ("channel-modules",)),
    ("modules", ("konnect-hybrid",), ()),
    ("modules", ("streaming",), ("channel-modules",)),
    # subdirectories
    ("below", NODES, ()),
    ("below", ("helm",), ("channel-directory",)),
    ("below", ("operator", "streaming"), ("channel-modules",)),
    ("below", ("konnect-hybrid",), ()),
    # modules outside of the plugin
    ("elsewhere", (*NODES, "konnect-hybrid"), ()),
    ("elsewhere", ("helm",), ("channel-needs",)),
    ("elsewhere", ("operator", "streaming"), ("channel-modules",)),
    # rock dependencies
    ("rocks", ("rock", "image", "konnect-hybrid"), ()),
    ("rocks", ("tar",), ("channel-rocks",)),
    ("rocks", ("helm", "operator", "streaming"), ("channel-needs",)),
    ("brought", tuple(CHANNELS), ()),
    # C modules
    ("c-module", (*NODES, "konnect-hybrid"), ()),
    ("c-module", ("helm", "operator", "streaming"), ("channel-needs",)),
    # daos, migrations, api
    ("entities", NODES, ()),
    ("entities", ("helm",), ("channel-directory",)),
    ("entities", ("operator", "konnect-hybrid", "streaming"), ("channel-entities",)),
    ("api", (*NODES, "helm"), ()),
    ("api", ("operator", "konnect-hybrid", "streaming"), ("channel-entities",)),
    # init_worker, timers
    ("init_worker", (*NODES, "helm", "operator", "konnect-hybrid"), ()),
    ("init_worker", ("streaming",), ("channel-phase",)),
    ("timer", (*NODES, "helm", "operator", "konnect-hybrid"), ()),
    ("timer", ("streaming",), ("channel-timer",)),
    # files, programs, sockets, modules of the sandbox
    ("file", ("helm", "operator", "konnect-hybrid"), ()),
    ("file", ("streaming",), ("channel-filesystem",)),
    ("socket", ("helm", "operator", "konnect-hybrid"), ()),
    ("socket", ("streaming",), ("channel-socket",)),
    ("http", ("streaming",), ("channel-socket",)),
    ("internal", ("operator", "konnect-hybrid"), ()),
    ("internal", ("streaming",), ("channel-require",)),
    ("library", ("operator", "konnect-hybrid"), ()),
    ("library", ("streaming",), ("channel-sandbox",)),
    # the name
    ("my_plugin", NODES, ()),
    ("my_plugin", ("helm", "operator", "konnect-hybrid", "streaming"), ("channel-name",)),
    ("MyPlugin", ("helm", "operator"), ("channel-name",)),
    ("MyPlugin", ("konnect-hybrid", "streaming"), ()),
    ("a" * 52, ("helm", "operator"), ("channel-name",)),
    ("a" * 52, ("konnect-hybrid", "streaming"), ()),
    ("a" * 129, ("konnect-hybrid", "streaming"), ("channel-name",)),
    ("cors", ("helm", "operator", *NODES), ()),
    ("cors", ("konnect-hybrid", "streaming"), ("channel-name",)),
    # where the name comes from
    ("other-name", (*NODES, "helm", "operator"), ()),
    ("other-name", ("konnect-hybrid", "streaming"), ("channel-identity",)),
    # the schema alone
    ("typedefs", (*NODES, "helm", "operator"), ()),
    ("typedefs", ("konnect-hybrid", "streaming"), ("schema-typedefs",)),
    ("schema-library", (*NODES, "helm", "operator"), ()),
    ("schema-library", ("konnect-hybrid", "streaming"), ("schema-require",)),
    ("vararg", (*NODES, "helm", "operator"), ()),
    ("vararg", ("konnect-hybrid", "streaming"), ("schema-vararg",)),
    # sizes
    (110_000, (*NODES, "helm", "operator", "konnect-hybrid"), ()),
    (110_000, ("streaming",), ("channel-size",)),
    (300_000, (*NODES, "operator"), ()),
    (300_000, ("helm",), ("size-apply",)),
    (1 << 20, NODES, ()),
    (1 << 20, ("helm", "operator", "streaming"), ("channel-size",)),
    ("long-schema", (*NODES, "helm", "operator", "streaming"), ()),
    ("long-schema", ("konnect-hybrid",), ("size-schema",)),
]


@pytest.mark.parametrize(
    ("what", "channel", "codes"),
    [
        pytest.param(what, channel, codes, id=f"{str(what)[:15]}-{channel}")
        for what, channels, codes in CELLS
        for channel in channels
    ],
)
def test_a_cell_of_the_matrix(
    demo: Demo, rockspec_with: Changed, what: object, channel: str, codes: tuple[str, ...]
) -> None:
    found = of_channel(channel, variant(what, demo, rockspec_with))
    assert tuple(dict.fromkeys(item.code for item in found)) == codes
    assert all(item.targets == (channel,) for item in found)


def variant(what: object, demo: Demo, rockspec_with: Changed) -> Package:
    """A plugin with one thing that not every channel takes."""
    if isinstance(what, int):
        return demo(schema=PLAIN, handler=handler("-- " + "x" * what))
    if what in ("modules", "below", "elsewhere", "entities"):
        listed, more = {
            "modules": (MODULES, {"kong/plugins/demo/util.lua": "return {}"}),
            "below": (BELOW, {"kong/plugins/demo/lib/util.lua": "return {}"}),
            "elsewhere": (ELSEWHERE, {"util.lua": "return {}"}),
            "entities": (
                ENTITIES,
                {
                    "kong/plugins/demo/daos.lua": "return {}",
                    "kong/plugins/demo/migrations/init.lua": "return {}",
                },
            ),
        }[str(what)]
        return demo(schema=PLAIN, rockspec=rockspec_with(("} }", listed)), more=more)
    if what == "api":
        listed = '["kong.plugins.demo.api"] = "kong/plugins/demo/api.lua" } }'
        more = {"kong/plugins/demo/api.lua": "return {}"}
        return demo(schema=PLAIN, rockspec=rockspec_with(("} }", listed)), more=more)
    if what in ("rocks", "brought"):
        rock = "lua-resty-jwt" if what == "rocks" else "lua-resty-http >= 0.16"
        spec = rockspec_with(("dependencies = {}", f'dependencies = {{ "lua >= 5.1", "{rock}" }}'))
        return demo(schema=PLAIN, rockspec=spec)
    if what == "c-module":
        return demo(schema=PLAIN, rockspec=rockspec_with(("} }", 'fast = "fast.c" } }')), more={"fast.c": ""})
    bodies = {
        "init_worker": "function D:init_worker() end",
        "timer": "function D:log() ngx.timer.at(0, function() end) end",
        "file": "function D:init_worker2() io.open('x') end",
        "socket": "function D:access() ngx.socket.tcp() end",
        "http": "function D:access() require 'resty.http' end",
        "internal": "function D:access() require 'kong.tools.utils' end",
        "library": "function D:access() require 'cjson' end",
    }
    if what in bodies:
        return demo(schema=PLAIN, handler=handler(bodies[str(what)]))
    schemas = {
        "other-name": PLAIN.replace("'demo'", "'other'"),
        "typedefs": f"local t = require 'kong.db.schema.typedefs'\n{PLAIN}",
        "schema-library": f"local t = require 'kong.tools.utils'\n{PLAIN}",
        "vararg": "local name = (...):match('plugins%.([^.]+)')\n" + PLAIN.replace("'demo'", "name"),
        "long-schema": PLAIN + " --" + "x" * 9000,
    }
    if what in schemas:
        return demo(schema=schemas[str(what)])
    spec = rockspec_with(("kong.plugins.demo.", f"kong.plugins.{what}."))
    return demo(rockspec=spec, schema=PLAIN.replace("demo", str(what)))


# ------------------------------------------------------------------------------------------- words and verdicts


def test_what_several_channels_say_alike_is_one_finding(demo: Demo, rockspec_with: Changed) -> None:
    report = on("operator,streaming,konnect-hybrid,rock", variant("api", demo, rockspec_with))
    (item,) = [item for item in report.findings if item.code == "channel-entities"]
    assert item.targets == ("operator", "streaming", "konnect-hybrid")
    assert item.file == "kong/plugins/demo/api.lua"
    assert {each.channel: each.ok for each in report.channels} == {
        "operator": False,
        "streaming": False,
        "konnect-hybrid": False,
        "rock": True,
    }


def test_a_file_that_no_config_map_can_hold_is_refused_where_it_would_be_mounted(
    demo: Demo, rockspec_with: Changed
) -> None:
    """As `pack --format helm` refuses it."""
    odd = '["kong.plugins.demo.my helper"] = "kong/plugins/demo/my helper.lua" } }'
    package = demo(
        schema=PLAIN,
        rockspec=rockspec_with(("} }", odd)),
        more={"kong/plugins/demo/my helper.lua": "return 1"},
    )
    (item,) = of_channel("helm", package)
    assert (item.code, item.is_error) == ("channel-name", True)
    assert "my helper.lua of 'demo' has a name that is no key of a ConfigMap" in item.message
    assert of_channel("rock", package) == []


def test_the_operator_says_it_in_its_own_words(demo: Demo, rockspec_with: Changed) -> None:
    (item,) = of_channel("operator", variant("modules", demo, rockspec_with))
    assert item.kong == 'file "util.lua" is unexpected, required files are handler.lua and schema.lua'
    (item,) = of_channel("operator", variant(1 << 20, demo, rockspec_with))
    assert item.kong == "plugin size limit of 1.00 MiB exceeded"


@pytest.mark.parametrize(("size", "taken"), [((1 << 20) - 4096, True), ((1 << 20) - 1024, False)])
def test_the_operator_counts_the_tar(demo: Demo, size: int, taken: bool) -> None:
    assert on("operator", demo(schema=PLAIN, handler=handler("--" + "x" * size))).ok is taken


def test_in_general_words_are_left_out_where_channels_are_named(demo: Demo, rockspec_with: Changed) -> None:
    package = variant("my_plugin", demo, rockspec_with)
    assert "name-portable" in [item.code for item in check(package).findings]
    assert "name-portable" not in [item.code for item in on("rock", package).findings]
    package = variant("other-name", demo, rockspec_with)
    assert [item.code for item in on("rock", package).findings] == ["name-schema"]
    assert [item.code for item in on("konnect-hybrid", package).findings] == ["channel-identity"]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("streaming",), ()),
        (("streaming,kong@3.8",), ("channel-version",)),
        (("streaming,kong@3.9",), ("channel-self-managed",)),
        (("streaming,kong@3.14",), ("channel-self-managed",)),
        (("streaming,kong@3.15",), ()),
        (("streaming,oss",), ("channel-version",)),
        (("streaming,enterprise",), ()),
        (("streaming,kong@>=3.8,enterprise",), ("channel-version", "channel-self-managed")),
    ],
)
def test_streaming_asks_for_a_version(demo: Demo, words: tuple[str, ...], codes: tuple[str, ...]) -> None:
    found = of_channel("streaming", demo(schema=PLAIN), *words)
    assert tuple(dict.fromkeys(item.code for item in found)) == codes
    if "kong@3.8" in words[0]:
        assert found[0].kong == "P307"


def test_a_version_of_both_editions_is_named_once(demo: Demo) -> None:
    found = of_channel("streaming", demo(schema=PLAIN), "kong@3.8,oss,enterprise")
    assert [item.message for item in found if item.kong == "P307"] == [
        "a data plane of Kong 3.8 takes no streamed plugin: it has to be 3.9 at least"
    ]


def test_switches_that_are_off_by_default_are_told(demo: Demo) -> None:
    (item,) = [item for item in on("streaming", demo(schema=PLAIN)).findings if item.code == "channel-flag"]
    assert (item.kong, item.severity) == ("P309", "note")
    assert "KONG_CUSTOM_PLUGIN_STREAMING_ENABLED=on" in item.message
    (item,) = on("operator", demo(schema=PLAIN)).findings
    assert "--enable-controller-kongplugininstallation" in item.message


def test_only_text_goes_into_json(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> None:
    package = demo(schema=PLAIN)
    path = package.files["kong/plugins/demo/handler.lua"].content.path
    assert path is not None
    with open(path, "ab") as file:
        file.write(b"-- \xff")
    assert [item.code for item in of_channel("streaming", package)] == ["channel-text"]
    assert of_channel("konnect-hybrid", package) == []


def test_what_a_channel_asks_of_an_update_is_told(demo: Demo) -> None:
    report = on(",".join(CHANNELS), demo(schema=PLAIN))
    assert {each.channel: each.restart for each in report.channels} == {
        "rock": "prepare and reload every node",
        "tar": "prepare and reload every node",
        "image": "new containers",
        "helm": "roll the pods",
        "operator": "none: the operator rolls the pods",
        "konnect-hybrid": "none on the control plane",
        "streaming": "none",
    }
    names = {each.channel: each.name_from for each in report.channels}
    assert names["rock"] == "the directory"
    assert names["operator"] == "metadata.name of the KongPluginInstallation"
    assert names["streaming"] == names["konnect-hybrid"] == "name in schema.lua"


def test_a_rock_is_asked_for_what_every_gateway_brings(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "lua-resty-aws" }'))
    package = demo(schema=PLAIN, rockspec=spec)
    assert of_channel("helm", package, "kong@3.9") == []
    assert [item.code for item in of_channel("helm", package, "kong@3.4,kong@3.9")] == ["channel-needs"]


@pytest.mark.parametrize("what", dict.fromkeys(what for what, _, _ in CELLS), ids=lambda what: str(what)[:15])
def test_what_is_refused_is_what_cannot_be_packed(demo: Demo, rockspec_with: Changed, what: object) -> None:
    """`check` and `pack` agree on the forms that pack refuses to write."""
    package = variant(what, demo, rockspec_with)
    plugins = find_plugins(package.modules)
    (subject,) = (ChannelPlugin.of(package, plugin, None, Targets()) for plugin in plugins)
    needs = (*subject.elsewhere, *subject.c_modules, *subject.rocks)
    files = PluginFiles(subject.name, "1.0.0-1", dict(sorted(subject.files.items())), needs)
    writers: dict[str, Callable[[], object]] = {
        "helm": lambda: helm_texts((files,)),
        "operator": lambda: operator_texts(files, "registry.local/demo:1.0.0"),
    }
    _, verdicts = channel_report(package, plugins, (), Targets(channels=tuple(writers)))
    for verdict in verdicts:
        try:
            writers[verdict.channel]()
        except CheckError:
            assert not verdict.ok, verdict.channel
        else:
            assert verdict.ok, verdict.channel


def test_each_plugin_of_a_rock_has_its_own_verdict(demo: Demo, rockspec_with: Changed) -> None:
    listed = (
        '["kong.plugins.other.handler"] = "other/handler.lua", ["kong.plugins.other.schema"] = "other/schema.lua",'
        '["kong.plugins.other.api"] = "other/api.lua" } }'
    )
    more = {
        "other/handler.lua": handler(),
        "other/schema.lua": PLAIN.replace("demo", "other"),
        "other/api.lua": "return {}",
    }
    package = demo(schema=PLAIN, rockspec=rockspec_with(("} }", listed)), more=more)
    report = on("konnect-hybrid", package)
    assert {each.plugin: each.ok for each in report.channels} == {"demo": True, "other": False}
    (item,) = [item for item in report.findings if item.is_error]
    assert (item.code, item.file) == ("channel-entities", "other/api.lua")


def test_an_archive_without_a_rockspec_is_judged_for_every_channel(tmp_path: Path) -> None:
    path = tmp_path / "demo.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("handler", handler()), ("schema", PLAIN), ("util", "return {}")):
            member = tarfile.TarInfo(f"kong/plugins/demo/{name}.lua")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    report = on(",".join(CHANNELS), package_of_tar(str(path), ("linux", "unix")))
    assert {each.channel for each in report.channels if not each.ok} == {"operator", "streaming"}


@pytest.mark.parametrize(
    "what", ["no handler", "no schema", "a broken handler", "a broken schema", "no plugin"]
)
def test_what_is_broken_is_judged_all_the_same(demo: Demo, rockspec_with: Changed, what: str) -> None:
    spec = rockspec_with()
    package = {
        "no handler": lambda: demo(handler=None, schema=PLAIN),
        "no schema": lambda: demo(schema=None),
        "a broken handler": lambda: demo(handler="x = = 1", schema=PLAIN),
        "a broken schema": lambda: demo(schema="return 5"),
        "no plugin": lambda: demo(rockspec=spec.replace("kong.plugins.demo", "demo")),
    }[what]()
    report = on(",".join([*CHANNELS, "kong@>=2.8", "enterprise"]), package)
    assert report.ok is False or what == "no plugin"
    assert len(report.channels) == (0 if what == "no plugin" else len(CHANNELS))
