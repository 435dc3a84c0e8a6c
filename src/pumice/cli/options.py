"""The options that every command takes (contract 1.2), and the ones that several commands share."""

from __future__ import annotations

from pumice.cli.arguments import Option
from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments

__all__ = ["DEPS_MODE", "FOR", "GLOBAL", "INSTALLING", "JSON", "PORCELAIN"]

GLOBAL = (
    Option(("--help", "-h"), "Show this help message and exit."),
    Option(("--version",), "Show version info and exit."),
    Option(
        ("--dev",), "Enable the sub-repositories in rocks servers for rockspecs of in-development versions."
    ),
    Option(("--server", "--from"), "Fetch rocks/rockspecs from this server (takes priority).", "<server>"),
    Option(
        ("--only-server", "--only-from"),
        "Fetch rocks/rockspecs from this server only (overrides any entries in the config file).",
        "<server>",
    ),
    Option(
        ("--only-sources", "--only-sources-from"),
        "Restrict downloads to paths matching the given URL.",
        "<url>",
    ),
    Option(("--offline",), "Ask no server: use what the cache and local servers have."),
    Option(("--namespace",), "Specify the rocks server namespace to use.", "<namespace>"),
    Option(("--lua-dir",), "Which Lua installation to use.", "<prefix>"),
    Option(("--lua-version",), "Which Lua version to use.", "<ver>"),
    Option(("--tree", "--to"), "Which tree to operate on.", "<tree>"),
    Option(
        ("--layout",),
        "Kind of tree to make: plain or generations.",
        "<kind>",
        choices=("plain", "generations"),
    ),
    Option(("--local",), "Use the tree in the user's home directory."),
    Option(("--global",), "Use the system tree when `local_by_default` is `true`."),
    Option(("--no-project",), "Do not use project tree even if running from a project folder."),
    Option(("--force-lock",), "Attempt to overwrite the lock for commands that require exclusive access."),
    Option(("--lock-timeout",), "Seconds to wait for a tree that somebody else changes (60).", "<seconds>"),
    Option(("--verbose",), "Display verbose output of the command executed."),
    Option(("--quiet", "-q"), "Say nothing but warnings and errors."),
    Option(("--timeout",), "Timeout on network operations, in seconds. 0 means no timeout.", "<seconds>"),
    Option(("--project-tree",), "", "<tree>", hidden=True),
    Option(("--nodeps",), "", hidden=True),
    Option(("--pack-binary-rock",), "", hidden=True),
    Option(("--branch",), "", "<branch>", hidden=True),
    Option(("--sign",), "", hidden=True),
)

DEPS_MODE = Option(
    ("--deps-mode",),
    "How to handle dependencies: all (every tree counts), one (only this tree), order (this tree and "
    "those after it), none (ignore dependencies).",
    "<mode>",
    choices=("all", "one", "order", "none"),
)

PORCELAIN = Option(("--porcelain",), "Produce machine-friendly output.")

JSON = Option(("--json",), "Produce JSON.")

FOR = Option(
    ("--for",),
    "Count what a gateway brings as installed: kong@3.9, or kong for the newest known.",
    "<gateway>",
)

INSTALLING = (
    FOR,
    Option(
        ("--keep",), "Do not remove previously installed versions of the rock after installing a new one."
    ),
    Option(("--force",), "Reinstall, and remove previous versions even if that breaks dependencies."),
    Option(("--force-fast",), "Like --force, without reporting dependency issues."),
    Option(("--only-deps", "--deps-only"), "Install only the dependencies of the rock."),
    Option(("--no-doc",), "Install the rock without its documentation."),
    Option(("--verify",), "Refused: signatures cannot be verified yet."),
    Option(
        ("--check-lua-versions",), "If the rock can't be found, report if it is available for another Lua."
    ),
    Option(("--no-manifest",), "Skip creating/updating the manifest."),
    Option(("--pin",), "Pin the exact dependencies into a luarocks.lock file."),
    Option(("--dry-run",), "Say what would be installed, and stop there."),
    DEPS_MODE,
)


def refuse_signing(arguments: Arguments) -> None:
    """Whoever asks for a signature must not believe that there is one. Raises UsageError for --sign."""
    if arguments.flag("sign"):
        raise UsageError(
            "Rocks cannot be signed yet, so --sign packs nothing.",
            hint="Pack without it, then run `gpg --armor --output FILE.asc --detach-sign FILE`.",
        )
