"""All nodes at once; what happens to one is its own; and it can be stopped at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pumice.cluster.address import Address
from pumice.cluster.connection import ConnectionCut, Unreachable
from pumice.cluster.engine import Engine
from pumice.cluster.inventory import Node
from pumice.errors import DataError, PumiceError


def local(count):
    return [Node(f"n{number}", Address("local")) for number in range(count)]


def test_everything_is_done_at_once(engine):
    connections = engine.connect(local(12))
    began = time.monotonic()
    answers = engine.map(lambda connection: connection.run("sleep 0.5; echo in").output, connections)
    assert time.monotonic() - began < 4
    assert answers == {f"n{number}": b"in\n" for number in range(12)}


def test_no_more_run_at_once_than_allowed(engine):
    running, most, lock = set(), 0, threading.Lock()

    def work(connection):
        nonlocal most
        with lock:
            running.add(connection.node.name)
            most = max(most, len(running))
        time.sleep(0.02)
        with lock:
            running.remove(connection.node.name)

    engine.map(work, engine.connect(local(9)).values(), parallel=3)
    assert most <= 3


def test_an_error_of_a_node_is_its_answer(engine):
    def work(connection):
        if connection.node.name == "n1":
            raise DataError("n1 has it")
        return 1

    answers = engine.map(work, engine.connect(local(3)))
    assert (answers["n0"], str(answers["n1"]), answers["n2"]) == (1, "n1 has it", 1)


def test_a_bug_is_raised_and_not_kept_as_an_answer(engine):
    connections = engine.connect(local(3))
    with pytest.raises(ZeroDivisionError):
        engine.map(lambda connection: 1 // 0, connections)
    assert engine.map(lambda connection: connection.run("echo in").code, connections) == {
        "n0": 0,
        "n1": 0,
        "n2": 0,
    }


def test_nothing_to_do_is_done(engine):
    assert engine.connect([]) == {}
    assert engine.map(lambda connection: 1, {}) == {}


@pytest.mark.peer
def test_nodes_that_are_down_do_not_hold_up_the_others(fleet, environment):
    good, down = fleet.start("good"), fleet.start("down")
    down.stop()
    with Engine(environment, connect_timeout=5) as engine:
        reached = engine.connect([fleet.node(good), fleet.node(down), Node("here", Address("local"))])
        assert list(reached) == ["good", "down", "here"]
        assert isinstance(reached["down"], Unreachable)
        assert reached["good"].run("echo in").ok
        assert reached["here"].run("echo in").ok


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.peer)])
def nodes(request):
    if request.param == "local":
        return local(3)
    fleet = request.getfixturevalue("fleet")
    ssh = fleet.start("n")
    return [fleet.node(ssh, name=f"n{number}") for number in range(3)]


def alive(folder):
    """How many of the processes that wrote their numbers there still run."""
    count = 0
    for path in folder.iterdir():
        try:
            with open(f"/proc/{int(path.read_text())}/stat") as file:
                count += file.read().rpartition(")")[2].split()[0] != "Z"
        except (OSError, ValueError):
            continue
    return count


def test_an_interrupt_ends_what_runs_and_leaves_the_connections(nodes, engine, tmp_path):
    folder = tmp_path / "pids"
    folder.mkdir()
    connections = engine.connect(nodes)

    def work(connection):
        if connection.node.name == "n2":
            # Told to stop while it waits between two questions.
            engine.wait(60)
        return connection.run(f"echo $$ > {folder}/{connection.node.name}; sleep 60; sleep 60")

    def interrupt():
        until = time.monotonic() + 20
        while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.map(work, connections)
    assert time.monotonic() - began < 20
    until = time.monotonic() + 5
    while alive(folder) and time.monotonic() < until:
        time.sleep(0.02)
    assert alive(folder) == 0
    assert engine.map(lambda connection: connection.run("echo undone").output, connections) == dict.fromkeys(
        ("n0", "n1", "n2"), b"undone\n"
    )


def test_closing_ends_what_runs(nodes, environment):
    engine = Engine(environment)
    connections = engine.connect(nodes)
    answers: list[object] = []

    def work():
        try:
            answers.append(connections["n0"].run("sleep 60"))
        except PumiceError as error:
            answers.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    engine.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(answers[0], ConnectionCut)
    with pytest.raises(ConnectionCut):
        connections["n0"].run("echo in")
    with pytest.raises(ConnectionCut):
        engine.wait(1)
    engine.close()


@pytest.mark.peer
def test_a_controller_that_is_killed_leaves_no_connection(fleet, environment):
    ssh = fleet.start("n1")
    node = fleet.node(ssh)
    program = textwrap.dedent(f"""
        import sys
        from pumice.cluster.address import Address
        from pumice.cluster.engine import Engine
        from pumice.cluster.inventory import Node
        node = {node!r}
        engine = Engine({environment!r})
        connection = engine.connect([node])["n1"]
        print(connection.run("read -r _ _ _ parent _ < /proc/$$/stat; echo $parent").output.decode(), flush=True)
        connection.run("cat")
        sys.stdin.read()
        """)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    session = int(child.stdout.readline())
    child.kill()
    child.wait(10)
    child.stdout.close()
    child.stdin.close()
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{session}") and time.monotonic() < until:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{session}")


def test_ssh_is_not_loaded_for_other_nodes():
    program = textwrap.dedent("""
        import sys
        from pumice.cluster.address import Address
        from pumice.cluster.engine import Engine
        from pumice.cluster.inventory import Node
        with Engine({"PATH": "/usr/bin:/bin"}) as engine:
            assert engine.connect([Node("a", Address("local"))])["a"].run("echo in").ok
        assert "asyncssh" not in sys.modules
        """)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_extra_the_error_names_it(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    for name in [name for name in sys.modules if name.startswith("pumice.cluster.ssh_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PumiceError, match="asyncssh") as caught:
        engine.connect([Node("a", Address("ssh", "a"))])
    assert caught.value.hint == "pip install 'pumice[cluster]'"


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may():
    program = textwrap.dedent("""
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (80, 4096))
        from pumice.cluster.address import Address
        from pumice.cluster.engine import Engine
        from pumice.cluster.inventory import Node
        nodes = [Node(f"n{number}", Address("local")) for number in range(40)]
        with Engine({"PATH": "/usr/bin:/bin"}) as engine:
            answers = engine.map(lambda connection: connection.run("sleep 0.3").code, engine.connect(nodes))
        assert set(answers.values()) == {0}, answers
        """)
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.peer
@pytest.mark.sweep
def test_two_hundred_nodes_take_little_memory_and_give_every_descriptor_back(fleet, environment):
    ssh = fleet.start("n1")
    node = fleet.node(ssh)
    program = textwrap.dedent(f"""
        import os, resource
        from pumice.cluster.address import Address
        from pumice.cluster.engine import Engine
        from pumice.cluster.inventory import Node
        before = len(os.listdir("/proc/self/fd"))
        nodes = [{node!r}.replace(name=f"n{{number}}") for number in range(200)]
        data = os.urandom(100_000)
        with Engine({environment!r}, connect_timeout=60) as engine:
            connections = engine.connect(nodes)
            assert not [made for made in connections.values() if isinstance(made, Exception)]
            answers = engine.map(lambda connection: connection.run("cat", stdin=data).output == data, connections)
            assert set(answers.values()) == {{True}}, answers
        print(len(os.listdir("/proc/self/fd")) - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200
    )
    left, megabytes = map(int, done.stdout.split())
    # The figure for a whole rollout.
    assert (left, megabytes < 300) == (0, True), done.stdout
