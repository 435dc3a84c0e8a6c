"""A Rock is deployed into a rocks tree, in one transaction."""
