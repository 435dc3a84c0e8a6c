"""Tasks as lines of text: what fits is shown, nothing is ever too wide, hostile names are tamed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cli.bars import Board, Task, columns, human_size, render, speaks_utf8, told

URL = "http://host/rocks/"


def board(*tasks: tuple[str, str, int | None, int]) -> Board:
    """Tasks that all began at 0 and got their amounts one second later."""
    made = Board()
    for task, label, total, done in tasks:
        made.started(task, label, total, 0.0)
        made.advanced(task, done, 1.0)
    return made


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            80,
            (
                "penlight-1.13.1-1.all.rock  ━━━━━────────────────   300 kB /  1.2 MB   300 kB/s",
                "Compiling lpeg 1.1.0-1      ━━━━━────────────────                2/8        1 s",
            ),
        ),
        (
            60,
            (
                "penlight-1.13.1-1.…  ━━──────   300 kB /  1.2 MB   300 kB/s",
                "Compiling lpeg 1.1…  ━━──────                2/8        1 s",
            ),
        ),
        (
            50,
            (
                "penlight-1.13.1-1.…   300 kB /  1.2 MB   300 kB/s",
                "Compiling lpeg 1.1…                2/8        1 s",
            ),
        ),
        (40, ("penlight-1.13.1-1.a…   300 kB /  1.2 MB", "Compiling lpeg 1.1.…                2/8")),
        (20, ("penlight-1.13.1-1.…", "Compiling lpeg 1.1…")),
        (4, ("pe…", "Co…")),
        (1, ()),
        (0, ()),
    ],
)
def test_the_narrower_the_less_is_shown(width: int, lines: tuple[str, ...]) -> None:
    tasks = board(
        (URL + "a", "penlight-1.13.1-1.all.rock", 1_200_000, 300_000), ("b", "Compiling lpeg 1.1.0-1", 8, 2)
    ).tasks
    assert lines == render(tasks, 1.0, width=width)


def test_without_unicode_all_is_ascii() -> None:
    tasks = board((URL, "größe.rock", 100, 50)).tasks
    expected = ("gr??e.rock  ########---------     50 B /   100 B     50 B/s",)
    assert expected == render(tasks, 1.0, width=60, unicode=False)


def test_what_nobody_knows_is_left_out() -> None:
    tasks = board((URL, "stream.zip", None, 50_000), ("x", "Building y 1.0-1", None, 0)).tasks
    assert render(tasks, 1.0, width=60) == (
        "stream.zip        50.0 kB  50.0 kB/s",
        "Building y 1.0-1                 1 s",
    )


def test_a_server_that_sends_more_than_it_said_has_an_unknown_total() -> None:
    tasks = board((URL, "liar.zip", 10, 50)).tasks
    assert render(tasks, 1.0, width=60) == ("liar.zip     50 B     50 B/s",)


def test_an_empty_file_is_complete() -> None:
    (line,) = render(board((URL, "empty", 0, 0)).tasks, 1.0, width=60)
    assert "━" in line
    assert "─" not in line


def test_a_task_that_has_just_begun_is_not_shown() -> None:
    tasks = board((URL, "quick", 100, 10)).tasks
    assert render(tasks, 0.1, width=60) == ()
    assert len(render(tasks, 0.3, width=60)) == 1


def test_long_times_are_minutes_and_seconds() -> None:
    assert render(board(("x", "Building", None, 0)).tasks, 62.0, width=60) == ("Building  1:02",)


def test_many_tasks_are_summed_up_in_the_last_line() -> None:
    tasks = board(*((f"{URL}{number}", f"rock-{number}", 2000, 1000) for number in range(20))).tasks
    lines = render(tasks, 1.0, width=70)
    assert len(lines) == 8
    assert lines[6].startswith("rock-6 ")
    assert lines[7].split() == ["and", "13", "more", "13.0", "kB/s"]
    assert render(tasks, 1.0, width=70, most=1) == ("20 tasks  20.0 kB/s",)


def test_a_rate_is_that_of_the_last_seconds() -> None:
    made = Board()
    made.started(URL, "a", None, 0.0)
    for tenth in range(1, 101):
        made.advanced(URL, 100_000 if tenth <= 50 else 1_000, tenth / 10)
    (task,) = made.tasks
    assert task.rate(10.0) == pytest.approx(10_000)
    assert len(task.marks) < 20


def test_a_download_that_stands_still_is_seen_to() -> None:
    (task,) = board((URL, "a", 10_000, 5_000)).tasks
    rates = [task.rate(now) for now in (1.0, 2.0, 3.5, 20.0)]
    assert rates[0] > rates[1] > rates[2]
    assert rates[3] == 0


def test_what_belongs_to_no_task_is_passed_over() -> None:
    made = board((URL, "a", 10, 5))
    made.finished(URL)
    made.advanced(URL, 5, 2.0)
    made.finished(URL)
    assert made.tasks == ()


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\rb", "a\nb", "a\x9bb", "a\u202eb", "a\udcffb", "a\u2028b"])
def test_a_name_cannot_steer_the_terminal(name: str) -> None:
    lines = [
        *render(board((URL, name, None, 1)).tasks, 1.0, width=60),
        told(URL, name, 5),
        told("x", name, 5),
    ]
    for line in lines:
        assert line.isprintable()
        assert "a?" in line


def test_wide_characters_take_two_columns() -> None:
    tasks = board((URL, "岩石" * 20, 10, 5), (URL + "b", "e\u0301" * 5, 10, 5)).tasks
    assert {columns(line) for line in render(tasks, 1.0, width=60)} == {59}
    assert columns("e\u0301") == 1


TASKS = st.lists(
    st.builds(
        Task,
        st.text(max_size=60).map(lambda text: "".join(c if c.isprintable() else "?" for c in text)),
        st.none() | st.integers(0, 10**19),
        st.booleans(),
        st.floats(0, 100),
        st.integers(0, 10**19),
        st.just(()),
    ),
    max_size=12,
)


@given(TASKS, st.integers(-1, 200), st.integers(0, 10), st.booleans())
def test_nothing_is_ever_too_wide_or_too_high(
    tasks: list[Task], width: int, most: int, unicode: bool
) -> None:
    lines = render(tasks, 101.0, width=width, most=most, unicode=unicode)
    assert len(lines) <= most
    for line in lines:
        assert columns(line) < width
        assert line.isprintable()
        assert unicode or line.isascii()
    if tasks and width > 1 and most:
        assert len(lines) == min(len(tasks), most)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (34_500_000, "34.5 MB"),
        (10**20, "100 EB"),
        (-5, "0 B"),
    ],
)
def test_sizes_are_read_at_a_glance(size: int, text: str) -> None:
    assert text == human_size(size)


@given(st.integers(0, 10**20))
def test_a_size_is_short_and_right_within_five_percent(size: int) -> None:
    text = human_size(size)
    number, unit = text.split()
    assert len(text) <= 7
    factor = 1000 ** ("B", "kB", "MB", "GB", "TB", "PB", "EB").index(unit)
    assert float(number) * factor == pytest.approx(size, rel=0.05)


def test_a_plain_line_names_what_begins() -> None:
    assert told(URL + "a.rock", "a.rock", 1234) == "Downloading a.rock (1.2 kB)"
    assert told(URL + "a.rock", "a.rock", None) == "Downloading a.rock"
    assert told("upload+" + URL + "a.rock", "a.rock", 1234) == "Uploading a.rock (1.2 kB)"
    assert told("compile x", "Compiling x 1.0-1", 7) == "Compiling x 1.0-1"


@pytest.mark.parametrize(
    ("environment", "speaks"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C.utf8"}, True),
        ({"LANG": "de_DE"}, False),
        ({"LANG": "C"}, False),
        ({}, False),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "de_DE.UTF-8"}, True),
    ],
)
def test_the_locale_tells_what_the_terminal_understands(environment: dict[str, str], speaks: bool) -> None:
    assert speaks == speaks_utf8(environment)
