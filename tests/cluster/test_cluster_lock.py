"""The cluster's lock with a real shell: one owner at a time, an expiry, and a take-over by one taker only."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pumice.cluster.address import Address
from pumice.cluster.cluster_lock import ClusterLock, ClusterLocked, LockLost, read_holder
from pumice.cluster.connection import Answer, NodeError
from pumice.cluster.inventory import Node

SHELLS = [shell for shell in ("sh", "busybox") if shutil.which(shell)]


class Shell:
    """A connection into a directory of the test: a shell, and nothing of the environment."""

    def __init__(self, tree: Path, shell: str = "sh") -> None:
        self.node = Node("lock-node", Address("local"), tree=str(tree))
        self._words = ["busybox", "sh", "-c"] if shell == "busybox" else [shell, "-c"]

    def run(self, script: str, *, stdin: Any = b"", timeout: float = 60.0) -> Answer:
        ended = subprocess.run([*self._words, script], capture_output=True, timeout=timeout)
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(params=SHELLS)
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    """A node whose tree has a name that a shell would misread."""
    return Shell(tmp_path / "a tree; $(touch never)", request.param)


def lock(connection: Shell, name: str = "alice", **named: Any) -> ClusterLock:
    given = {"owner": f"{name}@laptop", "process": 12, "token": f"t-{name}", "what": "install x 1.0"}
    return ClusterLock(connection, **{**given, **named})


def link(connection: Shell) -> Path:
    return Path(connection.node.tree) / "rollouts/lock"


def test_a_second_operator_is_told_who_has_it(connection: Shell) -> None:
    with lock(connection):
        with pytest.raises(ClusterLocked) as caught, lock(connection, "bob"):
            pass
        assert caught.value.exit_code == 4
        assert "locked by alice@laptop (process 12) since 2" in caught.value.message
        assert "install x 1.0" in caught.value.message
        assert "--force-lock" in caught.value.hint
    with lock(connection, "bob"):
        pass
    assert not link(connection).is_symlink()


def test_an_expired_lock_is_taken_over_with_a_notice(connection: Shell) -> None:
    link(connection).parent.mkdir(parents=True)
    link(connection).symlink_to("t-dead:dead@host:7:2020:something:1000")
    told: list[str] = []
    with lock(connection, notice=told.append):
        assert link(connection).readlink().name.startswith("t-alice:")
    assert "dead@host (process 7)" in told[0]


def test_the_lock_of_a_killed_process_of_ours_is_taken_over(connection: Shell) -> None:
    """Of the same person and machine, and no longer there; anybody else's is left alone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock(connection, process=gone.pid, token="m1-dead").__enter__()
    with pytest.raises(ClusterLocked), lock(connection, "bob", token="m1-bob"):
        pass
    with pytest.raises(ClusterLocked), lock(connection, token="m2-other"):
        pass
    told: list[str] = []
    with lock(connection, token="m1-next", notice=told.append):
        assert "is taken over" in told[0]
    lock(connection, process=os.getpid(), token="m1-alive").__enter__()
    with pytest.raises(ClusterLocked), lock(connection, token="m1-second"):
        pass


@pytest.mark.parametrize("text", ["nonsense", "a:b", ":::::", "x:y:z:when:what:99x", "x:y:z:w:v:"])
def test_a_lock_that_says_nothing_is_no_lock(connection: Shell, text: str) -> None:
    link(connection).parent.mkdir(parents=True)
    link(connection).symlink_to(text)
    with lock(connection):
        pass


def test_force_takes_it_and_the_former_owner_notices(connection: Shell) -> None:
    with lock(connection) as first:
        first.renew()
        with lock(connection, "bob", force=True), pytest.raises(LockLost, match="bob@laptop"):
            first.renew()
    assert not link(connection).is_symlink()


def test_a_lock_that_was_removed_is_lost(connection: Shell) -> None:
    with lock(connection) as held:
        link(connection).unlink()
        with pytest.raises(LockLost, match="removed"):
            held.renew()


def test_leaving_frees_only_the_own_lock(connection: Shell) -> None:
    with lock(connection):
        link(connection).unlink()
        link(connection).symlink_to("t-bob:bob@host:1:2:3:99999999999")
    assert link(connection).is_symlink()


def test_names_with_any_character_do_no_harm(connection: Shell, tmp_path: Path) -> None:
    evil = "x'; touch owned; \n:`touch owned` $(touch owned)/../.."
    with lock(connection, owner=evil, what=evil), pytest.raises(ClusterLocked), lock(connection, "bob"):
        pass
    assert not list(tmp_path.rglob("owned"))
    assert not list(Path.cwd().glob("owned"))


def test_of_many_takers_of_an_expired_lock_one_gets_it(tmp_path: Path) -> None:
    connection = Shell(tmp_path)
    link(connection).parent.mkdir(parents=True)
    link(connection).symlink_to("t-dead:dead@host:7:2020:something:1000")

    def take(number: int) -> bool:
        try:
            lock(connection, f"u{number}").__enter__()
        except ClusterLocked:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_a_taker_that_died_half_way_holds_nobody_up(connection: Shell) -> None:
    link(connection).parent.mkdir(parents=True)
    link(connection).symlink_to("t-dead:dead@host:7:2020:something:1000")
    taking = link(connection).with_name("lock.taking")
    taking.mkdir()
    subprocess.run(["touch", "-d", "2020-01-01", taking], check=True)
    with lock(connection):
        pass


def test_a_tree_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="lock-node: the cluster's lock cannot be kept"):
        lock(Shell(tmp_path / "file")).__enter__()


def test_a_text_from_a_node_cannot_steer_a_terminal() -> None:
    assert "\x1b" not in str(read_holder("a:b\x1b[2J:c:d:e:1"))
