"""A directory becomes a Rock: patches, builtin, make, cmake, command, none."""
