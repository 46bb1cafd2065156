"""`mirror/report`, one module at a time."""
