"""A source URL becomes a directory: schemes, archives, version control."""
