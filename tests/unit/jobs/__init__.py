"""`mirror/jobs`, one module at a time."""
