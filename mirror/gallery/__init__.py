"""An offline page to look through the mirror: `gallery/index.html`, its data beside it."""

from mirror.gallery.page import write

__all__ = ["write"]
