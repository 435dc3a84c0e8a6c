"""Whatever a rockspec puts into its build table, it is built or refused with words; nothing escapes."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.build.build import build_rock
from pumice.build.context import BuildOptions
from pumice.errors import PumiceError

NAMES = st.sampled_from(
    [
        "a.lua",
        "a",
        "",
        ".",
        "..",
        "../a.lua",
        "/etc/passwd",
        "d",
        "d/b.lua",
        "d/",
        "a\0b",
        "x.y",
        "init.lua",
        "é",
    ]
)
SCALARS = st.one_of(NAMES, st.integers(-2, 3), st.booleans(), st.floats(allow_nan=False))
KEYS = st.one_of(NAMES, st.integers(-1, 3), st.booleans())
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)
SECTIONS = st.dictionaries(st.sampled_from(["lua", "lib", "bin", "conf", "other"]), VALUES, max_size=3)
BUILDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["builtin", "none", "module"])},
    optional={
        "modules": st.one_of(VALUES, st.dictionaries(NAMES, st.sampled_from(["a.lua", "d/b.lua"]))),
        "install": st.one_of(VALUES, SECTIONS),
        "copy_directories": VALUES,
        "extra_files": VALUES,
        "patches": VALUES,
        "cmake": VALUES,
    },
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(build=BUILDS, new_format=st.booleans())
def test_any_build_table_is_built_or_refused(builder: Any, build: dict[Any, Any], new_format: bool) -> None:
    if not builder.snapshot():
        builder.write({"a.lua": "a", "d/b.lua": "b", "d/x": ""})
        (builder.source / "out").symlink_to("/etc")
    before = builder.snapshot()
    rockspec = builder.rockspec('build = { type = "none" }').replace(
        build=build, build_type=build["type"], format="3.0" if new_format else "1.0"
    )
    config = builder.config(environment={"PATH": "/nowhere"}, variables={"LUA_INCDIR": "/nowhere"})
    work = builder.place / f"work{len(list(builder.place.iterdir()))}"
    try:
        rock = build_rock(
            rockspec,
            str(builder.source),
            config,
            builder.messages,
            work_dir=str(work),
            options=BuildOptions(),
        )
    except PumiceError as error:
        assert error.message
    else:
        for file in rock.files:
            assert ".." not in file.rock_path.split("/")
            assert not file.rock_path.startswith("/")
            assert b"root:" not in file.content.read()
    assert builder.snapshot() == before
