"""`mirror/storage`, one module at a time."""
