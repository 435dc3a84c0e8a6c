"""Bytes from a URL."""
