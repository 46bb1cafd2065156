"""What a file is: told by its first bytes, then by its Content-Type, then by its name."""

import re

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
HEAD_BYTES = 64
"""How many of a file's first bytes `suffix_of` wants to see."""

_ISO_BRANDS = {
    b"qt  ": ".mov",
    b"M4A ": ".m4a",
    b"M4B ": ".m4a",
    b"heic": ".heic",
    b"heix": ".heic",
    b"mif1": ".heic",
    b"avif": ".avif",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"fLaC", ".flac"),
    (b"OggS", ".ogg"),
    (b"ID3", ".mp3"),
    (b"\x1a\x45\xdf\xa3", ".webm"),
)
_RIFF_FORMS = {b"WAVE": ".wav", b"WEBP": ".webp", b"AVI ": ".avi"}
_MEDIA_TYPES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/m4a": ".m4a",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/aac": ".aac",
    "audio/aacp": ".aac",
    "audio/ogg": ".ogg",
    "audio/opus": ".ogg",
    "video/ogg": ".ogg",
    "application/ogg": ".ogg",
}
_FRAME_SYNC = 0x7FF
_RESERVED_VERSION = 1
_ADTS, _LAYER_3 = 0, 1
_ERROR_PAGES = (
    (
        "HTML",
        re.compile(rb"<(!doctype\s+html|html|head|body|!--|title|h1|p)\b|<!--", re.IGNORECASE),
    ),
    ("XML", re.compile(rb"<[?!a-z]", re.IGNORECASE)),
    ("JSON", re.compile(rb'\{\s*["}]|\[\s*[\[{"\]]')),
)
_SYNONYMS = (
    frozenset((".jpg", ".jpeg", ".jpe", ".jfif")),
    frozenset((".mp4", ".m4v")),
    frozenset((".mov", ".qt")),
    frozenset((".ogg", ".oga", ".ogv", ".opus")),
    frozenset((".webm", ".mkv", ".mka")),
    frozenset((".m4a", ".m4b")),
    frozenset((".heic", ".heif")),
    frozenset((".wav", ".wave")),
)


def sniff(head: bytes) -> str | None:
    """The suffix that a file's first bytes prove, or None when they are no medium we know."""
    if head[4:8] == b"ftyp":
        return _ISO_BRANDS.get(head[8:12], ".mp4")
    if head[:4] == b"RIFF":
        return _RIFF_FORMS.get(head[8:12])
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    return _sniff_mpeg_audio(int.from_bytes(head[:2]))


def _sniff_mpeg_audio(frame: int) -> str | None:
    """By a frame's first 16 bits: 11 set ones, two of the version, two of the layer, one more.

    Layer 0 is reserved in ISO 11172-3 and says AAC in ADTS (ISO 13818-7).
    """
    sync, version, layer = frame >> 5, frame >> 3 & 3, frame >> 1 & 3
    if sync != _FRAME_SYNC or version == _RESERVED_VERSION:
        return None
    return {_ADTS: ".aac", _LAYER_3: ".mp3"}.get(layer)


def suffix_of(head: bytes, content_type: str | None, name: str | None) -> str:
    """The suffix that a file deserves: by its bytes, then its Content-Type, then its name.

    The name's own spelling stands where it means the same (`.jpeg` for a JPEG).

    Args:
        head: the file's first `HEAD_BYTES` bytes.
        content_type: the CDN's Content-Type header.
        name: the name that the listing gives.

    Returns:
        The suffix with its dot; `.bin` where nothing tells.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    true = sniff(head) or _MEDIA_TYPES.get(media_type)
    own = split_suffix(name or "")[1]
    if true is None:
        return own or ".bin"
    same = next((group for group in _SYNONYMS if true in group), frozenset((true,)))
    return own if own.lower() in same else true


def split_suffix(name: str) -> tuple[str, str]:
    """The name's stem and its suffix with the dot; "" where it has none that looks like one."""
    stem, dot, rest = name.rpartition(".")
    if dot and stem and _SUFFIX.fullmatch(f".{rest}"):
        return stem, f".{rest}"
    return name, ""


def error_page_type(head: bytes, content_type: str | None) -> str | None:
    """What an answer is that a server sent in place of a file, or None for a file.

    The bytes decide where they can: a PNG that is declared as HTML is a PNG.
    """
    if sniff(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        start = head[2:].replace(b"\0", b"")  # UTF-16: its letters and zeros in turn
    for kind, beginning in _ERROR_PAGES:
        if beginning.match(start.lstrip()):
            return kind
    declared = (content_type or "").partition(";")[0].strip().lower()
    if declared == "text/html" or declared.endswith(("/json", "+json", "/xml", "+xml")):
        return declared
    return None
