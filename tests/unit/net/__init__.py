"""`mirror/net`, one module at a time."""
