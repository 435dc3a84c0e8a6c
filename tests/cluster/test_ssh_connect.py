"""An ssh connection is made as the user's own `ssh` would make it, and never to a node that is not known."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from pumice.cluster.address import Address
from pumice.cluster.connection import ConnectionCut, NodeError, Refused, TooSlow, Unreachable
from pumice.cluster.engine import Engine
from pumice.cluster.inventory import Node

pytestmark = pytest.mark.peer


@pytest.fixture
def reach(environment):
    """Connects to one node, or raises why that cannot be."""
    engines = []

    def reaching(node, *, timeout=15.0, **more):
        engine = Engine({**environment, **more}, connect_timeout=timeout)
        engines.append(engine)
        made = engine.connect([node])[node.name]
        if isinstance(made, Exception):
            raise made
        return made

    yield reaching
    for engine in engines:
        engine.close()


@pytest.fixture
def config(environment):
    """Writes the user's ssh configuration."""
    folder = f"{environment['HOME']}/.ssh"
    os.mkdir(folder, 0o700)

    def writing(text):
        with open(f"{folder}/config", "w") as file:
            file.write(text)

    return writing


def sessions(ssh) -> int:
    """How many connections a node has accepted."""
    return (ssh.root / "log").read_text().count("Accepted publickey")


# --- host keys ------------------------------------------------------------------------------------------


def test_an_unknown_host_key_is_refused_with_the_way_to_add_it(fleet, reach):
    ssh = fleet.start("n1", known=False)
    with pytest.raises(Unreachable) as caught:
        reach(fleet.node(ssh))
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", f"{fleet.host_key}.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert f"n1: the host key of [127.0.0.1]:{ssh.port} is unknown (ssh-ed25519 {fingerprint})" in str(
        caught.value
    )
    assert f"ssh-keyscan -p {ssh.port} 127.0.0.1 >> {fleet.known_hosts}" in caught.value.hint
    assert sessions(ssh) == 0
    subprocess.run(caught.value.hint.split("then: ")[1], shell=True, check=True, stderr=subprocess.DEVNULL)
    assert reach(fleet.node(ssh)).run("echo in").output == b"in\n"


def test_a_changed_host_key_is_refused_as_what_it_may_be(fleet, reach):
    ssh = fleet.start("n1", known=False)
    fleet.trust(ssh.port, fleet.key("other"))
    with pytest.raises(Unreachable, match=r"is not the one in .* somebody stands between") as caught:
        reach(fleet.node(ssh))
    assert f"ssh-keygen -R '[127.0.0.1]:{ssh.port}'" in caught.value.hint
    assert sessions(ssh) == 0


def test_a_host_key_of_another_kind_is_a_changed_one(fleet, reach):
    ssh = fleet.start("n1", known=False)
    rsa = fleet.root / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa], check=True)
    fleet.trust(ssh.port, rsa)
    with pytest.raises(Unreachable, match="is not the one in"):
        reach(fleet.node(ssh))
    assert sessions(ssh) == 0


def test_a_key_that_is_listed_for_the_address_is_none_for_the_name(fleet, reach):
    ssh = fleet.start("n1")
    node = fleet.node(ssh, address=Address("ssh", "localhost", user=getpass.getuser(), port=ssh.port))
    with pytest.raises(Unreachable, match="is unknown"):
        reach(node)


def test_no_configuration_switches_the_check_off(fleet, reach, config):
    ssh = fleet.start("n1", known=False)
    for text in ("UserKnownHostsFile none", "UserKnownHostsFile /dev/null"):
        if not os.path.exists(f"{fleet.root}/../home/.ssh/config"):
            config(f"Host *\n  StrictHostKeyChecking no\n  {text}\n")
        with pytest.raises(Unreachable, match="is unknown"):
            reach(fleet.node(ssh, known_hosts=None))
    assert sessions(ssh) == 0


def test_hashed_names_authorities_and_revoked_keys_are_read(fleet, reach):
    ssh = fleet.start("n1")
    subprocess.run(["ssh-keygen", "-Hf", fleet.known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in fleet.known_hosts.read_text()
    assert reach(fleet.node(ssh)).run("echo in").ok

    authority, host_key = fleet.key("ca"), fleet.key("signed")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "n2", "-h", "-n", "127.0.0.1", f"{host_key}.pub"],
        check=True,
    )
    signed = fleet.start("n2", host_key=host_key, extra=f"HostCertificate {host_key}-cert.pub\n", known=False)
    line = f"@cert-authority [127.0.0.1]:{signed.port} {authority.with_suffix('.pub').read_text()}"
    fleet.known_hosts.write_text(line)
    assert reach(fleet.node(signed)).run("echo in").ok
    fleet.known_hosts.write_text(line + f"@revoked * {host_key.with_suffix('.pub').read_text()}")
    with pytest.raises(Unreachable, match="revoked"):
        reach(fleet.node(signed))


def test_words_that_would_change_who_is_trusted_are_not_passed_over(fleet, reach, config):
    config("Host *\n  RevokedHostKeys /etc/revoked\n")
    with pytest.raises(Unreachable, match="RevokedHostKeys, which Pumice does not serve"):
        reach(fleet.node(fleet.start("n1")))


# --- who we are -----------------------------------------------------------------------------------------


def test_a_key_that_is_not_accepted_is_told(fleet, reach):
    node = fleet.node(fleet.start("n1"), identity=str(fleet.key("stranger")))
    with pytest.raises(Unreachable, match="accepts none of the keys for") as caught:
        reach(node)
    assert "authorized_keys" in caught.value.hint


def test_a_key_that_is_not_there_is_told(fleet, reach):
    with pytest.raises(Unreachable, match="the key /nowhere cannot be read"):
        reach(fleet.node(fleet.start("n1"), identity="/nowhere"))


@pytest.fixture
def agent(tmp_path):
    """An ssh-agent of the test's own: its socket, and a way to load keys."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 5
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.01)

    def load(key):
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": path}, check=True)

    yield path, load
    process.terminate()
    process.wait(5)


def test_a_key_that_only_the_agent_has_is_used(fleet, reach, agent):
    path, load = agent
    load(fleet.identity)
    ssh = fleet.start("n1")
    node = fleet.node(ssh, identity=None)
    assert reach(node, SSH_AUTH_SOCK=path).run("echo in").ok
    with pytest.raises(Unreachable, match="accepts none of the keys"):
        reach(node)


def test_a_key_with_a_passphrase_is_used_through_the_agent(fleet, reach, agent):
    path, load = agent
    load(fleet.identity)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", fleet.identity], check=True)
    node = fleet.node(fleet.start("n1"))
    assert reach(node, SSH_AUTH_SOCK=path).run("echo in").ok
    with pytest.raises(Unreachable):
        reach(node)


def test_an_identity_is_the_only_key_that_is_offered(fleet, reach, agent):
    path, load = agent
    load(fleet.key("stranger"))
    ssh = fleet.start("n1", extra="MaxAuthTries 1\n")
    assert reach(fleet.node(ssh), SSH_AUTH_SOCK=path).run("echo in").ok


# --- the user's configuration ---------------------------------------------------------------------------


def test_an_alias_of_the_configuration_is_followed(fleet, reach, config):
    ssh = fleet.start("n1")
    config(
        f"Host edge-*\n  HostName 127.0.0.1\n  Port {ssh.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {fleet.identity}\n  UserKnownHostsFile {fleet.known_hosts}\n"
        "  SetEnv A=1\n  RemoteCommand false\n  RequestTTY force\n  ForwardAgent yes\n"
    )
    answer = reach(Node("n1", Address("ssh", "edge-1"))).run("echo in; test -t 0 || echo no terminal")
    assert answer.output == b"in\nno terminal\n"


def test_an_alias_of_host_keys_is_followed(fleet, reach, config):
    ssh = fleet.start("n1", known=False)
    fleet.known_hosts.write_text(f"the-edge {fleet.host_key.with_suffix('.pub').read_text()}")
    config("Host *\n  HostKeyAlias the-edge\n")
    assert reach(fleet.node(ssh)).run("echo in").ok


def jump_config(fleet, *names):
    text = "".join(f"Host {ssh.name}\n  HostName 127.0.0.1\n  Port {ssh.port}\n" for ssh in fleet.nodes)
    return text + (
        f"Host *\n  User {getpass.getuser()}\n  IdentityFile {fleet.identity}\n"
        f"  UserKnownHostsFile {fleet.known_hosts}\n"
    )


def test_one_connection_to_a_jump_host_serves_all_nodes_behind_it(fleet, environment, config):
    jump, *nodes = [fleet.start(name) for name in ("jump", "n1", "n2", "n3")]
    config("Host n*\n  ProxyJump jump\n" + jump_config(fleet))
    with Engine(environment) as engine:
        reached = engine.connect([Node(ssh.name, Address("ssh", ssh.name)) for ssh in nodes])
        answers = engine.map(lambda connection: connection.run("echo in").output, reached)
    assert answers == dict.fromkeys(("n1", "n2", "n3"), b"in\n")
    assert sessions(jump) == 1


def test_several_jump_hosts_are_gone_through_in_turn(fleet, reach, config):
    first, second, last = [fleet.start(name) for name in ("first", "second", "n1")]
    config("Host n1\n  ProxyJump first,second\n" + jump_config(fleet))
    assert reach(Node("n1", Address("ssh", "n1"))).run("echo in").ok
    assert [sessions(ssh) for ssh in (first, second, last)] == [1, 1, 1]


def test_the_host_key_of_a_jump_host_is_checked(fleet, reach, config):
    fleet.start("jump", known=False)
    fleet.start("n1")
    config("Host n1\n  ProxyJump jump\n" + jump_config(fleet))
    with pytest.raises(Unreachable, match=r"jump host jump: the host key of .* is unknown"):
        reach(Node("n1", Address("ssh", "n1")))


def test_jump_hosts_in_a_circle_end(fleet, reach, config):
    fleet.start("a")
    fleet.start("b")
    config("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n" + jump_config(fleet))
    with pytest.raises(Unreachable, match="circle"):
        reach(Node("n1", Address("ssh", "a")), timeout=5)


def test_a_proxy_command_is_run(fleet, reach, config):
    ssh = fleet.start("n1")
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    program = fleet.root / "proxy"
    program.write_text("#!/bin/bash\nexec 3<>/dev/tcp/$1/$2\ncat <&3 & cat >&3\nkill $!\n")
    program.chmod(0o755)
    config(f"Host *\n  ProxyCommand {program} %h %p\n")
    assert reach(fleet.node(ssh)).run("echo in").ok


def test_a_broken_configuration_is_told(fleet, reach, config):
    config("Host *\n  Port ninety\n")
    with pytest.raises(Unreachable, match="ninety"):
        reach(fleet.node(fleet.start("n1")))


# --- nodes that are not well ----------------------------------------------------------------------------


def test_a_port_where_nothing_listens_is_told_at_once(fleet, reach):
    ssh = fleet.start("n1")
    ssh.stop()
    began = time.monotonic()
    with pytest.raises(Unreachable, match=rf"n1: 127.0.0.1:{ssh.port}: .*refused"):
        reach(fleet.node(ssh))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 100_000, b"SSH-2.0-x\r\n" + b"\0" * 64]
)
def test_what_is_no_ssh_server_ends_in_an_error(fleet, reach, said):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        taken, _ = listener.accept()
        with taken:
            try:
                taken.sendall(said)
                taken.settimeout(3)
                while taken.recv(4096):
                    pass
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    node = Node(
        "n1",
        Address("ssh", "127.0.0.1", user="x", port=listener.getsockname()[1]),
        identity=str(fleet.identity),
    )
    with pytest.raises((Unreachable, TooSlow)):
        reach(node, timeout=1)
    listener.close()
    thread.join(5)


def test_banners_and_what_a_login_prints_are_not_output(fleet, reach):
    (fleet.root / "banner").write_text("*** authorized use only ***\n" * 50)
    ssh = fleet.start("n1", extra=f"Banner {fleet.root}/banner\nPrintMotd yes\n")
    for name in (".bashrc", ".profile", ".cshrc", ".zshenv"):
        (ssh.root / name).write_text("echo noise; echo more noise >&2\n")
    assert reach(fleet.node(ssh)).run("echo mine").output == b"mine\n"


def test_an_account_that_runs_no_scripts_is_told(fleet, reach):
    ssh = fleet.start("n1", extra="ForceCommand echo This account is for files only.; exit 3\n")
    with pytest.raises(NodeError, match=r"n1: no script can be run: This account is for files only\."):
        reach(fleet.node(ssh)).run("echo in")


def test_where_sshd_forwards_no_ports_a_program_of_the_node_does(fleet, reach):
    ssh = fleet.start("n1", extra="AllowTcpForwarding no\n")
    (ssh.root / ".bashrc").write_text("echo noise\n")
    connection = reach(fleet.node(ssh))
    with pytest.raises(
        NodeError, match="forwards no ports, and neither socat, bash nor nc is there"
    ) as caught:
        connection.dial("127.0.0.1", ssh.port)
    assert "AllowTcpForwarding" in caught.value.hint
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    (fleet.programs / "bash").symlink_to(shutil.which("bash"))
    for _ in range(2):
        with connection.dial("127.0.0.1", ssh.port) as stream:
            stream.sendall(b"SSH-2.0-test\r\n")
            assert stream.recv(7) == b"SSH-2.0"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(Refused):
            connection.dial("127.0.0.1", probe.getsockname()[1])


def gone(path) -> bool:
    """Whether the process that wrote its pid to a file has ended (or is about to, in a moment)."""
    pid = int(path.read_text())
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_output_without_end_is_cut_and_what_wrote_it_ends(fleet, reach):
    ssh = fleet.start("n1")
    connection = reach(fleet.node(ssh))
    with pytest.raises(NodeError, match="n1 wrote more than 16 MiB"):
        connection.run(f"echo $$ > {ssh.root}/pid; while :; do cat /dev/zero; done")
    assert gone(ssh.root / "pid")
    assert connection.run("echo still here").output == b"still here\n"


def test_what_hangs_is_told_to_end(fleet, reach):
    ssh = fleet.start("n1")
    connection = reach(fleet.node(ssh))
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"n1 did not finish within 0.3 seconds"):
        connection.run(f"echo $$ > {ssh.root}/pid; sleep 60; sleep 60", timeout=0.3)
    assert time.monotonic() - began < 3
    assert gone(ssh.root / "pid")
    with pytest.raises(TooSlow):
        connection.run("sleep 60", stdin=iter([b"x" * 1_000_000] * 20), timeout=0.3)
    assert connection.run("echo still here").ok


def test_a_script_that_reads_nothing_does_not_hang(fleet, reach):
    connection = reach(fleet.node(fleet.start("n1")))
    assert connection.run("exit 3", stdin=b"x" * 20_000_000, timeout=20).code == 3
    assert connection.run("exit 4", stdin=iter([b"x" * 1_000_000] * 20), timeout=20).code == 4


def test_a_connection_that_is_cut_while_it_feeds_is_told(fleet, reach):
    ssh = fleet.start("n1")
    connection = reach(fleet.node(ssh))

    def pieces():
        yield b"x" * 100_000
        os.kill(session_of(connection), signal.SIGKILL)
        for _ in range(2000):
            yield b"x" * 100_000

    with pytest.raises(ConnectionCut, match="n1: the connection broke"):
        connection.run("cat > /dev/null", stdin=pieces(), timeout=20)
    with pytest.raises(ConnectionCut):
        connection.run("echo in")
    with pytest.raises(ConnectionCut):
        connection.dial("127.0.0.1", ssh.port)


def session_of(connection) -> int:
    """The process of the daemon that serves this connection: the parent of every shell."""
    return int(connection.run("read -r _ _ _ parent _ < /proc/$$/stat; echo $parent").output)


def test_a_network_that_falls_silent_is_a_cut(fleet, reach, monkeypatch):
    """Long before the time limit of the script."""
    monkeypatch.setattr("pumice.cluster.ssh_connect._KEEPALIVE", 0.5)
    connection = reach(fleet.node(fleet.start("n1")))
    session = session_of(connection)
    os.kill(session, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionCut, match="n1: the connection broke"):
            connection.run("echo in", timeout=200)
    finally:
        os.kill(session, signal.SIGKILL)


SUDO = """#!/bin/sh
[ "$1 $2 $3 $5" = "-n -H -u --" ] || exit 64
echo "$4" >> "$0.log"
[ "$4" != nobody ] || { echo "sudo: a password is required" >&2; exit 1; }
shift 5
exec "$@"
"""


def test_another_user_is_become_and_its_scripts_are_ended_as_that_user(fleet, reach):
    program = fleet.programs / "sudo"
    program.write_text(SUDO)
    program.chmod(0o755)
    ssh = fleet.start("n1")
    connection = reach(fleet.node(ssh, sudo="kong"))
    assert connection.run("cat", stdin=b"in").output == b"in"
    with pytest.raises(TooSlow):
        connection.run(f"echo $$ > {ssh.root}/pid; sleep 60; sleep 60", timeout=0.5)
    assert gone(ssh.root / "pid")
    assert (fleet.programs / "sudo.log").read_text() == "kong\n" * 3
    with pytest.raises(NodeError, match="nothing can be run as nobody: sudo: a password is required"):
        reach(fleet.node(ssh, sudo="nobody")).run("echo in")


def test_a_script_that_kills_itself_answers_with_the_signal(fleet, reach):
    connection = reach(fleet.node(fleet.start("n1")))
    assert connection.run("kill -9 $$").code == 137


def test_many_streams_and_scripts_share_one_connection(fleet, reach):
    ssh = fleet.start("n1")
    connection = reach(fleet.node(ssh))
    answers: list[bytes] = []

    def one(number):
        if number % 2:
            with connection.dial("127.0.0.1", ssh.port) as stream:
                answers.append(stream.recv(7))
        else:
            answers.append(connection.run(f"echo {number}").output)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == sorted([b"SSH-2.0"] * 8 + [b"%d\n" % number for number in range(0, 16, 2)])
    assert sessions(ssh) == 1


def test_a_stream_carries_much_both_ways_and_ends_on_either_side(fleet, reach):
    connection = reach(fleet.node(fleet.start("n1")))
    listener = socket.create_server(("127.0.0.1", 0))
    data = os.urandom(3_000_000)

    def echo():
        taken, _ = listener.accept()
        with taken:
            while piece := taken.recv(65536):
                taken.sendall(piece)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    stream = connection.dial("127.0.0.1", listener.getsockname()[1])
    writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)))
    writer.start()
    received = b"".join(iter(lambda: stream.recv(65536), b""))
    writer.join(20)
    thread.join(5)
    stream.close()
    listener.close()
    assert received == data
