"""cluster.toml: what is left out has a default, and what is wrong is told with line, key and what is allowed."""

from __future__ import annotations

import pytest

from pumice.cluster.address import Address
from pumice.cluster.inventory import Cluster, Expect, Node, PluginWish, read_cluster
from pumice.errors import ConfigError, NotFoundError

ISSUE = """
[cluster]
name = "edge"
canary = 1
batch = "25%"

[[node]]
name = "cp-1"
address = "ssh://kong@10.0.0.11:22"
role = "control_plane"
admin = "http://127.0.0.1:8001"
status = "http://127.0.0.1:8007"
kong = "/usr/local/bin/kong"
conf = "/etc/kong/kong.conf"
prefix = "/usr/local/kong"
tree = "/opt/pumice"
"""


@pytest.fixture
def read(tmp_path):
    """Reads a text as cluster.toml of a directory `edge`."""
    folder = tmp_path / "edge"
    folder.mkdir()

    def reading(text: str) -> Cluster:
        path = folder / "cluster.toml"
        path.write_text(text)
        return read_cluster(str(path), home="/home/me")

    return reading


def wrong(read, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.hint
    return str(caught.value).replace(str(caught.value).split("cluster.toml")[0], "")


def test_the_file_of_the_issue_is_read(read):
    cluster = read(ISSUE)
    assert (cluster.name, cluster.canary, cluster.batch) == ("edge", 1, "25%")
    assert cluster.nodes == (
        Node("cp-1", Address("ssh", "10.0.0.11", user="kong", port=22), role="control_plane"),
    )


def test_everything_but_name_and_address_has_a_default(read):
    cluster = read('[[node]]\nname = "a"\naddress = "local:"\n')
    assert cluster.nodes == (Node("a", Address("local")),)
    assert (cluster.name, cluster.max_failures, cluster.pause, cluster.timeout) == ("edge", 0, 0.0, 60.0)


def test_every_key_is_read(read, tmp_path):
    cluster = read(
        """
        [cluster]
        canary = 0
        batch = 3
        max_failures = 2
        pause = 1.5
        timeout = 30
        [[node]]
        name = "a"
        address = "docker://a"
        admin = false
        status = "https://10.0.0.1:8007/"
        proxy = "http://[::1]:8000"
        layout = "luarocks"
        identity = "keys/id"
        known_hosts = "~/hosts"
        sudo = true
        enable = "env:/etc/default/kong"
        restart = "sv restart kong"
        expect = { path = "/x", status = 204, headers = { X-A = "1", X-B = true }, host = "example.com" }
        admin_ca = "/etc/ca.pem"
        admin_verify = false
        [[plugin]]
        name = "kong-plugin-a"
        version = "~> 1.0"
        [[plugin]]
        path = "../b"
        entity = "b.json"
        """
    )
    [node] = cluster.nodes
    assert node == Node(
        "a",
        Address("docker", "a"),
        admin=None,
        status="https://10.0.0.1:8007",
        proxy="http://[::1]:8000",
        tree="/usr/local",
        layout="luarocks",
        identity=f"{tmp_path}/edge/keys/id",
        known_hosts="/home/me/hosts",
        sudo="root",
        enable="env:/etc/default/kong",
        restart="sv restart kong",
        expect=Expect("/x", 204, (("X-A", "1"), ("X-B", None)), "example.com"),
        admin_ca="/etc/ca.pem",
        admin_verify=False,
    )
    assert cluster.plugins == (
        PluginWish(name="kong-plugin-a", version="~> 1.0"),
        PluginWish(path=f"{tmp_path}/b", entity=f"{tmp_path}/edge/b.json"),
    )
    assert (cluster.canary, cluster.batch, cluster.pause, cluster.timeout) == (0, "3", 1.5, 30.0)


def test_a_node_takes_from_its_group_before_the_defaults(read):
    cluster = read(
        """
        [defaults]
        tree = "/srv/pumice"
        role = "data_plane"
        sudo = "kong"
        [group.cp]
        role = "control_plane"
        [[node]]
        name = "a"
        address = "local:"
        [[node]]
        name = "b"
        address = "ssh://b"
        group = "cp"
        sudo = false
        """
    )
    assert [(node.role, node.tree, node.sudo) for node in cluster.nodes] == [
        ("data_plane", "/srv/pumice", "kong"),
        ("control_plane", "/srv/pumice", None),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('adress = "x"', "`adress` is not known; did you mean `address`?"),
        ("wheel = 4", "`wheel` is not known; known are "),
        ('role = "control-plane"', "not 'control-plane' (did you mean control_plane?)"),
        ("role = 1", "`role` is a text in quotes, not a number"),
        ('admin = "10.0.0.1:8001"', "`admin` is a URL such as http://127.0.0.1:8001, or false"),
        ('admin = "http://u:hunter2@h"', "`admin` holds a password; a token comes from KONG_ADMIN_TOKEN"),
        ('tree = "opt/pumice"', "`tree` is a whole path on the node"),
        ('tree = "/opt/../etc"', "`tree` is a whole path on the node"),
        ('tree = "/"', "`tree` is a directory of its own"),
        ('tree = "/opt/a;b"', "`tree` is a directory of its own"),
        ('conf = "/etc/a\\nb"', "`conf` holds control characters"),
        ('prefix = " "', "`prefix` is empty"),
        ('enable = "systemd:a b"', "`enable` is "),
        ('enable = "env:kong"', "`enable` is "),
        ('sudo = "-u"', "`sudo` is true (root) or the name of a user"),
        ("admin_verify = 1", "`admin_verify` is true or false, not a number"),
        ("expect = 1", "`expect` is a table"),
        ('expect = { path = "x" }', "`expect` needs a `path` that begins with a slash"),
        ('expect = { path = "/", method = "POST" }', "it must change nothing"),
        ('expect = { path = "/", headers = { "a b" = "1" } }', "`headers` of `expect` is a table"),
        ('group = "x"', "there is no [group.x]"),
    ],
)
def test_a_wrong_key_of_a_node_is_told_with_its_line(read, line, said):
    text = wrong(
        read,
        f'[[node]]\nname = "o"\naddress = "local:"\n\n[[node]]\nname = "a"\naddress = "ssh://a"\n{line}\n',
    )
    assert text.startswith("cluster.toml:8: node a: ")
    assert said in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no node"),
        ("[cluster]\ncanary = -1", "cluster.toml:2: [cluster]: `canary` is at least 0, not -1."),
        ("[cluster]\ncanary = 1.5", "`canary` is a whole number"),
        ("[cluster]\nbatch = 0", "`batch` is a count such as 5"),
        ("[cluster]\nbatch = '0%'", "`batch` is a count such as 5"),
        ("[cluster]\ntimeout = true", "`timeout` is a number, not true or false"),
        ("[cluster]\ntimeout = nan", "`timeout` is at least 1"),
        ("[clusters]\nname = 'x'", "this file: `clusters` is not known; did you mean `cluster`?"),
        ("[node]\nname = 'x'", "nodes are written [[node]], with two brackets"),
        ("[[node]]\naddress = 'local:'", "`name` is missing"),
        ("[[node]]\nname = 'a'", "cluster.toml:1: node a: `address` is missing"),
        ("[[node]]\nname = 'a b'\naddress = 'local:'", "`name` has letters"),
        ("[[node]]\nname = '../a'\naddress = 'local:'", "`name` has letters"),
        ("[[node]]\nname = 'a'\naddress = 'ssh://u:pw@h'", "a password does not belong here"),
        ("[[plugin]]\nname = 'a'\npath = 'b'", "not both"),
        ("[[plugin]]\nversion = '1'", "is missing"),
        ("[[plugin]]\nname = 'a'\nversion = '>> 1'", "`version`: "),
        ("name = [", "this is no TOML"),
        ("a = 1\nb", "cluster.toml:2: this is no TOML"),
    ],
)
def test_a_wrong_file_is_told_with_what_is_allowed(read, text, said):
    assert said in wrong(read, text)


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(read):
    text = wrong(read, '[cluster]\nbatch = "x"\n[[node]]\nname = "a"\naddress = "ftp://a"\ntree = "x"\n')
    assert [line.split(":")[1] for line in text.split("\n")] == ["2", "5", "6"]


def test_two_nodes_are_two_gateways(read):
    node = '[[node]]\nname = "{0}"\naddress = "local:"\nprefix = "/{1}"\n'
    assert "another node of this name" in wrong(read, node.format("a", "a") + node.format("a", "b"))
    assert "another node has local:" in wrong(read, node.format("a", "a") + node.format("b", "a"))
    assert len(read(node.format("a", "a") + node.format("b", "b")).nodes) == 2


def test_a_file_that_is_not_there_is_told_with_the_command_that_writes_one(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        read_cluster(str(tmp_path / "no.toml"))
    assert "cluster init" in caught.value.hint


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path):
    (tmp_path / "cluster.toml").write_bytes(b"# a\n\xff")
    with pytest.raises(ConfigError, match=r"cluster.toml:2: this is no UTF-8"):
        read_cluster(str(tmp_path / "cluster.toml"))


@pytest.mark.parametrize(
    ("batch", "count", "size"),
    [("25%", 8, 2), ("25%", 3, 1), ("100%", 7, 7), ("3", 8, 3), ("3", 2, 3), ("1%", 1, 1)],
)
def test_a_batch_has_at_least_one_node(batch, count, size):
    assert Cluster("c", (), "/c", batch=batch).batch_size(count) == size
