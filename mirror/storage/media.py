"""What a file is: by its first bytes, then by its Content-Type, then by its name."""

import codecs
import re
from typing import Literal, NamedTuple

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
HEAD_BYTES = 512
"""How many of a file's first bytes are looked at."""

MediaKind = Literal["image", "video", "audio"]


class Format(NamedTuple):
    """One format of media.

    Attributes:
        kind: what it is for people.
        suffixes: that mean it; the first is the one that we give.
        types: the Content-Types that mean it.
        is_shown: whether browsers show it.
    """

    kind: MediaKind
    suffixes: tuple[str, ...]
    types: tuple[str, ...]
    is_shown: bool = True


FORMATS = (
    Format("image", (".png",), ("image/png",)),
    Format("image", (".jpg", ".jpeg", ".jpe", ".jfif"), ("image/jpeg", "image/jpg")),
    Format("image", (".gif",), ("image/gif",)),
    Format("image", (".webp",), ("image/webp",)),
    Format("image", (".avif",), ("image/avif",)),
    Format("image", (".heic", ".heif"), ("image/heic", "image/heif"), is_shown=False),
    Format("video", (".mp4", ".m4v"), ("video/mp4", "video/x-m4v")),
    Format("video", (".mov", ".qt"), ("video/quicktime",)),
    Format("video", (".webm",), ("video/webm", "audio/webm")),
    Format("video", (".mkv",), ("video/x-matroska", "video/matroska")),
    Format("video", (".avi",), ("video/x-msvideo", "video/avi"), is_shown=False),
    Format("video", (".ogv",), ("video/ogg",)),
    Format("audio", (".mp3",), ("audio/mpeg", "audio/mp3")),
    Format(
        "audio", (".wav", ".wave"), ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
    ),
    Format("audio", (".m4a", ".m4b"), ("audio/mp4", "audio/x-m4a", "audio/m4a")),
    Format("audio", (".flac",), ("audio/flac", "audio/x-flac")),
    Format("audio", (".aac",), ("audio/aac", "audio/aacp")),
    Format("audio", (".ogg", ".oga", ".opus"), ("audio/ogg", "audio/opus", "application/ogg")),
    Format("audio", (".mka",), ("audio/x-matroska", "audio/matroska"), is_shown=False),
)
_BY_SUFFIX = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes}
_BY_TYPE = {type_: format_.suffixes[0] for format_ in FORMATS for type_ in format_.types}

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"fLaC", ".flac"),
    (b"ID3", ".mp3"),
)
_RIFF_FORMS = {b"WAVE": ".wav", b"WEBP": ".webp", b"AVI ": ".avi"}
_ISO_BRANDS = {
    b"qt  ": ".mov",
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), ".m4a"),
    **dict.fromkeys((b"avif", b"avis"), ".avif"),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), ".heic"
    ),
}
_IMAGE_CONTAINERS = frozenset((b"mif1", b"msf1", b"miaf"))
_EBML = b"\x1a\x45\xdf\xa3"
_FRAME_SYNC = 0x7FF
_RESERVED_VERSION = 1
_ADTS, _LAYER_3 = 0, 1
_GZIP = b"\x1f\x8b\x08"
_ERROR_PAGES = (
    (
        "HTML",
        re.compile(rb"<(!doctype\s+html|html|head|body|!--|title|h1|p)\b|<!--", re.IGNORECASE),
    ),
    ("XML", re.compile(rb"<[?!a-z]", re.IGNORECASE)),
    ("JSON", re.compile(rb'\{\s*["}]|\[\s*[\[{"\]]|(null|true|false|"[^"]*")\s*\Z')),
)


def sniff(head: bytes) -> tuple[str, ...]:
    """The suffixes that a file's first bytes allow, likeliest first; none for no known medium."""
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    if head[:4] == b"RIFF":
        return _one(_RIFF_FORMS.get(head[8:12]))
    if head[:4] == _EBML:
        return _sniff_matroska(head)
    if head[:4] == b"OggS":
        return ".ogg", ".ogv"
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return (suffix,)
    return _one(_sniff_mpeg_audio(int.from_bytes(head[:2])))


def _one(suffix: str | None) -> tuple[str, ...]:
    return () if suffix is None else (suffix,)


def _sniff_iso(head: bytes) -> tuple[str, ...]:
    """By the brands of ISO/IEC 14496-12: the major one, then those that it is compatible with."""
    brand = head[8:12]
    if (suffix := _ISO_BRANDS.get(brand)) is not None:
        return (suffix,)
    if brand in _IMAGE_CONTAINERS:
        return (".avif", ".heic") if b"avif" in head[16:] else (".heic", ".avif")
    return ".mp4", ".m4a"


def _sniff_matroska(head: bytes) -> tuple[str, ...]:
    """By the DocType of RFC 8794, which mostly is among the first bytes."""
    if b"webm" in head:
        return (".webm",)
    if b"matroska" in head:
        return ".mkv", ".mka"
    return ".webm", ".mkv", ".mka"


def _sniff_mpeg_audio(frame: int) -> str | None:
    """By a frame's first 16 bits: 11 set ones, two of the version, two of the layer, one more.

    Layer 0 is reserved in ISO 11172-3 and says AAC in ADTS (ISO 13818-7).
    """
    sync, version, layer = frame >> 5, frame >> 3 & 3, frame >> 1 & 3
    if sync != _FRAME_SYNC or version == _RESERVED_VERSION:
        return None
    return {_ADTS: ".aac", _LAYER_3: ".mp3"}.get(layer)


def suffix_of(head: bytes, content_type: str | None, name: str | None) -> str:
    """The true suffix of a file: by its bytes, then its Content-Type, then its name.

    The name's own spelling stands where it means the same (`.jpeg` for a JPEG).

    Args:
        head: the file's first `HEAD_BYTES` bytes.
        content_type: the CDN's Content-Type header.
        name: the name that the listing gives.

    Returns:
        The suffix with its dot; `.bin` if it is unknown.
    """
    own = split_suffix(name or "")[1]
    meant = _BY_SUFFIX[own.lower()].suffixes[0] if own.lower() in _BY_SUFFIX else own.lower()
    declared = _BY_TYPE.get(_media_type(content_type))
    allowed = sniff(head) or _one(declared)
    if not allowed:
        return own or ".bin"
    true = next((suffix for suffix in (declared, meant) if suffix in allowed), allowed[0])
    return own if meant == true else true


def type_of(suffix: str) -> str | None:
    """The Content-Type that a suffix means; None for one that is unknown."""
    found = _BY_SUFFIX.get(suffix.lower())
    return None if found is None else found.types[0]


def kind_of(suffix: str) -> MediaKind | None:
    """Whether a suffix means an image, a video or a sound; None for any other."""
    found = _BY_SUFFIX.get(suffix.lower())
    return None if found is None else found.kind


def shown_as(suffix: str) -> MediaKind | None:
    """How a browser shows a file with this suffix; None if it cannot."""
    found = _BY_SUFFIX.get(suffix.lower())
    return None if found is None or not found.is_shown else found.kind


def _media_type(content_type: str | None) -> str:
    """The Content-Type without its parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


def split_suffix(name: str) -> tuple[str, str]:
    """The name's stem and its suffix with the dot; "" where it has none that looks like one."""
    stem, dot, rest = name.rpartition(".")
    if dot and stem and _SUFFIX.fullmatch(f".{rest}"):
        return stem, f".{rest}"
    return name, ""


def error_page_type(head: bytes, content_type: str | None, *, is_media: bool = True) -> str | None:
    """The type of a page that a server sent in place of a file; None for a real file.

    The bytes decide where they can: a PNG that is declared as HTML is a PNG.

    Args:
        head: the first `HEAD_BYTES` bytes.
        content_type: as it was declared.
        is_media: whether an image, a video or a sound is expected. Then text that is not declared
            as one of these is an error message, and so is what was compressed without a word of it.
    """
    if sniff(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        start = head[2:].replace(b"\0", b"")  # UTF-16: its letters and zeros in turn
    for kind, beginning in _ERROR_PAGES:
        if beginning.match(start.lstrip()):
            return kind
    declared = _media_type(content_type)
    if is_media and head.startswith(_GZIP):
        return "compressed"
    if declared == "text/html" or declared.endswith(("/json", "+json", "/xml", "+xml")):
        return declared
    is_declared = declared in _BY_TYPE or declared.startswith(("image/", "video/", "audio/"))
    return "text" if is_media and not is_declared and _is_text(start) else None


def _is_text(head: bytes) -> bool:
    """Whether it reads as text; a character that is cut off at the end is none the less."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(char.isprintable() or char.isspace() for char in text)
