"""`pumice cluster init` writes what the reader accepts, from flags, from other inventories, or from answers."""

from __future__ import annotations

import json
import os
import pty
import random
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cli.main import main
from pumice.cluster.ansible_inventory import ansible_nodes
from pumice.cluster.ansible_reader import read_inventory
from pumice.cluster.inventory import read_cluster
from pumice.cluster.inventory_reader import parse_cluster
from pumice.cluster.inventory_writer import cluster_text, write_cluster
from pumice.cluster.node_draft import NodeDraft, node_name
from pumice.cluster.small_yaml import read_yaml
from pumice.cluster.ssh_config_hosts import ssh_config_nodes
from pumice.errors import ConfigError, DataError, NotFoundError

INI = """
# fleet
lonely ansible_host=10.9.9.9
[control_plane]
cp-1 ansible_host=10.0.0.11 ansible_port=2222
[data_planes]
dp-[01:03].example.com ansible_user=edge   # three
db-[a:b] ansible_connection=local
odd.example.com:2200 note="two words" ansible_ssh_private_key_file='/keys/my key'
[kong:children]
control_plane
data_planes
[kong:vars]
ansible_user=kong
ansible_become=true
[all:vars]
ansible_user=nobody
pumice_tree=/srv/pumice
"""

YAML = """\
---
all:
  vars: {ansible_user: nobody, pumice_tree: /srv/pumice}
  hosts:
    lonely:
      ansible_host: 10.9.9.9
  children:
    kong:
      vars:
        ansible_user: kong
        ansible_become: yes   # sudo
      children:
        control_plane:
          hosts:
            cp-1:
              ansible_host: "10.0.0.11"
              ansible_port: 2222
        data_planes:
          hosts:
            dp-[01:03].example.com: {ansible_user: edge}
            db-[a:b]:
              ansible_connection: local
            odd.example.com:
              ansible_port: 2200
              ansible_ssh_private_key_file: '/keys/my key'
              note: |
                two
                words
"""

EXPECTED = {
    "lonely": ("ssh://nobody@10.9.9.9", {"tree": "/srv/pumice"}),
    "cp-1": ("ssh://kong@10.0.0.11:2222", {"role": "control_plane", "sudo": True, "tree": "/srv/pumice"}),
    **{
        f"dp-0{number}.example.com": (
            f"ssh://edge@dp-0{number}.example.com",
            {"role": "data_plane", "sudo": True, "tree": "/srv/pumice"},
        )
        for number in (1, 2, 3)
    },
    **{
        f"db-{letter}": ("local:", {"role": "data_plane", "sudo": True, "tree": "/srv/pumice"})
        for letter in "ab"
    },
    "odd.example.com": (
        "ssh://kong@odd.example.com:2200",
        {"role": "data_plane", "identity": "/keys/my key", "sudo": True, "tree": "/srv/pumice"},
    ),
}


def as_dict(nodes):
    return {node.name: (node.address, dict(node.settings)) for node in nodes}


@pytest.fixture
def pumice(tmp_path, monkeypatch, capsys):
    """Runs a command line in a directory `edge`: its exit code and what it printed."""
    folder = tmp_path / "edge"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))

    def running(*words):
        code = main(["cluster", "init", *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    running.folder = folder
    return running


# --- the writer -----------------------------------------------------------------------------------------

_SETTINGS = {
    "role": st.sampled_from(["traditional", "control_plane", "data_plane", "dbless"]),
    "sudo": st.one_of(st.booleans(), st.just("kong")),
    "identity": st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1).filter(
        str.strip
    ),
    "tree": st.sampled_from(["/opt/a", "/srv/b c", '/srv/"q"', "/srv/b\\s"]),
}


@given(
    st.lists(
        st.fixed_dictionaries({}, optional=_SETTINGS).map(lambda settings: tuple(settings.items())),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_back(settings):
    nodes = [NodeDraft(f"n{number}", f"ssh://n{number}", each) for number, each in enumerate(settings)]
    cluster = parse_cluster(cluster_text("edge", nodes, {}).encode(), "/c/cluster.toml", home="/h")
    plain = "".join(
        f"[[node]]\nname = {json.dumps(node.name)}\naddress = {json.dumps(node.address)}\n"
        + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in node.settings)
        for node in nodes
    )
    assert cluster.nodes == parse_cluster(plain.encode(), "/c/cluster.toml", home="/h").nodes


def test_what_all_nodes_say_is_said_once():
    text = cluster_text(
        "e", [NodeDraft(f"n{number}", f"ssh://n{number}", (("sudo", True),)) for number in range(9)], {}
    )
    assert text.count("\nsudo = true") == 1


def test_a_comment_names_every_key_that_most_people_need():
    text = cluster_text("edge", [NodeDraft("a", "local:")], {})
    for key in ("role", "admin", "status", "kong", "conf", "prefix", "tree", "sudo", "identity"):
        assert f"\n# {key} = " in text
    uncommented = (
        text.replace("\n# ", "\n").replace("For every", "# For every").replace("What every", "# What every")
    )
    uncommented = uncommented.replace("Everything but", "# Everything but")
    assert parse_cluster(uncommented.encode(), "/c/cluster.toml").plugins


def test_what_the_reader_would_refuse_is_not_written(tmp_path):
    path = str(tmp_path / "cluster.toml")
    with pytest.raises(ConfigError, match="No cluster can be made of this"):
        write_cluster(path, cluster_text("e", [NodeDraft("a", "ftp://a")], {}))
    assert os.listdir(tmp_path) == []


def test_names_are_made_of_what_a_name_may_hold_and_once_each():
    taken: set[str] = set()
    assert [node_name(text, taken) for text in ("a b", "a/b", "-", "é", "a-b")] == [
        "a-b",
        "a-b-2",
        "node",
        "node-2",
        "a-b-3",
    ]


# --- flags and answers ----------------------------------------------------------------------------------


def test_nodes_are_named_by_flags(pumice):
    code, said = pumice(
        "--node", "cp-1=ssh://kong@10.0.0.11", "--node", "docker://gw", "--set", "sudo=true", "--name", "x"
    )
    assert code == 0, said
    cluster = read_cluster(str(pumice.folder / "cluster.toml"))
    assert cluster.name == "x"
    assert [(node.name, str(node.address), node.sudo) for node in cluster.nodes] == [
        ("cp-1", "ssh://kong@10.0.0.11", "root"),
        ("gw", "docker://gw", "root"),
    ]
    assert "cluster.toml: 2 nodes" in said


def test_a_file_is_replaced_only_when_that_is_said(pumice):
    path = pumice.folder / "cluster.toml"
    path.write_text("mine")
    code, said = pumice("--node", "local:")
    assert (code, path.read_text()) == (1, "mine")
    assert "--force" in said
    code, _ = pumice("--node", "local:", "--force")
    assert (code, read_cluster(str(path)).nodes[0].name) == (0, "local")
    assert pumice("--node", "local:", "--to", "other.toml")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--from-ansible INVENTORY"),
        (["word"], "too many arguments"),
        (["--node", "a=ftp://b"], "is no address of a node"),
        (["--node", "local:", "--set", "treee=/opt/x"], "did you mean `tree`?"),
        (["--node", "local:", "--set", "tree"], "KEY=VALUE"),
        (["--from-ansible", "no.ini"], "There is no inventory"),
        (["--from-ssh-config", "no"], "There is no ssh configuration"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_written(pumice, words, said, monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        code, told = pumice(*words)
    assert code == 1
    assert said in told
    assert os.listdir(pumice.folder) == []


def test_on_a_terminal_it_asks_and_asks_again(tmp_path):
    folder = tmp_path / "edge"
    folder.mkdir()
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "pumice", "cluster", "init"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    answers = ["", "ftp://x", "ssh://kong@10.0.0.11", "", "cp", "control_plane", "local:", "here", "", ""]
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    said = b""
    until = time.monotonic() + 30
    try:
        while time.monotonic() < until and (piece := os.read(ours, 4096)):
            said += piece
    except OSError:
        pass
    finally:
        os.close(ours)
        child.kill() if child.poll() is None and time.monotonic() >= until else None
    assert child.wait(10) == 0, said.decode()
    assert "is no address of a node" in said.decode()
    cluster = read_cluster(str(folder / "cluster.toml"))
    assert [(node.name, str(node.address), node.role) for node in cluster.nodes] == [
        ("10.0.0.11", "ssh://kong@10.0.0.11", "control_plane"),
        ("here", "local:", None),
    ]
    assert cluster.name == "edge"


# --- Ansible --------------------------------------------------------------------------------------------


@pytest.fixture(params=["ini", "yaml"])
def inventory(request, tmp_path):
    path = tmp_path / f"hosts.{request.param}"
    path.write_text(INI if request.param == "ini" else YAML)
    return path


def test_an_inventory_becomes_nodes(inventory):
    assert as_dict(ansible_nodes(str(inventory), [], "").nodes) == EXPECTED


@pytest.mark.peer
def test_ansible_itself_says_the_same(inventory):
    if not shutil.which("ansible-inventory"):
        pytest.skip("ansible-inventory is not installed")
    assert as_dict(ansible_nodes(str(inventory), [], os.environ["PATH"]).nodes) == EXPECTED


@pytest.mark.peer
@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(12))
def test_ansible_merges_variables_of_any_inventory_the_same_way(tmp_path, seed):
    if not shutil.which("ansible-inventory"):
        pytest.skip("ansible-inventory is not installed")
    choose = random.Random(seed)
    groups, hosts = [f"g{number}" for number in range(5)], [f"h{number}" for number in range(6)]
    lines = [f"{host} ansible_port={choose.randrange(1, 99)}" for host in hosts if choose.random() < 0.3]
    for number, group in enumerate(groups):
        lines.append(f"[{group}]")
        for host in choose.sample(hosts, choose.randrange(0, 4)):
            lines.append(f"{host} ansible_user=own{number}" if choose.random() < 0.3 else host)
        if number and choose.random() < 0.7:
            lines += [f"[{group}:children]", *choose.sample(groups[:number], choose.randrange(1, number + 1))]
        if choose.random() < 0.8:
            lines += [f"[{group}:vars]", f"ansible_user=u{number}", f"pumice_tree=/opt/{number}"]
            if choose.random() < 0.3:
                lines.append(f"ansible_group_priority={choose.randrange(1, 12)}")
    if choose.random() < 0.5:
        lines += ["[all:vars]", "ansible_user=all", "ansible_become=yes"]
    (tmp_path / "hosts").write_text("\n".join(lines) + "\n")
    if choose.random() < 0.6:
        (tmp_path / "group_vars").mkdir()
        name = choose.choice([*groups, "all"])
        (tmp_path / "group_vars" / f"{name}.yml").write_text("ansible_user: beside\nansible_port: 7\n")
    if choose.random() < 0.4:
        (tmp_path / "host_vars").mkdir()
        (tmp_path / "host_vars" / choose.choice(hosts)).write_text("---\nansible_user: hostbeside\n")
    ours = as_dict(ansible_nodes(str(tmp_path / "hosts"), [], "").nodes)
    assert as_dict(ansible_nodes(str(tmp_path / "hosts"), [], os.environ["PATH"]).nodes) == ours


def test_groups_and_hosts_can_be_chosen(inventory):
    assert set(as_dict(ansible_nodes(str(inventory), ["control_plane", "db-a"], "").nodes)) == {
        "cp-1",
        "db-a",
    }
    with pytest.raises(NotFoundError) as caught:
        ansible_nodes(str(inventory), ["kng"], "")
    assert "kong" in caught.value.hint


def test_variables_beside_the_inventory_count(tmp_path):
    (tmp_path / "hosts").write_text("[kong]\na\nb\n[kong:vars]\nansible_port=1\n")
    for name, text in {
        "group_vars/all.yml": "ansible_user: all\npumice_conf: /etc/all\n",
        "group_vars/kong/main.yml": "ansible_user: kong\nansible_port: 2\nvaulted: !vault |\n  $ANSIBLE_VAULT;1.1\n  6162\n",
        "group_vars/kong/.hidden": "ansible_user: hidden\n",
        "host_vars/b.yaml": "ansible_user: b\nlist:\n- x\n- y: 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ours = ansible_nodes(str(tmp_path / "hosts"), [], "")
    assert as_dict(ours.nodes) == {
        "a": ("ssh://kong@a:2", {"conf": "/etc/all"}),
        "b": ("ssh://b@b:2", {"conf": "/etc/all"}),
    }
    if shutil.which("ansible-inventory"):
        assert as_dict(ansible_nodes(str(tmp_path / "hosts"), [], os.environ["PATH"]).nodes) == as_dict(
            ours.nodes
        )


def test_what_cannot_be_taken_over_is_noted(tmp_path):
    (tmp_path / "hosts").write_text(
        "a ansible_password=hunter2 ansible_ssh_common_args='-o ProxyJump=b'\n"
        "w ansible_connection=winrm\n"
        "t ansible_user='{{ who }}'\n"
        "d ansible_connection=community.docker.docker ansible_user=kong\n"
        "k ansible_connection=kubernetes.core.kubectl ansible_kubectl_namespace=ns ansible_kubectl_pod=gw-0\n"
        "s ansible_become=yes ansible_become_user=kong\n"
        "x ansible_become=yes ansible_become_method=doas\n"
    )
    found = ansible_nodes(str(tmp_path / "hosts"), [], "")
    assert as_dict(found.nodes) == {
        "a": ("ssh://a", {}),
        "t": ("ssh://t", {}),
        "d": ("docker://kong@d", {}),
        "k": ("kubectl://ns/gw-0", {}),
        "s": ("ssh://s", {"sudo": "kong"}),
        "x": ("ssh://x", {}),
    }
    notes = "\n".join(found.notes)
    for said in (
        "a: passwords",
        "a: what ansible_ssh_",
        "w: left out",
        "t: ansible_user is a template",
        "x: only sudo",
    ):
        assert said in notes
    assert "hunter2" not in notes + str(found.nodes)


def test_the_list_of_ansible_is_read_as_it_is(tmp_path):
    path = tmp_path / "inventory.json"
    path.write_text(
        json.dumps(
            {
                "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1"}}},
                "all": {"children": ["dp", "ungrouped"]},
                "dp": {"hosts": ["a", "b"]},
            }
        )
    )
    assert as_dict(ansible_nodes(str(path), ["dp"], "").nodes) == {
        "a": ("ssh://10.0.0.1", {"role": "data_plane"}),
        "b": ("ssh://b", {"role": "data_plane"}),
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("hosts", "a b=c d", "hosts:1: NAME=VALUE is expected, not 'd'"),
        ("hosts", "[g:vars]\nx", "hosts:2: NAME=VALUE is expected"),
        ("hosts", "a 'b", "hosts:1: No closing quotation"),
        ("hosts", "a[1:b]", "is no range"),
        ("hosts", "a[0:99999999]", "more than 10000 hosts"),
        ("hosts", "[a:children]\nb\n[b:children]\na\n[b]\nx", "go in a circle"),
        ("h.yml", "- a", "begins with groups"),
        ("h.yml", "all:\n  host: {}", "a group has hosts, vars and children"),
        ("h.yml", "all:\n  hosts: [1]", "is not a mapping"),
        ("h.yml", "all: &x\n  hosts:", "h.yml:1: "),
        ("h.yml", "all:\n\thosts:", "h.yml:2: "),
        ("h.yml", "all:\n   hosts:\n  vars:", "h.yml:3: "),
        ("h.yml", "all:\n  hosts:\n    a: {b: {c: d}}", "h.yml:3: only short flow values"),
        ("h.yml", "all:\n  hosts:\n    a: 'b", "h.yml:3: a quote is not closed"),
        ("i.json", "[]", "ansible-inventory --list"),
        ("i.json", "{", "ansible-inventory --list"),
    ],
)
def test_an_inventory_that_cannot_be_read_is_told_with_its_place(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        ansible_nodes(str(tmp_path / name), [], "")
    assert said in str(caught.value)


_SCALARS = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.none(),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12),
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abcxyz_-.019", min_size=1, max_size=6), inner, max_size=3),
    ),
    max_leaves=12,
)


@given(_TREES)
def test_what_is_read_of_yaml_is_read_as_others_read_it(tree):
    """PyYAML writes a tree; what our reader accepts of that is the tree, and what it does not is an error."""
    yaml = pytest.importorskip("yaml")
    text = yaml.safe_dump(tree, allow_unicode=True, width=1000)
    try:
        read = read_yaml(text, "t")
    except DataError:
        return
    assert read == yaml.safe_load(text)


def test_a_blank_that_yaml_takes_for_a_letter_is_refused():
    for text in ("\xa0", "a: \xa0b", "a: b\u2003", "a:\tb"):
        with pytest.raises(DataError):
            read_yaml(text, "t")


def test_usual_yaml_is_not_refused():
    yaml = pytest.importorskip("yaml")
    text = 'a: 1\nb: "x: y"\nc:\n  - p\n  - q: 1\n    r: 2\n  -\n    s: {}\nd: [x, "y, z"]\n"e f": ~\ng: it\'s # c\nh: a#b\ni: >\n  t\n  u\n'
    assert read_yaml(text, "t") == {**yaml.safe_load(text), "i": "t u"}


# --- ssh ------------------------------------------------------------------------------------------------

SSH = """
Host edge-1
  HostName 10.0.0.1
  Port 2222
Host edge-2 edge-3
  IdentityFile "/keys/my key"
  UserKnownHostsFile /keys/hosts
Host edge-*
  User kong
  Port 22
Host !edge-9 *
  User nobody
"""


def test_hosts_of_the_users_own_configuration_keep_their_alias(pumice):
    folder = pumice.folder.parent / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Include more\n" + SSH)
    (folder / "more").write_text("Host other\n  HostName 10.0.0.9\n")
    code, said = pumice("--from-ssh-config", str(folder / "config"), "edge-*", "oth*")
    assert code == 0, said
    cluster = read_cluster(str(pumice.folder / "cluster.toml"))
    assert [str(node.address) for node in cluster.nodes] == [
        "ssh://other",
        "ssh://edge-1",
        "ssh://edge-2",
        "ssh://edge-3",
    ]


@pytest.mark.parametrize("search_path", ["", pytest.param(os.environ["PATH"], marks=pytest.mark.peer)])
def test_hosts_of_another_configuration_are_taken_over(tmp_path, search_path):
    path = tmp_path / "config"
    path.write_text(SSH)
    nodes = as_dict(ssh_config_nodes(str(path), ["edge-[12]"], home=str(tmp_path), search_path=search_path))
    keys = {"known_hosts": "/keys/hosts", "identity": "/keys/my key"}
    assert nodes == {"edge-1": ("ssh://kong@10.0.0.1:2222", {}), "edge-2": ("ssh://kong@edge-2", keys)}


def test_a_configuration_without_such_hosts_is_told(tmp_path):
    path = tmp_path / "config"
    path.write_text("Host *\n  User x\n")
    with pytest.raises(NotFoundError, match="no Host without wildcards"):
        ssh_config_nodes(str(path), [], home="/", search_path="")


def test_a_configuration_that_includes_itself_ends(tmp_path):
    path = tmp_path / "config"
    path.write_text(f"Include {path}\nHost a\n")
    assert set(as_dict(ssh_config_nodes(str(path), [], home=str(tmp_path), search_path=""))) == {"a"}


def test_hosts_are_read_with_their_groups(tmp_path):
    (tmp_path / "hosts").write_text(INI)
    groups = {name: groups for name, _, groups in read_inventory(str(tmp_path / "hosts"))}
    assert groups["cp-1"] == {"all", "kong", "control_plane"}
    assert groups["lonely"] == {"all", "ungrouped"}
