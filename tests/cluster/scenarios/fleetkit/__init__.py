"""Fleets of real sshd nodes with gateways, and the faults that befall them."""
