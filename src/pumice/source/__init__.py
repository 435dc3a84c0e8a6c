"""A source URL becomes a directory."""
