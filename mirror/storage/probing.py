"""What an object store does: whether it keeps the conditions of a PUT, and how it proves bytes.

Some services take a conditional PUT and ignore the condition, without a word. On those, two runs
would overwrite each other's records.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable

from mirror.errors import DiskError
from mirror.storage.interface import Proof
from mirror.storage.layout import PRIVATE_FOLDER
from mirror.storage.objects import ConflictError, Objects


def probe(objects: Objects) -> Proof:
    """Try the conditions with an object of its own, which is deleted again.

    Returns:
        How the service proves what it holds.

    Raises:
        DiskError: the service ignores a condition, or cannot be used.
    """
    path = f"{PRIVATE_FOLDER}/probe-{os.urandom(8).hex()}"
    try:
        with contextlib.suppress(ConflictError):  # an answer that was lost
            objects.create(path, b"1")
        before = objects.head(path)
        are_kept = (
            before is not None
            and not _is_refused(lambda: objects.replace(path, b"2", before))
            and _is_refused(lambda: objects.create(path, b"3"))
            and _is_refused(lambda: objects.replace(path, b"4", before))
        )
    finally:
        objects.delete([path])
    if not are_kept:
        raise DiskError(
            "this service ignores the conditions of an upload, so runs could not be kept apart",
            where=objects.location(""),
            hint="use a service that knows If-Match and If-None-Match: see docs/buckets.md",
        )
    md5 = hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    return Proof(objects.service, has_digests=before is not None and before.etag == md5)


def _is_refused(put: Callable[[], object]) -> bool:
    try:
        put()
    except ConflictError:
        return True
    return False
