"""Small worlds of rocks, and judges of answers that share no code with the solver.

A world is a dict: name -> version -> dependency texts. What a judge needs of versions and constraints it takes
from `pumice.rock`, whose oracle is LuaRocks itself.
"""

import itertools
import json
import lzma
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from pumice.errors import DataError
from pumice.rock.dependency import parse_dependency
from pumice.rock.platform import unsupported_platforms
from pumice.rock.version import newest_first, parse_version
from pumice.solve.situation import InstalledRock, Request, Situation
from pumice.solve.solver import Unsolvable, solve
from pumice.solve.table import Candidate, Facts, MemoryTable

LUA = {"lua": "5.1-1"}


def world_of(text):
    """One rock a line: `name version: dependency; dependency`."""
    world = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        head, _, needs = line.partition(":")
        name, version = head.split()
        world.setdefault(name, {})[version] = [each.strip() for each in needs.split(";") if each.strip()]
    return world


def table_of(world):
    """The world as a table, oldest versions first."""
    table = MemoryTable()
    for name, versions in world.items():
        for version in reversed(newest_first(list(versions))):
            table.add(
                Candidate(name, version), Facts(tuple(parse_dependency(each) for each in versions[version]))
            )
    return table


def installed_of(world, *rocks):
    """Rocks of the world as installed ones: `name version`."""
    return tuple(
        InstalledRock(name, version, None, tuple(parse_dependency(each) for each in world[name][version]))
        for name, version in (rock.split() for rock in rocks)
    )


def requests_of(*texts):
    return [Request(parse_dependency(text)) for text in texts]


class Judge:
    """Says what is wrong with an answer to requests in a world."""

    def __init__(self, world, requests, situation=None):
        self.world = world
        self.requests = [request.dependency for request in requests]
        self.situation = situation or Situation(provided=LUA)
        self.tree = {}
        for rock in self.situation.installed:
            self.tree.setdefault(rock.name, []).append(rock.version)
        self.needs = {(rock.name, rock.version): rock.dependencies for rock in self.situation.installed}

    def met(self, dependency, tree):
        if dependency.name in self.situation.provided:
            return dependency.accepts(self.situation.provided[dependency.name])
        return any(dependency.accepts(version) for version in tree.get(dependency.name, ()))

    def faults(self, tree):
        """What is missing in a tree: name -> versions."""
        faults = []
        for wanted in self.requests:
            if not self.met(wanted, tree):
                faults.append(f"{wanted} is asked for")
        for name, versions in tree.items():
            as_it_was = versions == self.tree.get(name)
            if len(versions) > 1 and not as_it_was:
                faults.append(f"{name} is there twice")
            for version in versions:
                needs = self.world.get(name, {}).get(version)
                if as_it_was:
                    needed = [each for each in self.needs[name, version] if self.met(each, self.tree)]
                elif needs is None:
                    faults.append(f"{name} {version} does not exist")
                    continue
                else:
                    needed = [parse_dependency(each) for each in needs]
                faults += [f"{name} {version} needs {each}" for each in needed if not self.met(each, tree)]
        faults += [f"{name} is gone" for name in self.tree if name not in tree]
        return faults

    def tree_after(self, resolution):
        tree = {name: list(versions) for name, versions in self.tree.items()}
        for rock in resolution.replaced:
            tree[rock.name].remove(rock.version)
        for chosen in resolution.install:
            tree.setdefault(chosen.name, []).append(chosen.version)
        return {name: versions for name, versions in tree.items() if versions}

    def complaints(self, resolution):
        """Everything wrong with a resolution."""
        tree = self.tree_after(resolution)
        found = self.faults(tree)
        new = {chosen.name: chosen for chosen in resolution.install}
        if len(new) != len(resolution.install):
            found.append("a rock is installed twice")
        for chosen in resolution.install + resolution.kept:
            if chosen.candidate is None and chosen.version not in self.tree.get(chosen.name, ()):
                found.append(f"{chosen.name} {chosen.version} is not there to be kept")
            for reason in chosen.reasons:
                if not reason.dependency.accepts(chosen.version) and len(self.tree.get(chosen.name, ())) < 2:
                    found.append(f"{chosen.name} {chosen.version} is no reason for {reason}")
        found += [
            f"{chosen.name} has no reason"
            for chosen in resolution.install
            if not chosen.reasons and chosen.name not in self.tree
        ]
        done = set()
        for chosen in resolution.install:
            done.add(chosen.name)
            for name, _version in chosen.needs:
                if name in new and name not in done and not self._leads_back(new, name, chosen.name):
                    found.append(f"{chosen.name} comes before {name}")
        return found

    def _leads_back(self, new, start, goal):
        seen, stack = set(), [start]
        while stack:
            name = stack.pop()
            if name == goal:
                return True
            if name in new and name not in seen:
                seen.add(name)
                stack += [needed for needed, _version in new[name].needs]
        return False

    def trees(self):
        """Every tree without faults there can be."""
        names = sorted({*self.world, *self.tree})
        choices = []
        for name in names:
            states = [[version] for version in self.world.get(name, {})]
            states.append(self.tree.get(name, []))
            choices.append([state for number, state in enumerate(states) if state not in states[:number]])
        for states in itertools.product(*choices):
            tree = {name: state for name, state in zip(names, states, strict=True) if state}
            if not self.faults(tree):
                yield tree


def reach(world, requests, tree):
    """The part of a tree that the requests lead to."""
    found, names = {}, [request.dependency.name for request in requests]
    while names:
        name = names.pop()
        if name in tree and name not in found:
            found[name] = tree[name]
            for version in tree[name]:
                names += [parse_dependency(each).name for each in world[name][version]]
    return found


class Endless(Exception):
    """LuaRocks would fail, or install in circles."""


class Greedy:
    """LuaRocks's walk, as its sources have it: no plan, one rock after the other into the tree."""

    def __init__(self, world, installed=(), provided=None):
        self.world = world
        self.provided = LUA if provided is None else provided
        self.tree = {}
        for rock in installed:
            self.tree.setdefault(rock.name, []).append(rock.version)

    def highest(self, versions):
        best = None
        for version in versions:
            if best is None or parse_version(version) > parse_version(best):
                best = version
        return best

    def install(self, wanted, started=()):
        # LuaRocks leaves it to its hash tables which of 1.0-1 and 1.0.0-1 it takes: here, as Pumice, by the text.
        offered = sorted(filter(wanted.accepts, self.world.get(wanted.name, {})), reverse=True)
        version = self.highest(offered)
        if version is None or wanted.name in [name for name, _version in started]:
            raise Endless
        if version in self.tree.get(wanted.name, ()):
            return
        for text in self.world[wanted.name][version]:
            dependency = parse_dependency(text)
            if dependency.name in self.provided:
                if not dependency.accepts(self.provided[dependency.name]):
                    raise Endless
                continue
            there = self.tree.get(dependency.name, [])
            unfinished = [v for name, v in (*started, (wanted.name, version)) if name == dependency.name]
            if not any(map(dependency.accepts, [*there, *unfinished])):
                self.install(dependency, (*started, (wanted.name, version)))
        others = self.tree.get(wanted.name, [])
        self.tree[wanted.name] = [version]
        if self.breaks(wanted.name, others):
            self.tree[wanted.name] = [*others, version]

    def breaks(self, name, others):
        for dependent, versions in self.tree.items():
            for version in versions:
                for text in self.world[dependent][version]:
                    dependency = parse_dependency(text)
                    if (
                        dependency.name == name != dependent
                        and any(map(dependency.accepts, others))
                        and not any(map(dependency.accepts, self.tree[name]))
                    ):
                        return True
        return False


def proof_faults(world, proof, *, situation=None):
    """What is wrong with a proof: facts that the world does not bear out, steps that do not follow."""
    judge = Judge(world, [], situation)
    faults, seen, stack = [], set(), [proof]
    if proof.terms:
        faults.append("it leaves something open")
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.parents is None:
            faults += _fact_faults(judge, node)
            continue
        stack += node.parents
        mine, (one, other) = dict(node.terms), (dict(parent.terms) for parent in node.parents)
        for package in {*mine, *one, *other}:
            here, left, right = (terms.get(package, package.full) for terms in (mine, one, other))
            allowed = left | right if package is node.pivot else left & right
            if here & ~allowed:
                faults.append(f"a step says too much of {package.name}")
    return faults


def _fact_faults(judge, node):
    """A fact must forbid nothing that the world allows."""
    terms, cause = dict(node.terms), node.cause
    kind = type(cause).__name__
    if kind == "Asked":
        [(package, mask)] = terms.items()
        if cause.dependency not in judge.requests and judge.requests:
            return ["nobody asked for it"]
        wrong = [
            e
            for e in package.entries
            if e.bit & mask and any(cause.dependency.accepts(v) for v, _ in e.present)
        ]
        return [f"{cause.dependency} is less than was asked"] if wrong else []
    if kind == "InTree":
        [(package, mask)] = terms.items()
        return [] if mask == 1 and package.name in judge.tree else ["it is not in the tree"]
    if kind == "Needs":
        faults = []
        package = cause.package
        for entry in package.entries:
            if not entry.bit & terms[package]:
                continue
            if entry.candidate is None:
                needs = [each for rock in entry.installed for each in rock.dependencies]
            else:
                needs = [parse_dependency(each) for each in judge.world[package.name][entry.version.text]]
            if cause.dependency not in needs:
                faults.append(f"{package.name} {entry.version} does not need {cause.dependency}")
        for target, mask in terms.items():
            if target is not package:
                for entry in target.entries:
                    if entry.bit & mask and any(
                        cause.dependency.accepts(version) for version, _ in entry.present
                    ):
                        faults.append(f"{entry.version} would do for {cause.dependency}")
            elif cause.dependency.name in judge.situation.provided:
                if cause.dependency.accepts(judge.situation.provided[cause.dependency.name]):
                    faults.append(f"{cause.dependency} is provided")
            elif (
                len(terms) == 1
                and cause.dependency.name != package.name
                and any(map(cause.dependency.accepts, judge.world.get(cause.dependency.name, {})))
            ):
                faults.append(f"there is a {cause.dependency}")
        return faults
    if kind == "Unsupported":
        texts = [entry.version.text for entry in cause.package.entries if entry.bit & terms[cause.package]]
        return [f"{text} is for this platform" for text in texts if text in judge.world[cause.package.name]]
    return [f"a fact of kind {kind}"]


NAMES = ["aa", "bb", "cc", "dd", "ee"]
VERSIONS = ["1.0-1", "1.0.0-1", "2.0beta1-1", "2.0-1", "2.0-2", "3.1-1", "scm-1"]
CONDITIONS = [
    "",
    "",
    "< 2",
    ">= 2",
    "~> 2",
    "== 2.0",
    "~= 2.0",
    ">= 1.0, < 3",
    "3.1",
    "scm",
    "> 1.0",
    "<= 2.0-1",
    ">= 9",
]


@st.composite
def worlds(draw, names=4, versions=4):
    """A random world."""
    world = {}
    for name in NAMES[:names]:
        world[name] = {}
        for version in draw(st.lists(st.sampled_from(VERSIONS), min_size=0, max_size=versions, unique=True)):
            needed = draw(st.lists(st.sampled_from(NAMES[:names]), max_size=3))
            world[name][version] = [f"{each} {draw(st.sampled_from(CONDITIONS))}".strip() for each in needed]
    return world


@st.composite
def questions(draw, names=4, versions=4, installed=True):
    """(world, requests, situation), with some of the world installed."""
    world = draw(worlds(names, versions))
    wanted = draw(st.lists(st.sampled_from(NAMES[:names]), min_size=1, max_size=3))
    requests = requests_of(*[f"{name} {draw(st.sampled_from(CONDITIONS[:9]))}".strip() for name in wanted])
    rocks = [f"{name} {version}" for name, each in world.items() for version in each]
    there = draw(st.lists(st.sampled_from(rocks), unique=True, max_size=4)) if rocks and installed else []
    return world, requests, Situation(provided=LUA, installed=installed_of(world, *there))


@pytest.fixture(scope="session")
def rocks():
    """The helpers of this folder."""
    return SimpleNamespace(
        Endless=Endless,
        Greedy=Greedy,
        Judge=Judge,
        LUA=LUA,
        installed_of=installed_of,
        proof_faults=proof_faults,
        questions=questions,
        reach=reach,
        requests_of=requests_of,
        table_of=table_of,
        world_of=world_of,
        worlds=worlds,
    )


@pytest.fixture
def ask(rocks):
    """Solves requests in a world written as text; checks the answer before it is given."""

    def ask(text, *wanted, installed=(), requests=None, judged=True, **situation):
        world = rocks.world_of(text)
        situation.setdefault("provided", rocks.LUA)
        there = Situation(installed=rocks.installed_of(world, *installed), **situation)
        requests = requests or rocks.requests_of(*wanted)
        found = solve(requests, rocks.table_of(world), there)
        if judged:
            assert not rocks.Judge(world, requests, there).complaints(found)
        return found

    return ask


@pytest.fixture
def refused(ask):
    """The explanation why there is no answer."""

    def refused(*args, **more):
        with pytest.raises(Unsolvable) as caught:
            ask(*args, **more)
        return caught.value.message

    return refused


class PublicTable(MemoryTable):
    """The corpus does not say who owns a rock: here everybody does."""

    def candidates(self, name, namespace):
        plain = super().candidates(name, None)
        return [each.replace(namespace=namespace) for each in plain] if namespace else plain

    def facts(self, candidate):
        return super().facts(candidate.replace(namespace=None))


@pytest.fixture(scope="session")
def public(shared):
    """The public rock server: a table, the world of what Linux can have, each rock's newest for Lua 5.1."""
    with lzma.open(shared / "corpus" / "graph.json.xz") as file:
        graph = json.load(file)
    world, newest, table = {}, {}, PublicTable()
    for name, versions in graph.items():
        for version, facts in versions.items():
            try:
                needs = tuple(map(parse_dependency, facts.get("dependencies", ())))
            except DataError:
                continue
            platforms = tuple(facts.get("supported_platforms", ()))
            world.setdefault(name, {})
            if unsupported_platforms(platforms, ("linux", "unix")) is None:
                world[name][version] = [each.text for each in needs]
            table.add(Candidate(name, version), Facts(needs, supported_platforms=platforms))
            if all(each.accepts("5.1-1") for each in needs if each.name == "lua"):
                newest.setdefault(name, []).append(version)
    return SimpleNamespace(
        world=world,
        table=table,
        newest={name: newest_first(versions)[0] for name, versions in newest.items()},
    )
