"""A plugin into OCI layouts and registries: the operator's image, the artifact, a layer on a base image."""

from __future__ import annotations

import os

from pumice.errors import CheckError, UsageError
from pumice.net.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.kong.oci import Image
    from pumice.net.connections import Connections
    from pumice.net.reference import Reference
    from pumice.net.registry import Registry
    from pumice.operation.work_dir import WorkDir
    from pumice.rock.rock import Rock

__all__ = ["check_lua", "oci_image", "push_image", "push_on_base", "write_image"]

_STALL = 120.0
"""A registry may sum up a large layer, or move it to a store of its own, before it answers."""


def oci_image(rock: Rock, work: WorkDir, *, artifact: bool = False) -> Image:
    """The operator's image of the rock, or the manual's archive as an artifact. Raises CheckError."""
    from pumice.kong.oci import operator_image, plugin_artifact

    if not artifact:
        return operator_image(rock)
    from pumice.kong.manual_tar import manual_tar_name, write_manual_tar

    path = os.path.join(work.make("artifact"), manual_tar_name(rock))
    write_manual_tar(rock, path)
    with open(path, "rb") as file:
        return plugin_artifact(rock, file.read(), os.path.basename(path))


def write_image(image: Image, rock: Rock, config: Config) -> str:
    """The path of the OCI layout, written into the current directory."""
    from pumice.kong.oci_layout import layout_name, write_layout

    path = os.path.join(config.cwd, layout_name(rock.name, rock.version))
    write_layout(image, path)
    return path


def push_image(image: Image, to: str, config: Config, progress: Progress) -> str:
    """The reference, with its digest, of the image in its registry. Raises FetchError, UsageError."""
    from pumice.operation.image_carrier import send_blobs

    target = _target(to)
    with _connections(config) as connections:
        registry = _registry(target, connections, config, (_scope(target, "pull,push"),))
        send_blobs(registry, target.repository, image.blobs, progress)
        tag = target.tag or image.tag
        digest = registry.put_manifest(target.repository, tag, image.manifest.media_type, image.manifest.data)
    return str(target.replace(tag=tag, digest=digest))


def push_on_base(
    rock: Rock,
    dependencies: Sequence[Rock],
    base: str,
    to: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
) -> str:
    """The reference, with its digest, of the base image with the plugin on it, in the target's registry.

    An index stays an index, of the same platforms. Raises CheckError for a rock without a plugin, or with C
    modules for another machine; DataError for a base that is no image; FetchError; UsageError.
    """
    from pumice.kong.oci import tag_of
    from pumice.kong.oci_base import plugin_layer
    from pumice.operation.image_carrier import ImageCarrier

    layer = plugin_layer(rock, dependencies)
    origin, target = parse_reference(base), _target(to)
    target = target.replace(tag=target.tag or tag_of(rock))
    with _connections(config) as connections:
        scopes = [_scope(target, "pull,push")]
        if origin.base == target.base:
            registry = _registry(target, connections, config, (*scopes, _scope(origin, "pull")))
            source = registry
        else:
            registry = _registry(target, connections, config, scopes)
            source = _registry(origin, connections, config, (_scope(origin, "pull"),))
        carrier = ImageCarrier(source, origin.repository, registry, target.repository, progress, work)
        final = carrier.extended(origin.wanted, layer)
        digest = registry.put_manifest(target.repository, target.wanted, final.media_type, final.data)
    return str(target.replace(digest=digest))


def check_lua(rock: Rock, config: Config) -> None:
    """Raises CheckError for C modules that no gateway can load: those for another Lua than 5.1."""
    if rock.section("lib") and config.lua_version != "5.1":
        raise CheckError(
            f"The C modules of {rock.name} are for Lua {config.lua_version}, and Kong runs LuaJIT",
            hint="Build them with --lua-version 5.1.",
        )


def _target(text: str) -> Reference:
    target = parse_reference(text)
    if target.digest is not None:
        raise UsageError(
            f"'{text}' names a digest, which only what is there already has", hint="Push to a tag."
        )
    return target


def _scope(reference: Reference, actions: str) -> str:
    return f"repository:{reference.repository}:{actions}"


def _connections(config: Config) -> Connections:
    from pumice.net.connections import Connections

    return Connections(
        timeout=config.connection_timeout,
        stall=_STALL,
        verify_tls=config.check_certificates,
        environment=config.environment,
    )


def _registry(
    reference: Reference, connections: Connections, config: Config, scopes: Sequence[str]
) -> Registry:
    from pumice.net.fetch import USER_AGENT
    from pumice.net.registry import Registry
    from pumice.operation.registry_login import login_for

    login = login_for(reference, config.environment)
    return Registry(reference.base, connections, login=login, scopes=scopes, user_agent=USER_AGENT)
