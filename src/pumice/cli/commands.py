"""Which commands there are, and which module has each: loaded only when called."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["COMMANDS", "Entry", "module_of"]


class Entry(Value):
    """One command for the overview."""

    name: str
    module: str
    """Below `pumice.cli`."""
    group: str
    summary: str
    changes: bool = False
    """It writes: a signal must let it tidy up instead of ending it at once."""


_ROCKS = "Make, pack and install rocks"
_TREE = "Look at a tree, and mend it"
_SERVERS = "Look at servers, and be one"
_FILES = "Look at files"
_KONG = "Kong plugins"
_TOOL = "Pumice itself"

COMMANDS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("make", "make", _ROCKS, "Compile package in current directory using a rockspec.", changes=True),
        Entry(
            "build", "build", _ROCKS, "Build/compile a rock from its sources, and install it.", changes=True
        ),
        Entry("pack", "pack", _ROCKS, "Create a rock, packing sources or binaries.", changes=True),
        Entry(
            "install",
            "install",
            _ROCKS,
            "Install rocks by name, file or URL, any number of them at once.",
            changes=True,
        ),
        Entry(
            "lock", "lock", _ROCKS, "Write pumice.lock: exact versions, origins and digests.", changes=True
        ),
        Entry("sync", "sync", _ROCKS, "Make the tree exactly what pumice.lock says.", changes=True),
        Entry("upgrade", "upgrade", _ROCKS, "Upgrade installed rocks to the newest that fits.", changes=True),
        Entry(
            "bundle",
            "bundle",
            _ROCKS,
            "Put a rock with everything that it needs into one file.",
            changes=True,
        ),
        Entry("remove", "remove", _ROCKS, "Uninstall a rock.", changes=True),
        Entry("unpack", "unpack", _ROCKS, "Unpack the contents of a rock.", changes=True),
        Entry("list", "list", _TREE, "List currently installed rocks."),
        Entry("show", "show", _TREE, "Show information about an installed rock."),
        Entry("which", "which", _TREE, "Tell which file corresponds to a given module name."),
        Entry("path", "path", _TREE, "Return the currently configured package path."),
        Entry("tree", "tree", _TREE, "Show the dependency graph of installed rocks."),
        Entry("why", "why", _TREE, "Tell why a rock is installed."),
        Entry("verify", "verify", _TREE, "Check every installed file against what was installed."),
        Entry("repair", "repair", _TREE, "Mend what can be mended in a tree.", changes=True),
        Entry("history", "history", _TREE, "List the generations of a generation tree."),
        Entry("rollback", "rollback", _TREE, "Go back to an earlier generation: one rename.", changes=True),
        Entry("search", "search", _SERVERS, "Query the LuaRocks servers."),
        Entry(
            "download",
            "download",
            _SERVERS,
            "Download a specific rock file from a rocks server.",
            changes=True,
        ),
        Entry("index", "index", _SERVERS, "Make a directory of rocks a server.", changes=True),
        Entry("cache", "cache", _SERVERS, "Show, empty or find the cache of downloads.", changes=True),
        Entry("lint", "lint", _FILES, "Check syntax of a rockspec."),
        Entry("inspect", "inspect", _FILES, "Show what is in any rockspec, rock, directory or tree."),
        Entry("new", "new", _KONG, "Start a Kong plugin project that passes its own check.", changes=True),
        Entry("schema", "schema", _KONG, "Show a plugin's settings, validate a configuration, compare."),
        Entry("check", "check", _KONG, "Check a rock or plugin before it ships.", changes=True),
        Entry(
            "try", "try", _KONG, "Run a plugin in a gateway on this machine; reload on save.", changes=True
        ),
        Entry("bump", "bump", _KONG, "Raise a plugin's version everywhere at once.", changes=True),
        Entry("explain", "explain", _KONG, "Tell what a gateway's log means, and what to do."),
        Entry(
            "ship",
            "ship",
            _KONG,
            "Check, build, pack, install on nodes, and verify that each node loads it.",
            changes=True,
        ),
        Entry(
            "cluster",
            "cluster",
            _KONG,
            "Bring plugins to every node of a cluster, and prove that each has loaded them.",
            changes=True,
        ),
        Entry("konnect", "konnect", _KONG, "Bring a plugin to a control plane of Konnect.", changes=True),
        Entry("help", "help", _TOOL, "Show help for commands."),
    )
}


def module_of(name: str) -> ModuleType:
    """The module of a known command; it has `COMMAND` and `run(arguments, session) -> int`."""
    return __import__(f"pumice.cli.{COMMANDS[name].module}_command", fromlist=["COMMAND"])
