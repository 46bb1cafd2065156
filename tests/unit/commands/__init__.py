"""`mirror/commands`, one module at a time."""
