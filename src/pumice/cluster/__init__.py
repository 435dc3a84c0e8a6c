"""Nodes, inventories, the rollout plan, its engine, verification and rollback."""
