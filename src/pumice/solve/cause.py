"""Why a fact holds that the solver starts from; explanations are made of these."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.dependency import Dependency
    from pumice.solve.package import Package

__all__ = ["Asked", "Cause", "InTree", "Needs", "Pinned", "Statement", "Unreadable", "Unsupported"]


class Asked(Value):
    """Somebody asks for it."""

    dependency: Dependency


class InTree(Value):
    """It is installed and must not vanish."""

    package: Package


class Needs(Value):
    """States of a package have a dependency."""

    package: Package
    states: int
    dependency: Dependency
    kind: str


class Pinned(Value):
    """A lock allows one version only."""

    package: Package
    version: str


class Unsupported(Value):
    """A version is not for this platform."""

    package: Package
    states: int
    platforms: str


class Unreadable(Value):
    """What a version needs cannot be told."""

    package: Package
    states: int
    problem: str


Statement = Needs | Pinned | Unsupported | Unreadable
"""What is so, whatever anybody wants."""

Cause = Asked | InTree | Statement
