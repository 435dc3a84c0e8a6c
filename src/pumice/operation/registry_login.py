"""Logins for registries, where Docker, podman and skopeo keep them."""

from __future__ import annotations

import os

from pumice.errors import ConfigError
from pumice.net.registry_auth import Login, find_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.net.reference import Reference

__all__ = ["login_for"]

_HELPER_TIME = 30.0


def login_for(reference: Reference, environment: Mapping[str, str]) -> Login | None:
    """The user for an image, or None: from REGISTRY_AUTH_FILE, or config.json in DOCKER_CONFIG or ~/.docker.

    A credential helper that the file names is asked first, as Docker does. Raises ConfigError.
    """
    path = _config_path(environment)
    config = _read(path)
    helpers = config.get("credHelpers")
    helper = helpers.get(reference.host) if isinstance(helpers, dict) else None
    helper = helper or config.get("credsStore")
    if isinstance(helper, str) and helper:
        found = _ask_helper(helper, reference, environment)
        if found is not None:
            return found
    return find_login(config, reference.host, reference.repository)


def _config_path(environment: Mapping[str, str]) -> str:
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return named
    folder = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", ""), ".docker")
    return os.path.join(folder, "config.json")


def _read(path: str) -> Mapping[str, object]:
    import json

    if not os.path.isabs(path) or not os.path.isfile(path):
        return {}
    try:
        with open(path, "rb") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="Run `docker login` again.") from error
    return found if isinstance(found, dict) else {}


def _ask_helper(helper: str, reference: Reference, environment: Mapping[str, str]) -> Login | None:
    """What `docker-credential-HELPER get` says; None where it is not here or knows no user."""
    import json

    from pumice.base.process import find_program, run

    program = find_program(f"docker-credential-{helper}", environment.get("PATH", ""))
    if "/" in helper or program is None:
        return None
    host = "https://index.docker.io/v1/" if reference.host == "docker.io" else reference.host
    command = ("/bin/sh", "-c", 'printf %s "$1" | "$2" get', "sh", host, program)
    done = run(command, env=environment, timeout=_HELPER_TIME, keep_errors=False, failure=ConfigError)
    if not done.ok:
        return None
    try:
        found = json.loads(done.output)
        user, secret = found["Username"], found["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{program} gives no login for {host}", hint=f"Run `docker login {host}` again."
        ) from error
    if not isinstance(user, str) or not isinstance(secret, str):
        return None
    return Login("", "", secret) if user == "<token>" else Login(user, secret)
