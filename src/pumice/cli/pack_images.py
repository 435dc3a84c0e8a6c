"""`pumice pack --format oci|image`: OCI layouts, registries, Dockerfiles."""

from __future__ import annotations

from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["pack_image"]


def pack_image(arguments: Arguments, session: Session) -> str:
    """What to print: where the image is, or the text of the Dockerfile."""
    from pumice.operation.needed_rocks import needed_rocks
    from pumice.operation.pack import rock_to_pack
    from pumice.operation.ship_oci import (
        check_lua,
        oci_image,
        push_image,
        push_on_base,
        write_image,
    )
    from pumice.operation.work_dir import WorkDir

    base, to = arguments.text("base"), arguments.text("push")
    is_image, as_text = arguments.text("format") == "image", arguments.flag("dockerfile")
    if is_image:
        _check(base, to, as_text=as_text)
    if to is not None and arguments.flag("offline"):
        raise UsageError("--offline forbids to push", hint="Leave one of them out.")
    if arguments.flag("single_file") and (is_image or arguments.flag("artifact")):
        raise UsageError(
            "--single-file is for the operator's image", hint="The other images hold modules as they are."
        )
    config, terminal = session.config, session.terminal
    with WorkDir(config, "image") as work:
        word, version = arguments.text("rock"), arguments.text("version")
        rock = rock_to_pack(word, version, session.trees, config, terminal, work)
        if arguments.flag("single_file"):
            from pumice.operation.fold import folded_rock

            rock = folded_rock(rock, session.trees, config, terminal)
        check_lua(rock, config)
        if not is_image:
            image = oci_image(rock, work, artifact=arguments.flag("artifact"))
            if to is None:
                return f"Packed: {write_image(image, rock, config)}"
            return f"Pushed: {push_image(image, to, config, terminal)}"
        needed = needed_rocks(rock, session.trees, config, terminal, otherwise="the base must have it")
        assert base is not None
        if as_text:
            from pumice.kong.oci_base import dockerfile

            return dockerfile(rock, base, needed).rstrip("\n")
        assert to is not None
        return f"Pushed: {push_on_base(rock, needed, base, to, config, terminal, work)}"


def _check(base: str | None, to: str | None, *, as_text: bool) -> None:
    from pumice.net.reference import parse_reference

    if base is None:
        raise UsageError(
            "--format image needs --base",
            hint="Name the gateway's image: --base kong:3.9 --push HOST/PATH:TAG.",
        )
    if (to is None) != as_text:
        raise UsageError(
            "--format image takes either --push or --dockerfile",
            hint="--push HOST/PATH:TAG writes the image, --dockerfile prints how Docker builds it.",
        )
    parse_reference(base)
