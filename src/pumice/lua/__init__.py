"""Lua: untrusted data files under limits, tables written, sources compile-checked, interpreters found."""
