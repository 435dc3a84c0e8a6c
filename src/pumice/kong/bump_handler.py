"""The handler's VERSION raised by one literal: tried in the sandbox, taken when nothing else is another."""

from __future__ import annotations

from pumice.errors import CheckError
from pumice.kong.bump_texts import number_runs, numbers_of, place_of, replaced
from pumice.kong.handler_rules import cleaned_version
from pumice.kong.loaded import Job
from pumice.kong.lua_tokens import tokens
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pumice.kong.loaded import Loaded
    from pumice.kong.lua_tokens import Token
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin

__all__ = ["handler_edit"]


def handler_edit(
    package: Package, plugin: Plugin, new: str, edited: Mapping[str, bytes]
) -> tuple[str, bytes]:
    """The file that has to change so that the handler's VERSION is `new`, and its text."""
    sources = {
        name: (path, edited.get(path, text))
        for name, path in package.modules.items()
        if (text := package.source(path)) is not None
    }
    if plugin.handler not in sources:
        raise CheckError(f"'{plugin.name}' has no handler", hint="`pumice check` says what is missing.")
    before = _loaded(plugin, sources)
    handler = sources[plugin.handler][0]
    if before.error is not None:
        raise CheckError(
            f"{handler} does not load: {before.error.splitlines()[0] if before.error else 'no reason given'}",
            hint="Mend it first; `pumice check` says more.",
        )
    place = place_of(sources[plugin.handler][1], handler, "VERSION")
    version = before.version
    if version is None or version.type != "string" or cleaned_version(version.text) is None:
        raise CheckError(
            f"{place} has no VERSION that could be raised",
            hint=f'Set VERSION = "{new}" in it by hand.',
        )
    if version.text == new:
        return handler, sources[plugin.handler][1]
    if numbers_of(cleaned_version(version.text) or "0") > numbers_of(new):
        raise CheckError(
            f"{place} says VERSION {version.text}, which is above {new}",
            hint=f"Rockspec and handler have drifted: give the version to go to, above {version.text}.",
        )
    for module, (path, text), token in _version_literals(plugin, sources, version.text):
        trial = text[: token.start] + new.encode() + text[token.end :]
        if _same_but(before, _loaded(plugin, {**sources, module: (path, trial)}), new):
            return path, trial
    path, text = sources[plugin.handler]
    for run in number_runs(text, version.text, new):
        trial = replaced(text, run, new)
        if _same_but(before, _loaded(plugin, {**sources, plugin.handler: (path, trial)}), new):
            return path, trial
    raise CheckError(
        f"{place} says VERSION {version.text}, and no literal of the plugin makes it {new}",
        hint=f'Write VERSION = "{new}" in it by hand, and take the same step again.',
    )


def _same_but(before: Loaded, after: Loaded, new: str) -> bool:
    """Whether the handler is what it was, but for its version."""
    return (
        after.error is None
        and after.version is not None
        and after.version.text == new
        and (after.priority, after.functions) == (before.priority, before.functions)
    )


def _version_literals(
    plugin: Plugin, sources: Mapping[str, tuple[str, bytes]], text: str
) -> Iterator[tuple[str, tuple[str, bytes], Token]]:
    """Strings that are the version: after `VERSION =` first, then in the handler, then elsewhere."""
    order = [plugin.handler, *(module for module in plugin.modules if module != plugin.handler)]
    order += [module for module in sources if module not in order]
    for module in order:
        if module not in sources:
            continue
        listed = list(tokens(sources[module][1]))
        found = [
            (place, token)
            for place, token in enumerate(listed)
            if token.kind in ("string", "long") and token.text == text
        ]
        found.sort(key=lambda item: not _is_assigned(listed, item[0]))
        for _, token in found[:10]:
            yield module, sources[module], token


def _is_assigned(listed: list[Token], place: int) -> bool:
    """Whether a token stands after `VERSION =` or `["VERSION"] =`."""
    return (
        place >= 2
        and listed[place - 1].text == "="
        and "VERSION"
        in (
            listed[place - 2].text,
            listed[place - 3].text if place >= 3 and listed[place - 2].text == "]" else "",
        )
    )


def _loaded(plugin: Plugin, sources: Mapping[str, tuple[str, bytes]]) -> Loaded:
    sandbox = Sandbox(
        modules={name: ModuleSource(path, text) for name, (path, text) in sources.items()},
        assume_missing=True,
    )
    outcome = load_modules([Job("handler", plugin.handler)], sandbox)
    if not outcome.loaded:
        raise CheckError(
            f"the handler of '{plugin.name}' could not be loaded: {outcome.failure}",
            hint="`pumice check` says more.",
        )
    return outcome.loaded[0]
