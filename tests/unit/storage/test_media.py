"""What a file is: its bytes first, then its Content-Type, then its name."""

import gzip
import re
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.storage.media import (
    FORMATS,
    HEAD_BYTES,
    error_page_type,
    kind_of,
    shown_as,
    sniff,
    split_suffix,
    suffix_of,
)

SOME = settings(max_examples=200, deadline=None, database=None)
MEDIA = sorted(
    (item.name, item.read_bytes())
    for item in (files("mirror.demo") / "media").iterdir()
    if item.is_file()
)

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0"
M4A = b"\0\0\0\x18ftypM4A \0\0\0\0"
WEBM = b"\x1a\x45\xdf\xa3\x01\0\0\0"
MKV = WEBM + b"\x42\x82\x88matroska"
MIF1 = b"\0\0\0\x18ftypmif1\0\0\0\0"
UNKNOWN = b"\0" * HEAD_BYTES


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (PNG, ".png"),
        (JPEG, ".jpg"),
        (b"\xff\xd8\xff\xdb", ".jpg"),
        (b"GIF87a", ".gif"),
        (b"GIF89a", ".gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", ".wav"),
        (b"RIFF\0\0\0\0AVI LIST", ".avi"),
        (b"RIFF\0\0\0\0XXXX", None),
        (MP4, ".mp4"),
        (b"\0\0\0\x20ftypisom", ".mp4"),
        (b"\0\0\0\x20ftypM4V ", ".mp4"),
        (b"\0\0\0\x14ftypqt  ", ".mov"),
        (M4A, ".m4a"),
        (b"\0\0\0\x18ftypavif", ".avif"),
        (b"\0\0\0\x18ftypavis", ".avif"),
        (b"\0\0\0\x18ftypheic", ".heic"),
        (b"\0\0\0\x18ftyphevc", ".heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", ".heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", ".avif"),
        (b"ID3\x04\0", ".mp3"),
        (b"\xff\xfb\x90\x64", ".mp3"),  # MPEG-1 layer III
        (b"\xff\xf3\x40\xc0", ".mp3"),  # MPEG-2 layer III
        (b"\xff\xe3\x18\xc4", ".mp3"),  # MPEG-2.5 layer III
        (b"\xff\xf1\x50\x80", ".aac"),  # ADTS, MPEG-4
        (b"\xff\xf9\x50\x80", ".aac"),  # ADTS, MPEG-2
        (b"\xff\xea\x50\x80", None),  # the reserved version
        (b"fLaC\0\0\0\x22", ".flac"),
        (b"OggS\0\x02", ".ogg"),
        (WEBM, ".webm"),
        (MKV, ".mkv"),
        (WEBM + b"\x42\x82\x84webm", ".webm"),
        (b"", None),
        (b"\xff", None),
        (b"ftyp", None),
        (b"<html>", None),
        (b"plain text", None),
        (UNKNOWN, None),
    ],
    ids=ascii,
)
def test_the_first_bytes_give_the_format(head: bytes, suffix: str | None) -> None:
    """Magic numbers of everything that Kling takes, and of nothing else."""
    assert (sniff(head) or (None,))[0] == suffix


@pytest.mark.parametrize("bom", [b"\xff\xfe", b"\xfe\xff"])
def test_a_text_in_utf_16_is_no_sound(bom: bytes) -> None:
    """A byte order mark is not taken for a frame of MP3."""
    assert not sniff(bom + b"<\0h\0t\0m\0l\0>\0")


@pytest.mark.parametrize(("name", "data"), MEDIA, ids=[name for name, _ in MEDIA])
def test_real_files_are_recognised(name: str, data: bytes) -> None:
    """Files that real encoders wrote deserve the suffix that they have, whatever else is said."""
    suffix = split_suffix(name)[1]
    assert sniff(data[:HEAD_BYTES])[0] == suffix
    assert suffix_of(data[:HEAD_BYTES], "text/html", "lie.exe") == suffix
    assert error_page_type(data[:HEAD_BYTES], "text/html") is None


def test_real_files_are_there() -> None:
    """The table above is not empty, and holds images, sound and video."""
    assert {split_suffix(name)[1] for name, _ in MEDIA} >= {".mp4", ".mov", ".png", ".jpg", ".wav"}


@pytest.mark.parametrize(
    ("head", "content_type", "name", "suffix"),
    [
        # The API's own example: an image that is named .mp4.
        (PNG, "image/png", "abcdef12345.mp4", ".png"),
        (JPEG, "video/mp4", "abcdef12345.mp4", ".jpg"),
        # The name's own spelling stands where it means the same.
        (JPEG, "image/jpeg", "a.jpeg", ".jpeg"),
        (JPEG, None, "a.JPG", ".JPG"),
        (MP4, None, "a.m4v", ".m4v"),
        (M4A, None, "a.m4b", ".m4b"),
        (WEBM, None, "a.mkv", ".mkv"),
        (b"OggS", None, "a.opus", ".opus"),
        (b"RIFF\0\0\0\0WAVEfmt ", None, "a.wave", ".wave"),
        (b"\0\0\0\x14ftypqt  ", None, "a.mp4", ".mov"),
        (MP4, None, "a.mov", ".mp4"),
        # Where the bytes leave a choice, the Content-Type makes it, then the name.
        (MIF1, "image/avif", "a.png", ".avif"),
        (MIF1, "image/heif", "a.heif", ".heif"),
        (MIF1, None, "a.avif", ".avif"),
        (MIF1, "video/mp4", None, ".heic"),
        (WEBM, "video/x-matroska", "a.mp4", ".mkv"),
        (WEBM, "video/webm", "a.mp4", ".webm"),
        (MKV, "video/webm", "a.webm", ".mkv"),
        (MKV, "audio/x-matroska", "a.mp4", ".mka"),
        (MP4, "audio/mp4", "a.mp4", ".m4a"),
        (MP4, "video/quicktime", "a.mov", ".mp4"),
        (b"OggS", "video/ogg", "a", ".ogv"),
        # Without proof in the bytes, the Content-Type.
        (UNKNOWN, "video/mp4", "a.png", ".mp4"),
        (UNKNOWN, "Image/JPEG ; q=1", "a", ".jpg"),
        (UNKNOWN, "audio/mpeg", None, ".mp3"),
        (UNKNOWN, "video/quicktime", "a.qt", ".qt"),
        # Without that either, the name.
        (UNKNOWN, "application/octet-stream", "a.mp4", ".mp4"),
        (UNKNOWN, None, "a.tar.gz", ".gz"),
        (UNKNOWN, "", "a.JPG", ".JPG"),
        # And without any.
        (UNKNOWN, None, None, ".bin"),
        (UNKNOWN, None, "noname", ".bin"),
        (UNKNOWN, None, ".mp4", ".bin"),
        (UNKNOWN, None, "a.", ".bin"),
        (UNKNOWN, None, "a.m p4", ".bin"),
        (UNKNOWN, None, "a.mp4/b", ".bin"),
        (UNKNOWN, None, "a.\u0661", ".bin"),
        (UNKNOWN, None, "a.elevenchars", ".bin"),
        (b"", None, None, ".bin"),
    ],
    ids=ascii,
)
def test_a_suffix_comes_from_bytes_then_type_then_name(
    head: bytes, content_type: str | None, name: str | None, suffix: str
) -> None:
    """The first of the three that knows decides; the name's own suffix stands where it agrees."""
    assert suffix_of(head, content_type, name) == suffix


@SOME
@given(
    head=st.binary(max_size=HEAD_BYTES),
    content_type=st.none() | st.text(),
    name=st.none() | st.text(),
)
def test_a_suffix_is_always_a_plain_one(
    head: bytes, content_type: str | None, name: str | None
) -> None:
    """Whatever comes, the suffix is a dot and a few ASCII letters or digits."""
    assert re.fullmatch(r"\.[A-Za-z0-9]{1,13}", suffix_of(head, content_type, name))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.mp4", ("a", ".mp4")),
        ("a.b.mp4", ("a.b", ".mp4")),
        ("a", ("a", "")),
        (".mp4", (".mp4", "")),
        ("a.", ("a.", "")),
        ("", ("", "")),
        ("Mr. Smith", ("Mr. Smith", "")),
        ("a.\u00e9t\u00e9", ("a.\u00e9t\u00e9", "")),
    ],
)
def test_only_what_looks_like_a_suffix_is_split_off(name: str, parts: tuple[str, str]) -> None:
    """A name loses nothing but a short suffix of ASCII letters and digits."""
    assert split_suffix(name) == parts


@pytest.mark.parametrize(
    ("head", "content_type", "kind"),
    [
        (b"<!DOCTYPE html><html>", None, "HTML"),
        (b"\xef\xbb\xbf \r\n<html lang='en'>", "video/mp4", "HTML"),
        (b"<HEAD><title>404", None, "HTML"),
        (b"<body>", "application/octet-stream", "HTML"),
        (b"<!-- x --><p>Sorry.", None, "HTML"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "video/mp4", "XML"),
        (b"<Error><Code>NoSuchKey</Code>", None, "XML"),
        (b'{"error":"expired"}', "image/png", "JSON"),
        (b'  {"code":404}', None, "JSON"),
        (b"{}", None, "JSON"),
        (b'[{"error":1}]', None, "JSON"),
        (b'{\n  "error": "expired"\n}', None, "JSON"),
        (b'{ "error": "expired" }', "video/mp4", "JSON"),
        (b'[\n  {"error": 1}\n]', None, "JSON"),
        (b"null", "video/mp4", "JSON"),
        (b'"the link has expired"\n', "image/png", "JSON"),
        # What the bytes do not say, the declaration does.
        (b"Sorry.", "text/html; charset=utf-8", "text/html"),
        (b"Sorry.", "TEXT/HTML", "text/html"),
        (b"null", "application/json", "JSON"),
        (b"?", "application/problem+json", "application/problem+json"),
        (b"?", "text/xml", "text/xml"),
        (b"?", "application/xhtml+xml", "application/xhtml+xml"),
        # Text is no medium, unless it is declared as one: some are known to nobody here.
        (b"Sorry.", "text/plain", "text"),
        (b"Sorry.", None, "text"),
        (b"Sorry.", "application/octet-stream", "text"),
        ("D\u00e9sol\u00e9\r\n".encode()[:-4], "text/plain", "text"),
        (b"Sorry.", "video/x-new", None),
        (b"Sorry.\0", "text/plain", None),
        (b"\xff\xfe\xfd", "text/plain", None),
        # Files. A medium that is declared as a page is a medium.
        (PNG, "text/html", None),
        (MP4, "application/json", None),
        (UNKNOWN, "application/octet-stream", None),
        (UNKNOWN, None, None),
        (b"{\0\1", "video/mp4", None),
        (b"", None, None),
    ],
    ids=ascii,
)
def test_error_pages_are_no_files(head: bytes, content_type: str | None, kind: str | None) -> None:
    """A page that a server sent in place of a file is found out; no medium is taken for one."""
    assert error_page_type(head, content_type) == kind


def test_text_is_a_file_where_no_medium_is_expected() -> None:
    """A type of asset that nobody knows yet may well be text; a page is none even then."""
    assert error_page_type(b"Words.", "text/plain", is_media=False) is None
    assert error_page_type(b"<html>", "text/plain", is_media=False) == "HTML"


def test_a_compressed_page_is_none_of_the_media() -> None:
    """No Content-Encoding names it; what is to be no media may be so."""
    page = gzip.compress(b"<html>")
    assert error_page_type(page, "video/mp4") == "compressed"
    assert error_page_type(page, "application/gzip", is_media=False) is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_an_error_page_in_utf_16_is_one(encoding: str) -> None:
    """A declared page is no file, though its byte order mark looks like a frame of sound."""
    page = "\ufeff<!DOCTYPE html><html><body>Not found".encode(encoding)
    assert error_page_type(page[:HEAD_BYTES], "text/html; charset=utf-16") is not None


@SOME
@given(head=st.binary(max_size=HEAD_BYTES), content_type=st.none() | st.text())
def test_what_is_proven_a_medium_is_no_error_page(head: bytes, content_type: str | None) -> None:
    """The two judgements never contradict each other."""
    if sniff(head):
        assert error_page_type(head, content_type) is None


def test_a_format_is_named_once() -> None:
    """No suffix and no Content-Type means two formats, and all are in lower case."""
    for names in ([each.suffixes for each in FORMATS], [each.types for each in FORMATS]):
        flat = [name for some in names for name in some]
        assert len(flat) == len(set(flat))
        assert flat == [name.lower() for name in flat]


@pytest.mark.parametrize(
    ("suffix", "kind", "shown"),
    [
        (".JPEG", "image", "image"),
        (".heic", "image", None),
        (".mkv", "video", "video"),
        (".avi", "video", None),
        (".opus", "audio", "audio"),
        (".exe", None, None),
        ("", None, None),
    ],
)
def test_kinds(suffix: str, kind: str | None, shown: str | None) -> None:
    """What a suffix means for people, and for browsers."""
    assert (kind_of(suffix), shown_as(suffix)) == (kind, shown)
