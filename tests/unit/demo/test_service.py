"""The well-behaved service: what the API's documentation says, and what a CDN does."""

from collections.abc import Iterator

import httpx
import pytest

from mirror.demo.service import ACCOUNTS_PATH, ASSETS_PATH, KlingService
from tests.lib.library import EMAIL, OTHER, TOKEN, Library

PATH = "/cdn/video/0"


@pytest.fixture
def running(library: Library) -> Iterator[KlingService]:
    """The service over a video, an image, a sound and a video."""
    library.fill(4)
    with library.service() as service:
        yield service


@pytest.fixture
def api(running: KlingService) -> Iterator[httpx.Client]:
    """A client with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def cdn(running: KlingService) -> Iterator[httpx.Client]:
    """A client without one."""
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        yield client


def names(answer: httpx.Response) -> list[str]:
    """What a page lists."""
    return [item["name"] for item in answer.json()["uploadAssetsList"]]


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("", ["clip3.mp4", "clip2.wav", "clip1.png", "clip0.mp4"]),
        ("sort=asc", ["clip0.mp4", "clip1.png", "clip2.wav", "clip3.mp4"]),
        ("sort=asc&pageSize=3", ["clip0.mp4", "clip1.png", "clip2.wav"]),
        ("sort=asc&pageSize=3&pageNum=2", ["clip3.mp4"]),
        ("pageSize=3&pageNum=3", []),
        ("contentType=video", ["clip3.mp4", "clip0.mp4"]),
        ("fileName=CLIP2", ["clip2.wav"]),
        ("fileName=clip2&contentType=video", []),
        (f"email={EMAIL}&fileName=clip1", ["clip1.png"]),
    ],
)
def test_a_page_of_the_listing(api: httpx.Client, query: str, listed: list[str]) -> None:
    """Newest first unless asked otherwise; an end is an empty page."""
    assert names(api.get(f"{ASSETS_PATH}?{query}")) == listed


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("pageNum=0", 400),
        ("pageSize=many", 400),
        ("pageSize=101", 400),
        ("sort=name", 400),
        ("contentType=gif", 400),
        (f"email={OTHER}", 404),
    ],
)
def test_a_wrong_parameter_is_refused(api: httpx.Client, query: str, status: int) -> None:
    """With an error that says which."""
    answer = api.get(f"{ASSETS_PATH}?{query}")
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.mark.parametrize("path", [ASSETS_PATH, ACCOUNTS_PATH])
def test_no_token_no_answer(cdn: httpx.Client, path: str) -> None:
    """401, as the documentation has it."""
    answer = cdn.get(path)
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized", "code": 401})


def test_several_accounts_must_be_named(api: httpx.Client, library: Library) -> None:
    """And are listed by their addresses."""
    library.add(9, email=OTHER)
    assert api.get(ASSETS_PATH).status_code == 400
    assert names(api.get(ASSETS_PATH, params={"email": OTHER})) == ["clip9.mp4"]
    accounts = api.get(ACCOUNTS_PATH).json()
    assert {address: account["email"] for address, account in accounts.items()} == {
        EMAIL: EMAIL,
        OTHER: OTHER,
    }
    library.accounts.clear()
    assert api.get(ACCOUNTS_PATH).status_code == 404


def test_only_questions_are_answered(api: httpx.Client) -> None:
    """Nothing can be changed; what is not there is not found."""
    assert api.delete(ASSETS_PATH).status_code == 405
    assert api.get("/elsewhere").status_code == 404


def test_a_listed_url_leads_to_the_file(
    api: httpx.Client, cdn: httpx.Client, library: Library
) -> None:
    """Its paths are listed as URLs of the service; no token may go with a request for a file."""
    [item] = api.get(ASSETS_PATH, params={"fileName": "clip0"}).json()["uploadAssetsList"]
    url = item["resource"]["resource"]
    answer = cdn.get(url)
    assert answer.content == library.files[PATH].body
    assert answer.headers["ETag"] == library.files[PATH].etag
    assert api.get(url).status_code == 400
    assert cdn.get("/cdn/video/77").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=190-", 206, slice(190, 200)),
        ("bytes=-5", 206, slice(195, 200)),
        ("bytes=0-9999", 206, slice(0, 200)),
        ("bytes=200-", 416, slice(0, 0)),
        ("bytes=5-1", 200, slice(0, 200)),
        ("bytes=0-1,5-6", 200, slice(0, 200)),
        ("lines=1-2", 200, slice(0, 200)),
    ],
)
def test_a_part_of_a_file(
    cdn: httpx.Client, library: Library, asked: str, status: int, part: slice
) -> None:
    """The part that was asked for, of RFC 9110's forms; the whole where it is none."""
    answer = cdn.get(PATH, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, library.files[PATH].body[part])
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/200"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-None-Match": "ETAG"}, 304),
        ({"If-None-Match": 'W/ETAG, "x"'}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": "DATE"}, 200),
        ({"If-Modified-Since": "DATE"}, 304),
        ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"Range": "bytes=1-", "If-Range": "ETAG"}, 206),
        ({"Range": "bytes=1-", "If-Range": "DATE"}, 206),
        ({"Range": "bytes=1-", "If-Range": "W/ETAG"}, 200),
        ({"Range": "bytes=1-", "If-Range": '"x"'}, 200),
    ],
)
def test_a_file_on_a_condition(
    cdn: httpx.Client, library: Library, condition: dict[str, str], status: int
) -> None:
    """Unchanged, a part of the same, or the whole: by tag and date."""
    file = library.files[PATH]
    headers = {
        name: value.replace("ETAG", file.etag).replace("DATE", file.last_modified)
        for name, value in condition.items()
    }
    answer = cdn.get(PATH, headers=headers)
    assert answer.status_code == status
    assert answer.content == {304: b"", 206: file.body[1:]}.get(status, file.body)
