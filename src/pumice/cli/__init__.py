"""Arguments in, text out: one module per command group, loaded only when called."""
