"""The rock server."""
