"""A complete, provable, crash-proof local copy of everything you uploaded to Kling."""

__version__ = "0.1.0"
