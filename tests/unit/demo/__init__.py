"""`mirror/demo`, one module at a time."""
