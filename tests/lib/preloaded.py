"""What the fork server imports before its first child."""

import gc

from tests.lib.forked import import_all

import_all()
gc.freeze()
