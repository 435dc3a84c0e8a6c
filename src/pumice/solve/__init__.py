"""Which versions: the solver over a table of versions."""
