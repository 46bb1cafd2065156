"""The page and its data: what is written, and that nothing else is touched."""

import re
from pathlib import Path

import pytest

from mirror import gallery
from mirror.errors import DiskError
from mirror.storage.root import Root
from tests.lib.small_mirror import EVIL, LONG, Mirror, data_of, small_mirror


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """The small mirror, of the test's own."""
    return small_mirror(tmp_path / "mirror")


def test_the_same_manifest_gives_the_same_bytes_and_no_writing(mirror: Mirror) -> None:
    """A refresh that has nothing to say leaves both files as they are."""
    page = mirror.write()
    both = (page, page.with_name("data.js"))
    before = [(file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for file in both]
    again = Root(mirror.root.dest)
    again.manifest.entries.update(reversed([*mirror.manifest.entries.items()]))
    assert gallery.write(again) == page.as_uri()
    after = [(file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for file in both]
    assert after == before
    assert sorted(page.parent.iterdir()) == sorted(both)


def test_nothing_of_the_service_stands_in_the_page(mirror: Mirror) -> None:
    """The page holds no name at all, and the data none that could end or begin a tag."""
    page = mirror.write()
    html, script = page.read_text("utf-8"), page.with_name("data.js").read_text("utf-8")
    assert "onerror" not in html
    assert "example.com" not in html
    assert not re.search("[<>&\u2028\u2029]", script)
    assert any(EVIL in row for row in data_of(page)["rows"])
    assert any(LONG in row for row in data_of(page)["rows"])


def test_the_policy_allows_no_inline_code_and_no_network(mirror: Mirror) -> None:
    """The policy names the page's own style and scripts by hash and nonce, and nothing else."""
    html = mirror.write().read_text("utf-8")
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    policy = found[1]
    assert policy.startswith("default-src &#39;none&#39;;")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"""\son\w+=|\sstyle=|(?:src|href)=["']?(?:https?:)?//""", html)


def test_every_path_is_a_file(mirror: Mirror) -> None:
    """What the page links to is there, relative to the mirror's root."""
    data = data_of(mirror.write())
    at = {field: place for place, field in enumerate(data["fields"])}
    paths = [row[at[field]] for row in data["rows"] for field in ("path", "cover")]
    assert len([path for path in paths if path]) == 11
    assert all((mirror.dest / path).is_file() for path in paths if path)


def test_a_link_in_the_folders_place_is_not_followed(mirror: Mirror, tmp_path: Path) -> None:
    """Nothing is written outside of the mirror, whatever lies at `gallery`."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (mirror.dest / "gallery").symlink_to(outside, target_is_directory=True)
    with pytest.raises(DiskError, match="link"):
        mirror.write()
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["index.html", "data.js"])
def test_a_file_that_is_not_ours_stays(mirror: Mirror, name: str) -> None:
    """A page that somebody else put there is named, not replaced."""
    folder = mirror.dest / "gallery"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(DiskError, match="did not write") as caught:
        mirror.write()
    assert caught.value.where == str(folder / name)
    assert (folder / name).read_text() == "mine"


def test_a_disk_that_refuses_is_named_as_the_cause(mirror: Mirror) -> None:
    """A file where the folder should be is an error that says what to do."""
    (mirror.dest / "gallery").write_text("a file")
    with pytest.raises(DiskError) as caught:
        mirror.write()
    assert caught.value.hint
