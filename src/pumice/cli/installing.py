"""The options of commands that install something, for the operations."""

from __future__ import annotations

from pumice.errors import UsageError
from pumice.operation.deploy import InstallOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.install import Outcome
    from pumice.solve.resolution import Chosen

__all__ = ["install_options", "print_outcome"]


def install_options(arguments: Arguments, session: Session, command: str) -> InstallOptions:
    """What the flags and the configuration say; `command` names the change to others and in the history."""
    if arguments.flag("verify"):
        raise UsageError(
            "Signatures cannot be verified yet, so --verify installs nothing.",
            hint="Run `gpg --verify FILE.asc FILE` first, then install without --verify.",
        )
    return InstallOptions(
        command=command,
        keep=arguments.flag("keep") or session.config.keep_other_versions,
        force=arguments.flag("force"),
        force_fast=arguments.flag("force_fast"),
        only_deps=arguments.flag("only_deps"),
        no_doc=arguments.flag("no_doc"),
        no_manifest=arguments.flag("no_manifest") or session.config.no_manifest,
        namespace=session.namespace,
        layout=arguments.text("layout"),
        dry_run=arguments.flag("dry_run"),
        offline=arguments.flag("offline"),
        pin=arguments.flag("pin"),
        branch=arguments.text("branch"),
        check_lua_versions=arguments.flag("check_lua_versions"),
    )


def print_outcome(outcome: Outcome, session: Session, *, only_deps: bool = False) -> None:
    """What LuaRocks says beyond the lines of the change itself; with --dry-run, what would happen."""
    terminal = session.terminal
    root = session.config.tree.root
    for chosen in outcome.planned:
        terminal.print(f"Would install {chosen.name} {chosen.version} ({_reason(chosen)})")
    if outcome.planned == () and not outcome.installed and not outcome.present:
        terminal.message("info", "Nothing to install.")
    for name, version in outcome.present:
        terminal.message("info", f"{name} {version} is already installed in {root}")
        terminal.message("info", "Use --force to reinstall.")
    if only_deps:
        for name, version in outcome.wanted:
            terminal.print(f"\nSuccessfully installed dependencies for {name} {version}")


def _reason(chosen: Chosen) -> str:
    return "; ".join(dict.fromkeys(str(reason) for reason in chosen.reasons))
