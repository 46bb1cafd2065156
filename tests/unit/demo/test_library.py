"""The demo's library: a file behind each URL, and the oddities of a real one."""

from collections import Counter

from mirror.demo import library
from mirror.storage.media import sniff, split_suffix

[ITEMS] = library.accounts().values()
FILES = library.files()


def test_every_url_has_its_file() -> None:
    """No file is missing, and none is listed nowhere."""
    urls = [item[role]["resource"] for item in ITEMS for role in ("resource", "cover")]
    assert {url.partition("?")[0] for url in urls if url} == set(FILES)
    assert all("x-kcdn-pid=" in url for url in urls if url)


def test_every_file_is_what_its_type_says() -> None:
    """The bytes agree with the Content-Type, and the files differ from each other."""
    for path, file in FILES.items():
        assert split_suffix(path)[1] in sniff(file.body), path
    assert len({file.etag for file in FILES.values()}) == len(FILES)


def test_it_has_the_oddities_of_a_real_library() -> None:
    """What a mirror must not stumble over is there to be seen."""
    assert all(int(item["id"]) > 2**53 for item in ITEMS)
    assert {item["contentType"] for item in ITEMS} == {"video", "image", "audio"}
    assert max(Counter((item["id"], item["name"]) for item in ITEMS).values()) == 2
    assert any(not item["name"].isascii() for item in ITEMS)
    assert any(item["updateTime"] > item["createTime"] for item in ITEMS)
    assert any(
        item["contentType"] == "image" and item["name"].endswith(".mp4") for item in ITEMS
    ), "a suffix that lies"
    assert {item["favored"] for item in ITEMS} == {True, False}


def test_a_caller_may_change_its_copy() -> None:
    """The next service starts with the library as it was."""
    accounts = library.accounts()
    accounts[library.EMAIL].clear()
    assert library.accounts() == {library.EMAIL: ITEMS}
