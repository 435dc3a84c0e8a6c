"""`pumice pack`: a rock file from an installed rock, a rockspec or a directory (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import refuse_signing
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.pack import is_source, pack_bundle, pack_installed, pack_rock, pack_source, pack_tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "pack",
    "Create a rock, packing sources or binaries.",
    description="Writes into the current directory: for a rockspec a .src.rock with its sources; for the "
    "name of an installed rock a binary rock. With --format, of this or another directory, of a rockspec, a "
    "rock file or an installed rock: rock, a binary rock; src, a source rock; tar, the layout of the Kong "
    "manual; bundle, the rock with all that it needs; helm, operator, kustomize or konnect, a directory of "
    "texts; oci or image, what registries take. --single-file folds a plugin with its modules and installed "
    "dependencies into two files, alone or for one of these.",
    positionals=(
        Positional(
            "rock",
            "A directory (./NAME), a rockspec file, a rock file, or the name of an installed rock.",
            "?",
        ),
        Positional("version", "A version may be given if the first argument is a rock name.", "?"),
    ),
    options=(
        Option(
            ("--format",),
            "What to write: rock, src, tar, bundle, helm, operator, kustomize, konnect, oci or image.",
            "<format>",
            choices=(
                "rock",
                "src",
                "tar",
                "bundle",
                "helm",
                "operator",
                "kustomize",
                "konnect",
                "oci",
                "image",
            ),
        ),
        Option(("--single-file",), "Fold a plugin with its modules into handler.lua and schema.lua."),
        Option(("--secrets",), "For helm and kustomize: Secrets and not ConfigMaps."),
        Option(("--image",), "For operator: where the plugin's image is, as host/path:tag.", "<reference>"),
        Option(("--kube-namespace",), "For operator: the namespace of the installation.", "<name>"),
        Option(("--pull-secret",), "For operator: the secret that the image is pulled with.", "<name>"),
        Option(("--push",), "For oci and image: the registry's host/path:tag to write to.", "<reference>"),
        Option(("--base",), "For image: the image that the plugin is added to.", "<reference>"),
        Option(("--dockerfile",), "For image: print a Dockerfile instead."),
        Option(("--artifact",), "For oci: the tar archive, to be signed, and not the operator's image."),
    ),
    examples=(
        ("pumice pack kong-plugin-my-plugin 0.1.0-1", "Packs the installed rock."),
        ("pumice pack my-plugin-0.1.0-1.rockspec", "Packs the sources."),
        ("pumice pack --format tar", "Builds this directory and packs it for lua_package_path."),
        (
            "pumice pack --format image --base kong:3.9 --push registry.example.com/gateway:3.9-1.0",
            "Adds this directory's plugin to the gateway's image, in the registry.",
        ),
    ),
)

_TEXTS = ("helm", "operator", "kustomize", "konnect")
_ONLY_FOR = {
    "secrets": ("helm", "kustomize"),
    "image": ("operator",),
    "kube_namespace": ("operator",),
    "pull_secret": ("operator",),
    "push": ("oci", "image"),
    "base": ("image",),
    "dockerfile": ("image",),
    "artifact": ("oci",),
}


def run(arguments: Arguments, session: Session) -> int:
    """Packs, and prints where."""
    word, version = arguments.text("rock"), arguments.text("version")
    chosen = arguments.text("format")
    config, terminal = session.config, session.terminal
    refuse_signing(arguments)
    _refuse_others(arguments, chosen)
    if chosen in ("oci", "image"):
        from pumice.cli.pack_images import pack_image

        terminal.print(pack_image(arguments, session))
        return EXIT_OK
    if chosen in _TEXTS or arguments.flag("single_file"):
        from pumice.cli.pack_formats import pack_texts

        packed = pack_texts(arguments, session)
    elif chosen == "tar":
        packed = pack_tar(word, version, session.trees, config, terminal)
    elif chosen == "bundle":
        packed = pack_bundle(word, config, terminal, offline=arguments.flag("offline"))
    elif chosen == "rock" and is_source(word, config):
        packed = pack_rock(word, version, session.trees, config, terminal)
    elif chosen == "src" or (chosen is None and word is not None and word.endswith(".rockspec")):
        packed = pack_source(word, config, terminal)
    elif word is None:
        error = UsageError("missing argument 'rock'", hint="This directory is packed with --format.")
        error.command, error.parsed = COMMAND, False
        raise error
    else:
        name, namespace = session.named_rock(word)
        packed = pack_installed(name, version, session.trees, config, terminal, namespace=namespace)
    terminal.print(f"Packed: {packed}")
    return EXIT_OK


def _refuse_others(arguments: Arguments, chosen: str | None) -> None:
    """Whoever asks for a push must not believe that there was one. Raises UsageError."""
    for key, formats in _ONLY_FOR.items():
        if chosen not in formats and (arguments.flag(key) or arguments.text(key) is not None):
            raise UsageError(
                f"--{key.replace('_', '-')} is for --format {' and '.join(formats)}",
                hint="Leave one of them out.",
            )
