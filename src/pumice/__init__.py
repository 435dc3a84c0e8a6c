"""Pumice: a package manager for Lua rocks and Kong Gateway plugins."""

__version__ = "0.1.0"
