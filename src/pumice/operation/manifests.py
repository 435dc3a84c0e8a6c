"""The forms of a plugin that are texts: for Kubernetes, for Konnect, and folded into two files."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import CheckError, UsageError
from pumice.kong.plugin_files import Text, files_of_plugins
from pumice.kong.single_file import LuaSource
from pumice.operation.fold import fold_plugins, load_plugin, lua_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.kong.konnect import KonnectTexts
    from pumice.kong.plugin_files import PluginFiles
    from pumice.kong.single_file import Span
    from pumice.rock.rock import Rock

__all__ = ["FORMATS", "SINGLE", "Target", "konnect_forms", "pack_manifests"]

FORMATS = ("helm", "operator", "kustomize", "konnect")
_MOUNTED = ("helm", "kustomize")
SINGLE = "single"
"""The form that `--single-file` alone asks for."""


class Target(Value):
    """What a form needs to know besides the plugin."""

    image: str | None = None
    namespace: str | None = None
    secret: str | None = None
    """Of a registry's login, which the operator pulls with."""
    as_secrets: bool = False
    """The files are mounted from Secrets, not from ConfigMaps."""


def pack_manifests(
    rock: Rock,
    chosen: str,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    *,
    target: Target | None = None,
    single_file: bool = False,
) -> str:
    """The path of a directory with the texts of one form, in the current directory: `NAME-VERSION.helm`.

    `chosen`: one of FORMATS, or `single` for the two folded files alone. With `single_file` the plugin is
    folded first, with what it depends on in `trees`. Files of the same names are replaced. Raises
    CheckError for a plugin that the form cannot hold, UsageError, DiskError.
    """
    target = target or Target()
    if target.as_secrets and chosen not in _MOUNTED:
        raise UsageError(
            "--secrets is for what is mounted", hint=f"It goes with --format {' and '.join(_MOUNTED)}."
        )
    sources = lua_sources(rock)
    spans: dict[str, tuple[Span, ...]] = {}
    plugins = files_of_plugins(rock)
    if single_file or chosen == SINGLE:
        plugins, spans = fold_plugins(rock, trees, config, progress)
        sources = _folded_sources(plugins)
    if chosen == "helm":
        from pumice.kong.helm import helm_texts

        texts = helm_texts(plugins, secret=target.as_secrets)
    elif chosen == "kustomize":
        from pumice.kong.kustomize import kustomize_texts

        texts = kustomize_texts(plugins, secret=target.as_secrets)
    elif chosen == "operator":
        if len(plugins) > 1:
            raise CheckError(
                f"an installation is one plugin, and {rock.name} {rock.version} has "
                f"{', '.join(plugin.name for plugin in plugins)}",
                hint="Give each plugin a rock of its own, or ship an image on top of the gateway's.",
            )
        texts = _operator(plugins[0], target)
    elif chosen == "konnect":
        texts = _each(plugins, [_konnect_texts(plugin, sources, spans, progress) for plugin in plugins])
    else:
        texts = ()
    directory = os.path.join(config.cwd, f"{rock.name}-{rock.version}.{chosen}")
    files = {text.name: text.text.encode() for text in texts}
    for plugin in plugins if spans else ():
        root = f"kong/plugins/{plugin.name.replace('.', '/')}"
        # in the other forms the two files are inside the texts; the map is needed there too
        if chosen == SINGLE:
            files.update({f"{root}/{path}": data for path, data in plugin.files.items()})
        files[f"{plugin.name}.lines.json"] = _line_map(spans[plugin.name])
    outdated: list[str] = []
    if chosen == "konnect":
        folders = [""] if len(plugins) == 1 else [f"{plugin.name}/" for plugin in plugins]
        outdated = [folder + name for folder in folders for name in _MAYBE]
    elif chosen in _MOUNTED:
        outdated = ["configmaps.yaml", "secrets.yaml"]
        if any("kubectl apply --server-side" in text.text for text in texts):
            progress.message(
                "warning",
                "a directory of the plugin is larger than the 262,144 bytes of an annotation, in which plain "
                "`kubectl apply` keeps a copy: apply it with --server-side",
            )
    _write(directory, files, outdated)
    return directory


_MAYBE = ("custom-plugin.json", "deck.yaml")
"""Files of `konnect` that not every plugin has: those of an earlier run must not stay."""


def _operator(plugin: PluginFiles, target: Target) -> tuple[Text, ...]:
    from pumice.kong.operator import operator_texts

    if target.image is None:
        raise UsageError(
            "missing option '--image'",
            hint="The operator fetches the plugin from a registry: --image REGISTRY/PATH:TAG says where.",
        )
    return operator_texts(plugin, target.image, namespace=target.namespace, secret=target.secret)


def konnect_forms(
    rock: Rock,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    *,
    single_file: bool = False,
) -> dict[str, KonnectTexts]:
    """What Konnect takes of each plugin of a rock, by the plugin's name; folded first with `single_file`.

    Raises CheckError for a plugin that Konnect does not take.
    """
    if not single_file:
        sources = lua_sources(rock)
        return {plugin.name: _konnect(plugin, sources, {}) for plugin in files_of_plugins(rock)}
    plugins, spans = fold_plugins(rock, trees, config, progress)
    return {plugin.name: _konnect(plugin, _folded_sources(plugins), spans) for plugin in plugins}


def _folded_sources(plugins: Sequence[PluginFiles]) -> dict[str, LuaSource]:
    return {
        f"kong.plugins.{plugin.name}.{path.removesuffix('.lua')}": LuaSource(path, data)
        for plugin in plugins
        for path, data in plugin.files.items()
    }


def _konnect(
    plugin: PluginFiles, sources: Mapping[str, LuaSource], spans: Mapping[str, tuple[Span, ...]]
) -> KonnectTexts:
    from pumice.kong.handler_rules import phases_of
    from pumice.kong.konnect import konnect_texts

    handler, schema = load_plugin(plugin.name, sources)
    name = schema.value.get("name") if isinstance(schema.value, dict) else None
    return konnect_texts(
        plugin,
        name if isinstance(name, str) else None,
        phases_of(handler) if handler.error is None else (),
        frozenset(span.module for span in spans.get(plugin.name, ())),
    )


def _konnect_texts(
    plugin: PluginFiles,
    sources: Mapping[str, LuaSource],
    spans: Mapping[str, tuple[Span, ...]],
    progress: Progress,
) -> tuple[Text, ...]:
    made = _konnect(plugin, sources, spans)
    for warning in made.warnings:
        progress.message("warning", warning)
    return made.texts


def _each(plugins: Sequence[PluginFiles], texts: Sequence[tuple[Text, ...]]) -> tuple[Text, ...]:
    """The texts of all plugins; where there are several, each has a directory."""
    if len(plugins) == 1:
        return texts[0]
    return tuple(
        Text(f"{plugin.name}/{text.name}", text.text)
        for plugin, its in zip(plugins, texts, strict=True)
        for text in its
    )


def _line_map(spans: Sequence[Span]) -> bytes:
    import json

    lines = [
        {"file": span.file, "first": span.first, "last": span.last, "module": span.module, "path": span.path}
        for span in spans
    ]
    return json.dumps(lines, indent=2).encode() + b"\n"


def _write(directory: str, files: Mapping[str, bytes], outdated: Sequence[str]) -> None:
    from pumice.base.disk import make_directories, translate, write_atomic

    try:
        for name, data in files.items():
            path = os.path.join(directory, name)
            make_directories(os.path.dirname(path))
            write_atomic(path, data)
        for name in outdated:
            if name not in files and os.path.lexists(os.path.join(directory, name)):
                os.unlink(os.path.join(directory, name))
    except OSError as error:
        raise translate(error, f"write {directory}") from error
