"""`pumice schema` shows, validates and compares; a schema that Kong refuses is told and not shown."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def example(project: Path, tmp_path: Path) -> Path:
    """A copy of the example plugin."""
    source = project / "examples" / "kong-plugin-request-stamp"
    return Path(shutil.copytree(source, tmp_path / "plugin", ignore=shutil.ignore_patterns(".pumice")))


def pumice(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """The exit code and both outputs of one run."""
    done = subprocess.run(
        [sys.executable, "-m", "pumice", "schema", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_settings_are_a_table_or_json(example: Path) -> None:
    code, told, _ = pumice(".", cwd=example)
    assert code == 0
    assert "config.timing.digits         integer" in told
    code, told, _ = pumice(".", "--json", cwd=example)
    fields = {field["path"]: field for field in json.loads(told)["fields"]}
    assert fields["config.max_length"] == {
        "path": "config.max_length",
        "type": "integer",
        "required": True,
        "default": 128,
        "constraints": ["between 8 and 256"],
        "description": fields["config.max_length"]["description"],
    }
    code, told, _ = pumice(".", "--json-schema", cwd=example)
    assert json.loads(told)["properties"]["format"]["enum"] == ["uuid4", "uuid7", "counter"]


def test_a_configuration_is_validated(example: Path) -> None:
    (example / "good.json").write_text('{"format": "uuid7"}')
    (example / "bad.json").write_text('{"name": "request-stamp", "config": {"format": "x"}}')
    (example / "no.json").write_text("{")
    assert pumice(".", "--validate", "good.json", cwd=example)[0] == 0
    code, told, _ = pumice(".", "--validate", "bad.json", "--json", cwd=example)
    answer = json.loads(told)
    assert (code, answer["ok"], answer["fields"]) == (
        1,
        False,
        {"config": {"format": "expected one of: uuid4, uuid7, counter"}},
    )
    code, _, complaint = pumice(".", "--validate", "no.json", cwd=example)
    assert code != 0
    assert "no.json is no JSON" in complaint


def test_two_versions_are_compared(example: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(example, tmp_path / "newer"))
    file = next(newer.rglob("schema.lua"))
    text = file.read_text()
    assert '"uuid4", "uuid7", "counter"' in text
    file.write_text(text.replace('"uuid4", "uuid7", "counter"', '"uuid4", "counter"'))
    code, told, _ = pumice("diff", str(example), str(newer), "--json", cwd=tmp_path)
    answer = json.loads(told)
    assert (code, answer["order"]) == (1, "one-window")
    assert [change["field"] for change in answer["changes"]] == ["config.format"]
    assert pumice("diff", str(newer), str(example), cwd=tmp_path)[0] == 0
    assert pumice("diff", str(newer), cwd=tmp_path)[0] != 0


def test_a_schema_that_kong_refuses_is_told(example: Path) -> None:
    file = next(example.rglob("schema.lua"))
    file.write_text(file.read_text().replace('"integer"', '"int"'))
    code, told, complaint = pumice(".", cwd=example)
    assert (code, told) == (1, "")
    assert "schema violations (digits: field of type 'int' cannot have attribute 'between'" in complaint


def test_a_file_of_settings_that_is_not_there_is_told_so(example: Path) -> None:
    code, _, told = pumice(".", "--validate", "nothing.json", cwd=example)
    assert (code, "nothing.json does not exist" in told) == (1, True)


def test_packages_without_a_plugin_in_common_are_no_two_versions(tmp_path: Path) -> None:
    """Silence would read as 'safe in any order'."""
    for folder, names in (("old", "ab"), ("new", "cd")):
        modules = ""
        for name in names:
            home = tmp_path / folder / "kong/plugins" / name
            home.mkdir(parents=True)
            (home / "handler.lua").write_text("return { PRIORITY = 1, VERSION = '1.0.0' }")
            (home / "schema.lua").write_text(
                f"return {{ name = '{name}', fields = {{ {{ config = {{ type = 'record', fields = {{}} }} }} }} }}"
            )
            for part in ("handler", "schema"):
                modules += f"['kong.plugins.{name}.{part}'] = 'kong/plugins/{name}/{part}.lua', "
        (tmp_path / folder / "x-1.0.0-1.rockspec").write_text(
            "package = 'x' version = '1.0.0-1' source = { url = 'http://localhost/x.zip' } "
            f"build = {{ type = 'builtin', modules = {{ {modules} }} }}"
        )
    code, out, told = pumice("diff", "old", "new", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "There is no plugin in both: a, b is in old, c, d in new" in told


def test_defaults_are_shown_as_people_write_them(example: Path) -> None:
    schema = example / "kong/plugins/request-stamp/schema.lua"
    schema.write_text(schema.read_text().replace('"uuid4"', '"größe"'))
    code, out, _ = pumice(".", cwd=example)
    assert (code, '"größe"' in out) == (0, True)


def test_a_huge_file_is_refused_and_not_read_to_its_end(example: Path) -> None:
    """Sparse: 3 GiB, of which nothing is on the disk."""
    for name, told in (("c.json", "longer than 16 MiB"), ("x-1.0-1.rockspec", "bytes long: more than")):
        with open(example / name, "wb") as file:
            file.truncate(3 << 30)
        words = (".", "--validate", name) if name.endswith("json") else (name,)
        limited = f"ulimit -v 1500000; exec {sys.executable} -m pumice schema {' '.join(words)}"
        done = subprocess.run(["sh", "-c", limited], cwd=example, capture_output=True, text=True, timeout=60)
        assert (done.returncode, told in done.stderr) == (1, True), done.stderr
        (example / name).unlink()
