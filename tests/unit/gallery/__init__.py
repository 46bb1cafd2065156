"""`mirror/gallery`, one module at a time."""
