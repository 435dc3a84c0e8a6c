"""The verbs, one module each; they print nothing and parse no arguments. This is the Python API."""
