"""Services that ignore the conditions of an upload are refused."""

import pytest

from mirror.errors import DiskError
from mirror.places import BucketUrl
from mirror.storage.durable import Disk
from mirror.storage.interface import Proof
from mirror.storage.objects import Objects
from mirror.storage.probing import probe
from tests.lib.buckets import Bucket
from tests.lib.s3_gateway import Gateway


@pytest.fixture
def objects(bucket: Bucket) -> Objects:
    """An empty place."""
    url = BucketUrl.parse(bucket.url)
    assert url is not None
    return Objects(url, Disk())


def test_a_service_that_keeps_them_passes(objects: Objects, bucket: Bucket) -> None:
    """Nothing is left behind; it is found out whether ETags prove bytes."""
    assert probe(objects) == Proof(objects.service, has_digests=True)
    assert bucket.paths() == []


def test_a_service_that_ignores_them_is_refused(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words; nothing is left behind."""
    with Gateway(bucket.s3.url, keeps_conditions=False) as gateway:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
        place = BucketUrl.parse(bucket.url)
        assert place is not None
        with pytest.raises(DiskError, match="ignores the conditions"):
            probe(Objects(place, Disk()))
    assert bucket.paths() == []
