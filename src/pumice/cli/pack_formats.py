"""`pumice pack` into the forms that are texts: helm, operator, kustomize, konnect and --single-file."""

from __future__ import annotations

from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["pack_texts"]


def pack_texts(arguments: Arguments, session: Session) -> str:
    """The path of the directory that was written. Raises PumiceError."""
    from pumice.operation.manifests import FORMATS, SINGLE, Target, pack_manifests
    from pumice.operation.pack import rock_to_pack
    from pumice.operation.work_dir import WorkDir

    chosen = arguments.text("format")
    if chosen is not None and chosen not in FORMATS:
        raise UsageError(
            f"--single-file does not go with --format {chosen}",
            hint=f"It goes with {', '.join(FORMATS)} and oci, or alone, for the two files.",
        )
    target = Target(
        arguments.text("image"),
        arguments.text("kube_namespace"),
        arguments.text("pull_secret"),
        arguments.flag("secrets"),
    )
    config, terminal = session.config, session.terminal
    with WorkDir(config, "pack") as work:
        rock = rock_to_pack(
            arguments.text("rock"), arguments.text("version"), session.trees, config, terminal, work
        )
        return pack_manifests(
            rock,
            chosen or SINGLE,
            session.trees,
            config,
            terminal,
            target=target,
            single_file=arguments.flag("single_file"),
        )
