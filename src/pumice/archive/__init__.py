"""Zip and tar: read as hostile, written byte-for-byte reproducible."""
