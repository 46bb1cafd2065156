"""Where a mirror can be."""

import pytest

from mirror import values
from mirror.places import BucketUrl


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", BucketUrl("s3", "bucket")),
        ("s3://bucket/", BucketUrl("s3", "bucket")),
        ("S3://my.bucket-1/a/b/", BucketUrl("s3", "my.bucket-1", "a/b")),
        ("gs://bucket/Мои клипы", BucketUrl("gs", "bucket", "Мои клипы")),
        ("az://container/x", BucketUrl("az", "container", "x")),
    ],
)
def test_a_url_is_a_bucket_and_a_prefix(text: str, url: BucketUrl) -> None:
    """Slashes around the prefix say nothing; written and read again, it is the same."""
    assert values.place(text) == url
    assert values.place(str(url)) == url
    assert url.absolute() == url.resolve() == values.place(url) == url
    assert values.to_toml(url) == f'"{url}"'


@pytest.mark.parametrize("text", ["s3:/x", "s4://bucket/x", "mirror/s3", "/s3://x", "~/x"])
def test_all_else_is_a_path(text: str) -> None:
    """A folder may have any name but such a URL."""
    assert BucketUrl.parse(text) is None


@pytest.mark.parametrize("text", ["s3://", "s3:///a", "gs://a b", "s3://a/../b", "s3://a/b//c"])
def test_what_names_no_bucket_is_refused(text: str) -> None:
    """No folder called `s3:` is made by mistake."""
    with pytest.raises(ValueError, match="s3://bucket/prefix"):
        values.place(text)


def test_its_name_is_its_last_part() -> None:
    """As a folder's is."""
    assert (BucketUrl("s3", "b", "x/y").name, BucketUrl("s3", "b").name) == ("y", "b")
