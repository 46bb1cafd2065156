"""The lease of a bucket: who holds it, who has lost it, and what then counts."""

import json
import time

import pytest

from mirror.errors import LockedError
from mirror.places import BucketUrl
from mirror.storage.durable import Disk
from mirror.storage.lease import HEAD, LEASE_S, Lease
from mirror.storage.objects import Objects
from tests.lib.buckets import Bucket


@pytest.fixture
def objects(bucket: Bucket) -> Objects:
    """An empty place."""
    url = BucketUrl.parse(bucket.url)
    assert url is not None
    return Objects(url, Disk())


def _end(bucket: Bucket) -> None:
    """Have the lease ended, as the clock of another machine sees it."""
    head = json.loads(bucket.read(HEAD))
    bucket.put(HEAD, json.dumps(head | {"until_s": time.time() - 1}).encode())


def test_one_run_holds_it(objects: Objects) -> None:
    """Another machine's is refused, with the name of the holder; once it is released, it is not."""
    first, second = Lease(objects, "one"), Lease(objects, "two")
    first.take()
    with pytest.raises(LockedError, match="another run is at work: pid"):
        second.take()
    first.release()
    assert not first.read().is_held
    second.take()
    assert second.read().is_held
    second.release()


def test_what_a_killed_run_held_is_free_for_its_own_machine(objects: Objects) -> None:
    """The lock of the spool has shown that it is dead."""
    first, second = Lease(objects, "one"), Lease(objects, "one")
    first.take()
    first.index(["a"])
    second.take()
    assert list(second.head.segments) == ["a"]
    with pytest.raises(LockedError):
        first.index(["a", "b"])
    second.release()
    first.release()
    assert list(second.read().segments) == ["a"]


def test_a_run_that_was_frozen_past_its_lease_records_nothing(
    objects: Objects, bucket: Bucket
) -> None:
    """Another run took it; the first one is refused from then on, whatever it does."""
    first, second = Lease(objects, "one"), Lease(objects, "two")
    first.take()
    first.index(["a"])
    _end(bucket)
    second.take()
    second.index(["a", "c"])
    with pytest.raises(LockedError):
        first.index(["a", "b"])
    with pytest.raises(LockedError):
        first.require(at_once=True)
    with pytest.raises(LockedError):
        first.require()
    first.release()
    assert list(second.read().segments) == ["a", "c"]
    second.release()


def test_a_lock_that_was_removed_is_lost(objects: Objects, bucket: Bucket) -> None:
    """Nobody knows what happened meanwhile."""
    lease = Lease(objects, "one")
    lease.take()
    bucket.delete(HEAD)
    with pytest.raises(LockedError, match="was removed"):
        lease.index(["a"])
    lease.release()


def test_a_lease_ends(objects: Objects) -> None:
    """By the clock; nobody needs to clean up behind a killed run."""
    lease = Lease(objects, "one")
    lease.take()
    left_s = lease.read().until_s - time.time()
    assert 0 < left_s <= LEASE_S
    lease.release()
