"""kong.conf and its relatives: every byte that nobody asked to change stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.env_file import drop_in, edit_variables, read_drop_in, read_variables
from pumice.cluster.kong_conf import DEFAULTS, edit_settings, read_settings, role_of, undo_splices

LINES = st.sampled_from(
    [
        "plugins = bundled",
        "plugins=bundled,a # mine",
        "  plugins =  bundled , b   ",
        "#plugins = bundled",
        "lua_package_path = ./?.lua;;",
        "pg_password = a\\#b",
        "role = data_plane",
        "plugins = bundled, \\",
        "  more",
        "",
        "# words \\",
        "garbage without a sign",
        "\tadmin_listen = off\t# \u00fc",
        "nginx_http_x = a = b",
    ]
)
TEXTS = st.builds(
    lambda lines, newline, end: newline.join(lines) + end,
    st.lists(LINES, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)
VALUES = st.text(
    st.characters(
        codec="utf-8", exclude_characters="\n\r\0\\ \t", exclude_categories=("Cs", "Zs", "Cc", "Zl", "Zp")
    ),
    min_size=1,
    max_size=20,
)
WANTED = st.dictionaries(st.sampled_from(["plugins", "lua_package_path", "lua_package_cpath"]), VALUES)


class TestKongConf:
    @given(TEXTS, WANTED)
    def test_an_edit_sets_what_was_asked_and_nothing_else(self, text, wanted):
        before = read_settings(text)

        edited, _ = edit_settings(text, wanted)

        after = read_settings(edited)
        for key, value in wanted.items():
            assert after.get(key, DEFAULTS[key]) == value
        assert {k: v for k, v in after.items() if k not in wanted} == {
            k: v for k, v in before.items() if k not in wanted
        }

    @given(TEXTS, WANTED)
    def test_undoing_an_edit_gives_the_same_bytes(self, text, wanted):
        edited, splices = edit_settings(text, wanted)

        assert undo_splices(edited, splices) == text

    @given(TEXTS, WANTED)
    def test_an_edit_that_says_the_same_changes_nothing(self, text, wanted):
        edited, _ = edit_settings(text, wanted)

        assert edit_settings(edited, wanted) == (edited, ())

    @given(TEXTS, WANTED)
    def test_every_byte_outside_of_the_splices_stays(self, text, wanted):
        edited, splices = edit_settings(text, wanted)

        kept_before, kept_after, at = text, edited, 0
        for splice in reversed(splices):
            kept_after = kept_after[: splice.at] + kept_after[splice.at + len(splice.after) :]
        for splice in splices:
            assert edited[splice.at : splice.at + len(splice.after)] == splice.after
            at += len(splice.before)
        assert len(kept_before) - at == len(kept_after)

    def test_the_last_line_of_a_key_counts(self):
        text = "plugins = a\nplugins = b # why\n"

        assert edit_settings(text, {"plugins": "c"})[0] == "plugins = a\nplugins = c # why\n"

    def test_a_value_over_several_lines_is_one(self):
        text = "plugins = bundled,\\\n  mine\nrole = x\n"

        assert read_settings(text)["plugins"] == "bundled,  mine"
        assert edit_settings(text, {"plugins": "bundled,y"})[0] == "plugins = bundled,y\nrole = x\n"

    def test_a_number_sign_is_escaped(self):
        assert edit_settings("", {"plugins": "a#b"})[0] == "plugins = a\\#b\n"
        assert read_settings("plugins = a\\#b # c\n") == {"plugins": "a#b"}

    @pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\\"])
    def test_a_value_that_cannot_be_one_is_refused(self, value):
        with pytest.raises(ValueError, match="cannot"):
            edit_settings("", {"plugins": value})

    def test_a_role_is_told_from_role_and_database(self):
        assert role_of({}) == "traditional"
        assert role_of({"database": "off"}) == "dbless"
        assert role_of({"role": "data_plane", "database": "off"}) == "data_plane"
        assert role_of({"role": "control_plane"}) == "control_plane"


ENV_LINES = st.sampled_from(
    [
        "KONG_PLUGINS=bundled",
        "export KONG_PLUGINS='bundled,a'",
        'KONG_LUA_PACKAGE_PATH="/x/?.lua;;"',
        "# a comment",
        "",
        "OTHER=1",
        "KONG_PG_PASSWORD='a b'",
    ]
)
ENV_TEXTS = st.builds(
    lambda lines, end: "\n".join(lines) + end, st.lists(ENV_LINES, max_size=6), st.sampled_from(["", "\n"])
)
ENV_WANTED = st.dictionaries(st.sampled_from(["KONG_PLUGINS", "KONG_LUA_PACKAGE_PATH"]), VALUES)


class TestEnvironmentFile:
    @given(ENV_TEXTS, ENV_WANTED)
    def test_an_edit_sets_what_was_asked_and_can_be_undone(self, text, wanted):
        edited, splices = edit_variables(text, wanted)

        assert {**read_variables(text), **wanted} == read_variables(edited)
        assert undo_splices(edited, splices) == text

    @given(ENV_WANTED)
    def test_a_shell_reads_the_same(self, wanted):
        import subprocess

        text, _ = edit_variables("", wanted)
        for name, value in wanted.items():
            done = subprocess.run(
                ["sh", "-c", f'{text}printf %s "${name}"'], capture_output=True, check=True, text=True
            )
            assert done.stdout == value

    def test_names_keep_their_export_and_others_stay(self):
        text = "export KONG_PLUGINS=bundled\nX=1\n"

        assert (
            edit_variables(text, {"KONG_PLUGINS": "bundled,a"})[0] == "export KONG_PLUGINS=bundled,a\nX=1\n"
        )

    @given(ENV_WANTED)
    def test_a_drop_in_gives_back_what_was_put_into_it(self, wanted):
        assert read_drop_in(drop_in(wanted)) == wanted
