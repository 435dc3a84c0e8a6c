"""The commands that change a cluster: install, sync, apply, rollback, remove, and `ship --to`."""

from __future__ import annotations

import os

from pumice.cli.cluster_telling import Teller
from pumice.cluster.plan_text import plan_lines
from pumice.errors import EXIT_FAILURE, EXIT_OK, ConfigError, NotFoundError, PumiceError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.cluster.conductor import Conductor
    from pumice.cluster.execution import Ended
    from pumice.cluster.inventory import Cluster
    from pumice.cluster.plan import Artifact, Plan

__all__ = ["apply", "cluster_of", "install", "remove", "rollback", "seconds_of", "ship_to_nodes", "sync"]


def cluster_of(arguments: Arguments, session: Session) -> Cluster:
    """The cluster of `--to` (cluster.toml without it), with what the flags change. Raises PumiceError."""
    from pumice.cluster.inventory import read_cluster

    path = os.path.join(session.cwd, arguments.text("to") or "cluster.toml")
    if arguments.text("to") is None and not os.path.exists(path):
        raise NotFoundError(
            "There is no cluster.toml in this directory",
            hint="`pumice cluster init` writes one; --to names another file.",
        )
    cluster = read_cluster(path, home=session.environment.get("HOME"))
    return cluster.replace(
        canary=_count(arguments, "canary", cluster.canary),
        batch=_batch(arguments, cluster.batch),
        max_failures=_count(arguments, "max_failures", cluster.max_failures),
        pause=seconds_of(arguments, "pause", cluster.pause),
        timeout=seconds_of(arguments, "timeout", cluster.timeout),
    )


def install(words: Sequence[str], arguments: Arguments, session: Session) -> int:
    """`cluster install ROCK|NAME…`"""
    if not words:
        raise UsageError(
            "missing argument 'rock'", hint="Name a rock file, a directory, or rocks on a server."
        )
    artifacts = [_artifact(word, arguments, session) for word in words]
    return _install(artifacts, arguments.texts("entity"), arguments, session)


def ship_to_nodes(arguments: Arguments, session: Session) -> int:
    """`ship PATH --to cluster.toml`: check, build, pack, then the rollout."""
    artifact = _packed(
        arguments.text("path") or ".", arguments, session, check=not arguments.flag("no_check")
    )
    return _install([artifact], arguments.texts("entity"), arguments, session)


def sync(arguments: Arguments, session: Session) -> int:
    """`cluster sync`: every node exactly as the [[plugin]] entries of cluster.toml say."""
    from pumice.cluster.content import Wish

    cluster = cluster_of(arguments, session)
    if not cluster.plugins:
        raise ConfigError(
            f"{cluster.path} has no [[plugin]]: sync would remove all that Pumice has put on the nodes",
            hint="Add [[plugin]] entries (`name` or `path`, `version`, `entity`); "
            "`pumice cluster remove PLUGIN` removes one, the last one too.",
        )
    artifacts = []
    for plugin in cluster.plugins:
        if plugin.path is not None:
            artifacts.append(_of_version(_artifact(plugin.path, arguments, session), plugin.version))
        else:
            artifacts.append(_named(plugin.name or "", plugin.version))
    entities = [plugin.entity for plugin in cluster.plugins if plugin.entity is not None]
    wish = Wish(install=tuple(_word(artifact) for artifact in artifacts))
    files = [os.path.join(session.cwd, path) for path in entities]
    return _go(arguments, session, lambda conductor: conductor.sync(wish, artifacts, entities=files))


def apply(words: Sequence[str], arguments: Arguments, session: Session) -> int:
    """`cluster apply PLAN`: a plan that was saved with `--plan FILE`."""
    from pumice.base.disk import translate
    from pumice.cluster.content import Wish
    from pumice.cluster.plan_json import read_plan

    if len(words) != 1:
        raise UsageError(
            "apply takes one plan", hint="`pumice cluster install … --plan FILE.json` writes one."
        )
    path = os.path.join(session.cwd, words[0])
    try:
        with open(path, "rb") as file:
            plan = read_plan(file.read(), words[0])
    except OSError as error:
        raise translate(error, f"read the plan {words[0]}") from error
    if arguments.flag("plan") or arguments.text("plan") is not None:
        return _planned(plan, arguments, session)
    for artifact in plan.artifacts:
        if artifact.sha256 and _digest(artifact.origin) != artifact.sha256:
            raise ConfigError(
                f"{artifact.origin} is not the file that the plan was made with", hint="Make the plan anew."
            )
    wish: Wish | None = None
    if plan.action in ("install", "sync"):
        wish = Wish(install=tuple(_word(artifact) for artifact in plan.artifacts), exact=plan.exact)
    if plan.action == "remove":
        return _go(arguments, session, lambda conductor: conductor.remove(plan.artifacts[0].name, saved=plan))
    return _go(arguments, session, lambda conductor: conductor.apply(plan, wish))


def rollback(words: Sequence[str], arguments: Arguments, session: Session) -> int:
    """`cluster rollback [NODE…]`: back to the generation before, on all nodes or these."""
    return _go(arguments, session, lambda conductor: conductor.rollback(), only=words)


def remove(words: Sequence[str], arguments: Arguments, session: Session) -> int:
    """`cluster remove PLUGIN`: in the manual's three steps."""
    if len(words) != 1:
        raise UsageError("remove takes one plugin", hint="It is the plugin's name, as in Kong's `plugins`.")
    return _go(arguments, session, lambda conductor: conductor.remove(words[0]))


def _install(
    artifacts: Sequence[Artifact],
    entities: Sequence[str],
    arguments: Arguments,
    session: Session,
) -> int:
    from pumice.cluster.content import Wish
    from pumice.cluster.kubectl import is_kubernetes

    to = arguments.text("to")
    if to is not None and is_kubernetes(to):
        return _to_kubernetes(artifacts, entities, arguments, session)
    wish = Wish(install=tuple(_word(artifact) for artifact in artifacts))
    files = [os.path.join(session.cwd, path) for path in entities]
    return _go(
        arguments,
        session,
        lambda conductor: conductor.install(wish, artifacts, entities=files),
    )


def _to_kubernetes(
    artifacts: Sequence[Artifact], entities: Sequence[str], arguments: Arguments, session: Session
) -> int:
    from pumice.cli.cluster_kubernetes import ship_rocks

    if entities:
        raise UsageError("--entity goes to an Admin API", hint="In Kubernetes, apply a KongPlugin resource.")
    if not all(artifact.origin for artifact in artifacts):
        raise UsageError("Kubernetes takes rock files and directories", hint="`pumice download` gets a rock.")
    teller = Teller(session.terminal, json=arguments.flag("json"), quiet=arguments.flag("quiet"))
    return ship_rocks([artifact.origin for artifact in artifacts], arguments, session, teller)


def _go(
    arguments: Arguments,
    session: Session,
    command: Callable[[Conductor], Ended],
    *,
    only: Sequence[str] = (),
) -> int:
    """Runs a command on the cluster, and tells of it; its exit code."""
    import secrets

    from pumice.cluster.conductor import Conductor, Terms
    from pumice.cluster.engine import Engine

    cluster = cluster_of(arguments, session)
    plan_only = arguments.flag("plan") or arguments.text("plan") is not None
    terms = Terms(
        by=_operator(session),
        token=f"{_machine()}-{secrets.token_hex(8)}",
        process=os.getpid(),
        only=(*arguments.texts("only"), *only),
        plan_only=plan_only,
        force_lock=arguments.flag("force_lock"),
        window=arguments.flag("window"),
        force=arguments.flag("force"),
        admin_token=session.environment.get("KONG_ADMIN_TOKEN"),
    )
    teller = Teller(session.terminal, json=arguments.flag("json"), quiet=arguments.flag("quiet"))

    config = session.config.replace(lua_version="5.1")
    with Engine(session.environment) as engine:
        conductor = Conductor(cluster, engine, config, session.terminal, terms, teller.tell, teller.begin)
        try:
            ended = command(conductor)
        finally:
            teller.end()
    if plan_only:
        return _planned(ended.plan, arguments, session)
    return _told(ended, arguments, session)


def _planned(plan: Plan, arguments: Arguments, session: Session) -> int:
    from pumice.cluster.plan_json import plan_json

    text = plan_json(plan)
    path = arguments.text("plan")
    if path is not None:
        from pumice.base.disk import translate, write_atomic

        try:
            write_atomic(os.path.join(session.cwd, path), text.encode())
        except OSError as error:
            raise translate(error, f"write the plan {path}") from error
    if arguments.flag("json"):
        session.terminal.print(text.rstrip("\n"))
    else:
        for line in plan_lines(plan):
            session.terminal.print(line)
        if path is not None:
            session.terminal.message("info", f"`pumice cluster apply {path}` runs it.")
    return EXIT_OK


def _told(ended: Ended, arguments: Arguments, session: Session) -> int:
    """The result in words, or as the last event; the exit code."""
    import time

    from pumice.cluster.events import Event, event_json

    text = _summary(ended)
    if arguments.flag("json"):
        state = "ok" if ended.ok else "failed"
        hint = ended.error.hint if ended.error is not None else ""
        session.terminal.print(
            event_json(Event("result", state=state, text=text, hint=hint, time=time.time()))
        )
        return EXIT_OK if ended.ok else EXIT_FAILURE
    if ended.ok:
        session.terminal.message("info", text)
        return EXIT_OK
    raise PumiceError(text, hint=ended.error.hint if ended.error is not None else _next_step(ended))


def _summary(ended: Ended) -> str:
    plan, result = ended.plan, ended.result
    if result is None:
        if ended.error is not None:
            return f"{ended.error.message} No node was changed."
        return "Nothing was to be done." if plan.empty else "Nothing was done."
    done = sum(each.state == "done" for each in result.outcomes)
    parts = [f"{done} of {len(result.outcomes)} nodes done"]
    counts = {
        "failed and as before": sum(each.state in ("untouched", "back") for each in result.outcomes),
        "taken back with their batch": sum(each.state == "reverted" for each in result.outcomes),
        "not begun": sum(each.state == "waiting" for each in result.outcomes),
        "to be finished": sum(each.state == "unfinished" for each in result.outcomes),
        "to be looked at": sum(each.state == "stuck" for each in result.outcomes),
        "not reached": len(plan.missing),
    }
    parts += [f"{count} {what}" for what, count in counts.items() if count]
    text = ", ".join(parts)
    if result.stopped:
        text += f"; the rollout stopped: {result.stopped}"
    if ended.error is not None:
        text += f". {ended.error.message}"
    return f"{text}."


def _next_step(ended: Ended) -> str:
    result = ended.result
    first = result.failed[0] if result is not None and result.failed else None
    if first is not None and first.state == "stuck":
        return f"Look at {first.node} first: `pumice cluster status --only {first.node}`."
    if first is not None and first.hint:
        return first.hint
    return "Mend what is named above, and run the same command again: it does what is left."


def _artifact(word: str, arguments: Arguments, session: Session) -> Artifact:
    """What a word of `cluster install` names."""
    from pumice.cluster.plan import Artifact
    from pumice.rock.filename import parse_rock_filename

    path = os.path.join(session.cwd, word)
    if os.path.isdir(path) or word.endswith("rockspec"):
        return _packed(path, arguments, session, check=False)
    if word.endswith(".rock") and "://" not in word:
        name = parse_rock_filename(os.path.basename(path))
        return Artifact(name.name, str(name.version), path, _digest(path))
    return Artifact(word, "")


def _of_version(artifact: Artifact, version: str | None) -> Artifact:
    """The artifact. Raises ConfigError when it is not of the version that cluster.toml asks for."""
    from pumice.rock.constraint import matches, parse_constraints
    from pumice.rock.version import parse_version

    if version is not None and not matches(
        parse_version(artifact.version), parse_constraints(_asked(version))
    ):
        raise ConfigError(
            f"{artifact.origin} is {artifact.name} {artifact.version}, not {version} as its [[plugin]] says",
            hint="Mend `version` or `path` in cluster.toml; a `path` needs no `version`.",
        )
    return artifact


def _asked(version: str) -> str:
    """A version or constraints of cluster.toml, as constraints."""
    return version if version[:1] in "<>=~!" else f"== {version}"


def _named(name: str, version: str | None) -> Artifact:
    from pumice.cluster.plan import Artifact

    if version is None:
        return Artifact(name, "")
    return Artifact(name, _asked(version))


def _word(artifact: Artifact) -> str:
    """The artifact as `pumice install` takes it."""
    return artifact.origin or f"{artifact.name} {artifact.version}".strip()


def _packed(path: str, arguments: Arguments, session: Session, *, check: bool) -> Artifact:
    """The rock of a directory, made on this machine."""
    from pumice.cli.findings import finding_lines
    from pumice.cluster.plan import Artifact
    from pumice.errors import CheckError
    from pumice.operation.ship import pack_to_ship

    made = pack_to_ship(path, session.config, session.terminal, check=check)
    if made.report is not None and not arguments.flag("json"):
        for line in finding_lines(made.report.findings):
            session.terminal.print(line)
    if made.rock is None or made.packed is None:
        raise CheckError("The check found errors; nothing was shipped.", hint="Mend them, and ship again.")
    return Artifact(made.rock.name, str(made.rock.version), made.packed, _digest(made.packed))


def _digest(path: str) -> str:
    import hashlib

    from pumice.base.disk import translate

    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise translate(error, f"read {path}") from error


def _operator(session: Session) -> str:
    import pwd
    import socket

    given = session.environment
    name = given.get("SUDO_USER") or given.get("USER")
    if not name:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _machine() -> str:
    """What is the same for processes that see each other's ids, and for no others."""
    import hashlib

    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return f"none{os.getpid()}"
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _count(arguments: Arguments, key: str, otherwise: int) -> int:
    text = arguments.text(key)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise UsageError(f"malformed argument '{text}'", hint=f"--{key.replace('_', '-')} takes a number.")
    return int(text)


def _batch(arguments: Arguments, otherwise: str) -> str:
    text = arguments.text("batch")
    if text is None:
        return otherwise
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit() and 0 < int(number) < (101 if "%" in text else 10**6)):
        raise UsageError(f"malformed argument '{text}'", hint="--batch takes a number of nodes, or 25%.")
    return text


def seconds_of(arguments: Arguments, key: str, otherwise: float) -> float:
    """The seconds of an option. Raises UsageError."""
    text = arguments.text(key)
    if text is None:
        return otherwise
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise UsageError(f"malformed argument '{text}'", hint=f"--{key} takes a number of seconds.")
    return seconds
