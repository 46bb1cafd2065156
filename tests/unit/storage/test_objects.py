"""The border to object stores: what they refuse, in our words."""

import pytest

from mirror.errors import DiskError, UsageError
from mirror.places import BucketUrl
from mirror.storage.durable import Disk
from mirror.storage.objects import ConflictError, Objects
from tests.lib.buckets import Bucket

NAMES = ("video/a b#c%41ü@x.mp4", "image/{x}^`~[y]-&+=;,'!$().png", "other/é\u200d👩.bin")


@pytest.fixture
def objects(bucket: Bucket) -> Objects:
    """An empty place."""
    url = BucketUrl.parse(bucket.url)
    assert url is not None
    return Objects(url, Disk())


def test_a_key_is_the_path_as_it_is(objects: Objects, bucket: Bucket) -> None:
    """Nothing is encoded: other tools see the same names."""
    for name in NAMES:
        objects.create(name, b"body", {"Content-Type": "video/mp4", "mtime": "1.5"})
        assert bucket.read(name) == b"body"
        assert objects.get(name)[0] == b"body"
        assert objects.attributes(name)["mtime"] == "1.5"
    assert {path for path, _ in objects.list()} == set(NAMES)


def test_what_is_there_is_not_created_again(objects: Objects) -> None:
    """Nor is replaced what is not as it was looked at."""
    first = objects.create("a", b"1")
    with pytest.raises(ConflictError):
        objects.create("a", b"2")
    second = objects.replace("a", b"2", first)
    with pytest.raises(ConflictError):
        objects.replace("a", b"3", first)
    assert objects.get("a")[0] == b"2"
    objects.delete(["a", "not there"])
    with pytest.raises(ConflictError):
        objects.replace("a", b"3", second)


def test_a_missing_object_is_a_missing_file(objects: Objects) -> None:
    """As the system has it, with the place."""
    assert objects.head("a") is None
    assert objects.attributes("a") == {}
    for ask in (objects.get, objects.open):
        with pytest.raises(FileNotFoundError, match="there is no such object") as caught:
            ask("a")
        assert caught.value.filename == objects.location("a")


def test_a_large_object_is_read_in_pieces(objects: Objects) -> None:
    """From its start to its end."""
    body = bytes(range(256)) * 20_000
    facts = objects.create("a", body)
    file, found, _ = objects.open("a")
    with file:
        assert file.read(1000) + file.read() == body
    assert (found.size, found.etag) == (len(body), facts.etag)


def test_a_missing_bucket_is_no_missing_object(bucket: Bucket) -> None:
    """A mirror in it would look empty."""
    assert bucket.s3
    objects = Objects(BucketUrl("s3", "no-such-bucket", "x"), Disk())
    with pytest.raises(DiskError, match="there is no such bucket"):
        objects.require_bucket()
    with pytest.raises(DiskError, match="there is no such bucket"):
        list(objects.list())


def test_an_endpoint_that_is_no_url(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not a url")
    url = BucketUrl.parse(bucket.url)
    assert url is not None
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL: expected a URL"):
        Objects(url, Disk())


def test_a_store_that_is_away(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the object and the variables; it has one line of the library's many."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    url = BucketUrl.parse(bucket.url)
    assert url is not None
    with pytest.raises(DiskError, match="the bucket cannot be used") as caught:
        Objects(url, Disk()).head("a")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert "\n" not in caught.value.what


def test_without_the_package(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install."""
    assert bucket
    monkeypatch.setitem(__import__("sys").modules, "obstore.exceptions", None)
    with pytest.raises(UsageError) as caught:
        Objects(BucketUrl("s3", "b"), Disk())
    assert caught.value.hint == "pip install 'kling-mirror[bucket]'"
