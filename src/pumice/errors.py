"""Every error that a user can meet.

    PumiceError                 message, hint, exit code
    ├── UsageError              the command line is wrong                        (the user mends it)
    ├── ConfigError             a configuration file or value is wrong
    ├── DataError               a file says something that it must not say       (its author mends it)
    │   ├── LuaDataError        a Lua data file does not load, or breaks a limit
    │   ├── RockspecError       a rockspec that LuaRocks refuses
    │   ├── ManifestError       a manifest or rock_manifest that cannot be used
    │   ├── VersionError        a version, constraint or dependency that does not parse
    │   └── ArchiveError        an archive that is broken or hostile
    ├── NotFoundError           a rock, module or file that is not there
    ├── FetchError              bytes did not come from a URL                    (the network or server)
    ├── BuildError              a rock could not be built
    ├── CheckError              a check found errors
    ├── DependencyError         dependencies are missing, or would break
    ├── TreeError               a tree cannot be changed, or is damaged
    │   ├── PermissionDenied    no permission to write                           exit 2
    │   └── TreeLocked          somebody else holds the tree                     exit 4
    └── DiskError               the disk is full, read-only or failing
    Interrupted                 the user or a signal stopped the command         exit 130 / 143

Exit codes are LuaRocks's (`luarocks help`, exit status): 1 for any ordinary failure, usage included,
2 for a missing write permission, 4 for a locked tree, 99 for a bug of ours.
"""

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_PERMISSION = 2
EXIT_LOCKED = 4
EXIT_BUG = 99


class PumiceError(Exception):
    """What happened, to which thing (`message`), and what to do next (`hint`)."""

    exit_code = EXIT_FAILURE
    default_hint = "Run the command again with --verbose to see where it happened."
    """What to do next where the one who raises knows nothing better."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint


class UsageError(PumiceError):
    """The command line is wrong.

    Where the parser found it (`parsed` False), the CLI prints the usage of `command` (None: of the program).
    """

    default_hint = "`pumice help` lists the commands, `pumice COMMAND --help` says what each one takes."
    command: object = None
    parsed = True


class ConfigError(PumiceError):
    """A configuration file or value is wrong."""

    default_hint = (
        "Mend the configuration, or leave it out with other flags: `pumice help` shows the files in use."
    )


class DataError(PumiceError):
    """A file says something that it must not say."""


class LuaDataError(DataError):
    """A Lua data file does not load, fails while it runs, or breaks a limit."""

    default_hint = "The file has to be plain Lua data: tables, strings, numbers and little code."


class RockspecError(DataError):
    """A rockspec that LuaRocks would refuse."""

    default_hint = "Mend the rockspec; `pumice lint FILE` looks at it alone."


class ManifestError(DataError):
    """A manifest or rock_manifest that cannot be used."""

    default_hint = "`pumice repair` writes the manifest of a tree anew from what is installed."


class VersionError(DataError):
    """A version, constraint or dependency string that does not parse."""

    default_hint = 'A dependency is a name and constraints on its version, such as "penlight >= 1.5, < 2".'


class ArchiveError(DataError):
    """An archive that is broken, too large, or tries to write where it must not."""

    default_hint = "Get the file again from where it came; if it stays so, tell its author."


class NotFoundError(PumiceError):
    """A rock, a module or a file that was named is not there."""

    default_hint = "Check the name, and the directory or tree that the command looks at."


class FetchError(PumiceError):
    """Bytes did not come from a URL as they should."""

    default_hint = "Check the address and the network, and try again."


class BuildError(PumiceError):
    """A rock could not be built."""

    default_hint = "Mend the build table of the rockspec or its sources, and build again."


class CheckError(PumiceError):
    """A check found errors; they have been reported already."""

    default_hint = "Mend what is listed above."


class DependencyError(PumiceError):
    """Dependencies are missing, or a removal would break them."""

    default_hint = "Install what is missing first, or use --deps-mode=none to go without."


class TreeError(PumiceError):
    """A tree cannot be changed, or is damaged."""

    default_hint = "`pumice verify` tells what is wrong in the tree; `pumice repair` mends what it can."


class PermissionDenied(TreeError):
    """No permission to write where the command has to."""

    exit_code = EXIT_PERMISSION


class TreeLocked(TreeError):
    """Somebody else is changing the tree and did not finish in time."""

    exit_code = EXIT_LOCKED


class DiskError(PumiceError):
    """The disk is full, read-only or failing; nothing was changed."""


class Interrupted(KeyboardInterrupt):
    """A signal stopped the command; `exit_code` is 128 + the signal's number, as in a shell.

    No PumiceError, nor any Exception: what goes on after an error must not go on after this.
    """

    def __init__(self, message: str = "", *, signal_number: int) -> None:
        self.message = message or "Interrupted. The tree was not changed."
        self.hint = "Run the command again when you like; nothing is left to clean up."
        super().__init__(self.message)
        self.exit_code = 128 + signal_number

    def during_change(self) -> None:
        """The change of a tree had begun: now it is undone or complete, and the message claims no more."""
        self.message = "Interrupted."
        self.hint = "The tree is whole, as before the command or after it; nothing is left to clean up."
