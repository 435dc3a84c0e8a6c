"""`ClusterLock`: two operators never roll out at once.

The lock is a symlink on one node, beside the records of its rollouts. Its target is no file but the text that
says who holds it and until when: `ln -s` makes it with its text in one step, or fails where there is one. It
expires by that node's clock, is made longer before every batch, and an expired one is taken over by one taker
only, who holds `lock.taking` meanwhile. `rm` of the link frees the cluster by hand.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.connection import NodeError, quote
from pumice.cluster.node_script import records_of
from pumice.errors import EXIT_LOCKED, PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from pumice.cluster.connection import Connection

__all__ = ["LIFETIME", "ClusterLock", "ClusterLocked", "Holder", "LockLost", "read_holder"]

LIFETIME = 900
"""Seconds that a lock holds unless it is made longer: more than one batch may take."""
_TIMEOUT = 30.0

_TAKE = """\
l={lock}
mkdir -p {folder} || exit 7
n=$(date +%s)
if ln -s {text}"$((n+{life}))" "$l" 2>/dev/null; then echo taken; exit 0; fi
o=$(readlink "$l") || {{ echo gone; exit 0; }}
u=${{o##*:}}
case $u in *[!0-9]*|"") u=0;; esac
if [ -z {force} ] && [ "$u" -gt "$n" ]; then echo "held $((u-n)) $o"; exit 0; fi
mkdir "$l.taking" 2>/dev/null || {{
  t=$(stat -c %Y "$l.taking" 2>/dev/null) || t=$n
  [ $((n-t)) -gt 60 ] && rmdir "$l.taking"
  echo gone; exit 0
}}
if [ "$(readlink "$l")" = "$o" ]; then
  rm -f "$l" && ln -s {text}"$((n+{life}))" "$l" && echo "over $o"
else echo gone; fi
rmdir "$l.taking"
"""
_RENEW = """\
l={lock}
o=$(readlink "$l") || {{ echo lost; exit 0; }}
case $o in
{text}*) n=$(date +%s)
  ln -s {text}"$((n+{life}))" "$l.{token}" && mv -f "$l.{token}" "$l" && echo renewed;;
*) echo "held 0 $o";;
esac
"""
_RELEASE = """\
l={lock}
case $(readlink "$l") in {text}*) rm -f "$l";; esac
"""


class ClusterLocked(PumiceError):
    """Somebody else rolls out now."""

    exit_code = EXIT_LOCKED


class LockLost(PumiceError):
    """Somebody has taken the lock over while we held it."""

    exit_code = EXIT_LOCKED
    default_hint = "Whoever has it now goes on; look with `pumice cluster status` before you run it again."


class Holder(Value):
    """Who holds a lock, as its text says."""

    token: str
    owner: str
    """user@host."""
    process: str
    since: str
    what: str

    def __str__(self) -> str:
        return f"{self.owner} (process {self.process}) since {self.since}: {self.what}"


class ClusterLock:
    """The lock of a cluster, through `connection`; a context manager that takes and frees it.

    `owner` is user@host, `token` begins with what is the same for all processes of this machine, up to a `-`;
    `what` says what is done. `force` takes it whoever holds it. Entering raises ClusterLocked when somebody
    else holds it, NodeError when the node cannot keep one. `notice` is told when a lock is taken over: one
    that has expired, was forced, or was left by a killed process of the same person here.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        owner: str,
        process: int,
        token: str,
        what: str,
        force: bool = False,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._holder = Holder(
            token, owner, str(process), time.strftime("%Y-%m-%dT%H.%M.%SZ", time.gmtime()), what
        )
        self._force = force
        self._notice = notice

    def __enter__(self) -> Self:
        for _ in range(5):
            answer = self._run(_TAKE)
            kind, _, rest = answer.partition(" ")
            if kind == "taken":
                return self
            if kind == "over":
                self._notice(f"The lock of {read_holder(rest)} is taken over.")
                return self
            if kind == "held":
                seconds, _, text = rest.partition(" ")
                if self._is_our_dead_one(read_holder(text)):
                    self._force = True
                    continue
                ends = f"If its process is dead, the lock ends in {_minutes(seconds)}"
                raise ClusterLocked(
                    f"The cluster is locked by {read_holder(text)}.",
                    hint=f"Wait until it is done. {ends}, or --force-lock takes it now.",
                )
            time.sleep(0.05)  # somebody frees it, or takes it over, at this moment
        raise ClusterLocked("The cluster's lock is being taken by somebody else.", hint="Try again.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(_RELEASE, timeout=5.0)
        except PumiceError as failed:
            self._notice(
                f"The lock on {self._connection.node.name} could not be freed ({failed.message}); it ends by "
                f"itself in {LIFETIME // 60} minutes."
            )

    def _is_our_dead_one(self, holder: Holder) -> bool:
        """Whether the holder is an earlier process of the same person on this machine that is no more."""
        machine = self._holder.token.partition("-")[0]
        if holder.token.partition("-")[0] != machine or holder.owner != _field(self._holder.owner):
            return False
        if not holder.process.isdigit():
            return False
        try:
            os.kill(int(holder.process), 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False

    def renew(self) -> None:
        """The lock holds for its whole lifetime again. Raises LockLost when it is somebody else's."""
        answer = self._run(_RENEW)
        if answer != "renewed":
            _, _, text = answer.partition(" ")
            who = read_holder(text.partition(" ")[2]) if text else "nobody: it was removed"
            raise LockLost(f"The cluster's lock was lost to {who}.")

    def _run(self, script: str, *, timeout: float = _TIMEOUT) -> str:
        node = self._connection.node
        folder = records_of(node)
        holder = self._holder
        text = ":".join((holder.token, *(_field(each) for each in
                         (holder.owner, holder.process, holder.since, holder.what))))  # fmt: skip
        answer = self._connection.run(
            script.format(
                lock=quote(f"{folder}/lock"),
                folder=quote(folder),
                text=quote(f"{text}:"),
                token=holder.token,
                life=LIFETIME,
                force=quote("yes" if self._force else ""),
            ),
            timeout=timeout,
        )
        if not answer.ok:
            reason = answer.errors.decode("utf-8", "replace").strip().splitlines()
            raise NodeError(
                f"{node.name}: the cluster's lock cannot be kept in {folder}: "
                f"{reason[-1] if reason else f'exit code {answer.code}'}",
                hint="Name a user who may write there: `sudo` in cluster.toml.",
            )
        return answer.output.decode("utf-8", "replace").strip()


def _field(text: str) -> str:
    """A text that fits between two colons, on one line, and is no longer than a symlink's target may be."""
    return "".join(each if each.isprintable() and each not in ":/" else "_" for each in text)[:120]


def read_holder(text: str) -> Holder:
    """Who a lock's text names; whatever it holds (it comes from a node)."""
    parts = (*text.split(":"), *("unknown",) * 5)[:5]
    return Holder(*("".join(each if each.isprintable() else "?" for each in part) for part in parts))


def _minutes(seconds: str) -> str:
    number = int(seconds) if seconds.isdigit() else LIFETIME
    return f"{number} s" if number < 120 else f"{number // 60} minutes"
