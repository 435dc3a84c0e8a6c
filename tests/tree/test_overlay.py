"""Changes in an overlay come out as the fewest steps that have their effect."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.content import Content
from pumice.tree.overlay import Overlay
from pumice.tree.steps import Delete, Move, Put
from pumice.tree.view import DiskView

NAMES = ["a", "b", "c", "d/a", "d/b", "e/f/g"]


def overlay_on(root, tools):
    """An overlay over a directory, and how to carry it out."""
    overlay = Overlay(DiskView())
    return overlay, lambda: tools.carry_out(overlay.steps(lambda path: str(root)))


def test_what_cancels_out_leaves_no_step(tmp_path):
    """A rename and its reverse, a new file that goes again."""
    (tmp_path / "a").write_bytes(b"a")
    overlay = Overlay(DiskView())
    overlay.move(f"{tmp_path}/a", f"{tmp_path}/b")
    overlay.put(f"{tmp_path}/a", Content.of_bytes(b"new"), 0o644)
    overlay.delete(f"{tmp_path}/a")
    overlay.move(f"{tmp_path}/b", f"{tmp_path}/a")
    assert overlay.steps(str) == ()


def test_a_ring_of_renames_goes_by_a_third_name(tmp_path, tools):
    """No file is lost."""
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
    overlay, carry_out = overlay_on(tmp_path, tools)
    overlay.move(f"{tmp_path}/a", f"{tmp_path}/x")
    overlay.move(f"{tmp_path}/b", f"{tmp_path}/a")
    overlay.move(f"{tmp_path}/c", f"{tmp_path}/b")
    overlay.move(f"{tmp_path}/x", f"{tmp_path}/c")
    carry_out()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"b", "b": b"c", "c": b"a"}


def test_renames_come_before_what_takes_their_place(tmp_path):
    """And deletions last, so that nothing is absent for longer than it must."""
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    overlay = Overlay(DiskView())
    overlay.delete(f"{tmp_path}/b")
    overlay.move(f"{tmp_path}/a", f"{tmp_path}/old")
    overlay.put(f"{tmp_path}/a", Content.of_bytes(b"new"), 0o644)
    kinds = [type(step) for step in overlay.steps(lambda path: str(tmp_path.parent))]
    assert kinds[:3] == [Move, Put, Delete]


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES)),
    st.lists(
        st.tuples(st.sampled_from(["put", "delete", "move"]), st.sampled_from(NAMES), st.sampled_from(NAMES))
    ),
)
def test_the_steps_have_the_effect_of_the_changes(tmp_path_factory, tools, before, changes):
    """Any changes, against a plain dictionary."""
    root = tmp_path_factory.mktemp("overlay")
    expected = {}
    for name in before:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
        expected[name] = name.encode()
    overlay, carry_out = overlay_on(root, tools)
    for number, (change, name, other) in enumerate(changes):
        if change == "put":
            overlay.put(f"{root}/{name}", Content.of_bytes(b"%d" % number), 0o644)
            expected[name] = b"%d" % number
        elif change == "delete":
            overlay.delete(f"{root}/{name}")
            expected.pop(name, None)
        elif name in expected and other not in expected:
            overlay.move(f"{root}/{name}", f"{root}/{other}")
            expected[other] = expected.pop(name)
        assert {each for each in NAMES if overlay.exists(f"{root}/{each}")} == set(expected)
    carry_out()
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == expected
    assert not [path for path in root.rglob("*") if path.is_dir() and not list(path.iterdir())]
