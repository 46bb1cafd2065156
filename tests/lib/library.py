"""A library for the tests: assets and their files, changed at will while a service runs."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload

from mirror.demo.service import File, KlingService

Service = TypeVar("Service", bound=KlingService)

TOKEN = "user:1-test"  # noqa: S105 - opens nothing but the tests' own service
ACCESS = {"KLING_MIRROR_TOKEN": TOKEN}
"""What a command needs in its environment to be let in by the service."""
EMAIL = "me@example.com"
OTHER = "other@example.com"
KINDS = ("video", "image", "audio")
_EPOCH_MS = 1_750_000_000_000

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
MP4 = b"\0\0\0\x18ftypmp42"
WAV = b"RIFF\0\0\0\0WAVEfmt "
_HEADS = {"video": MP4, "image": PNG, "audio": WAV}
_TYPES = {"video": "video/mp4", "image": "image/png", "audio": "audio/wav"}
_SUFFIXES = {"video": ".mp4", "image": ".png", "audio": ".wav"}


def user_id_of(email: str) -> int:
    """The Kling user behind an address."""
    return 12345 if email == EMAIL else int(hashlib.sha256(email.encode()).hexdigest()[:8], 16)


def media(kind: str, seed: object, size: int = 2000) -> bytes:
    """Bytes that begin as the kind of medium does, different for each seed."""
    block = hashlib.sha256(repr(seed).encode()).digest()
    return (_HEADS[kind] + block * (size // len(block) + 1))[:size]


@dataclass
class Library:
    """What the service lists and serves; keys of `accounts` are emails."""

    accounts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {EMAIL: []})
    files: dict[str, File] = field(default_factory=dict)

    @overload
    def service(self) -> KlingService: ...
    @overload
    def service(self, of: type[Service]) -> Service: ...
    def service(self, of: type[KlingService] = KlingService) -> KlingService:
        """A service over this library, not yet started."""
        return of(accounts=self.accounts, files=self.files, token=TOKEN)

    def add(
        self,
        number: int,
        kind: str = "video",
        *,
        cover: bool | None = None,
        body: bytes | None = None,
        name: str | None = None,
        email: str = EMAIL,
        size: int = 2000,
    ) -> dict[str, Any]:
        """Upload an asset; videos have a cover unless it is refused."""
        time_ms = _EPOCH_MS + number * 1000
        path = f"/cdn/{kind}/{number}"
        body = media(kind, number, size) if body is None else body
        self.files[path] = File.of(body, _TYPES[kind], modified_ms=time_ms)
        has_cover = kind == "video" if cover is None else cover
        if has_cover:
            jpeg = JPEG + media("audio", ("cover", number), 500)
            self.files[f"{path}.cover"] = File.of(jpeg, "image/jpeg", modified_ms=time_ms)
        item = {
            "id": str(9_100_000_000_000_000_000 + number),
            "name": f"clip{number}{_SUFFIXES[kind]}" if name is None else name,
            "userId": user_id_of(email),
            "contentType": kind,
            "resource": _file(f"{path}?x-kcdn-pid=112452"),
            "cover": _file(f"{path}.cover?x-kcdn-pid=112452" if has_cover else ""),
            "createTime": time_ms,
            "updateTime": time_ms,
            "favored": False,
            "extraInfo": "{}",
            "entrance": "",
        }
        self.accounts.setdefault(email, []).append(item)
        return item

    def fill(self, count: int, *, size: int = 200) -> list[dict[str, Any]]:
        """Upload so many assets: a video, an image, a sound, and so on."""
        return [self.add(number, KINDS[number % 3], size=size) for number in range(count)]

    def change(self, item: dict[str, Any], body: bytes | None = None) -> None:
        """Change an asset at Kling: its updateTime moves, and its bytes if new ones are given."""
        item["updateTime"] += 60_000
        if body is not None:
            path = item["resource"]["resource"].partition("?")[0]
            old = self.files[path]
            self.files[path] = replace(
                File.of(body, old.content_type, modified_ms=item["updateTime"])
            )

    def delete(self, item: dict[str, Any], email: str = EMAIL) -> None:
        """Delete an asset at Kling; its files are gone as well."""
        self.accounts[email].remove(item)
        for role in ("resource", "cover"):
            self.files.pop(item[role]["resource"].partition("?")[0], None)


def _file(url: str) -> dict[str, Any]:
    return {"resource": url, "height": 720, "width": 1280, "duration": 0, "resourceKey": ""}
