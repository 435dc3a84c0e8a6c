"""`python -m pumice`."""

from pumice.cli.main import entry

entry()
