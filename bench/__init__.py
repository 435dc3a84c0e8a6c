"""How fast Pumice is, side by side with the real LuaRocks: `python -m bench` (docs/bench.md)."""
