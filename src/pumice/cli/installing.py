"""The options of commands that install something, for the operations."""

from __future__ import annotations

from pumice.operation.deploy import InstallOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["install_options"]


def install_options(arguments: Arguments, session: Session, command: str) -> InstallOptions:
    """What the flags and the configuration say; `command` names the change to others and in the history."""
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
    )
