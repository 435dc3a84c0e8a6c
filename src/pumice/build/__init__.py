"""A directory becomes a Rock."""
