"""What is really at Kling: users, their assets, and every version that an asset ever had.

Nothing in here knows how the service tells of it: that is `world`. Every version has bytes of its
own, so that a hash says which asset and which version a file is.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mirror.demo.service import File
from tests.lib.library import JPEG, media

KINDS = ("video", "image", "audio")
ABSENT = "(absent)"
"""An odd field of this value is left out of the listing."""

_EPOCH_MS = 1_750_000_000_000
_FIRST_ID = 9_100_000_000_000_000_000
_SUFFIXES = {"video": ".mp4", "image": ".png", "audio": ".wav"}
_TYPES = {"video": "video/mp4", "image": "image/png", "audio": "audio/wav"}


def sha256(data: bytes) -> str:
    """The hash that the manifest knows a file by."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Version:
    """An asset as it was from one update to the next."""

    update_ms: int
    resource: str
    """The hash of its resource."""
    cover: str | None
    """The hash of its cover, if it has one."""
    path: str
    """Where the CDN has the resource; its cover is beside it."""

    @property
    def cover_path(self) -> str:
        """Where the CDN has the cover."""
        return f"{self.path}.cover"


@dataclass(eq=False)
class Asset:
    """An upload. It is listed until it is deleted; its versions stay known."""

    user: int
    id: str
    kind: str
    name: str
    create_ms: int
    versions: list[Version]
    is_listed: bool = True
    odd: dict[str, object] = field(default_factory=dict)
    """Fields that the API lists with other values than the true ones, until they are mended."""

    @property
    def listed_kind(self) -> object:
        """The type that it is listed under; None for none."""
        return self.item().get("contentType")

    @property
    def listed_name(self) -> str:
        """The name that it is listed under; "" for none."""
        return str(self.item().get("name", ""))

    @property
    def now(self) -> Version:
        """The version that Kling has."""
        return self.versions[-1]

    def item(self) -> dict[str, Any]:
        """The asset as the API lists it; a place that begins with `/` gets the service's URL."""
        now = self.now
        item = {
            "id": self.id,
            "name": self.name,
            "userId": self.user,
            "contentType": self.kind,
            "resource": {"resource": f"{now.path}?x-kcdn-pid=112452", "height": 720},
            "cover": {"resource": f"{now.cover_path}?x-kcdn-pid=112452" if now.cover else ""},
            "createTime": self.create_ms,
            "updateTime": now.update_ms,
            "extraInfo": "{}",
        }
        item |= self.odd
        return {name: value for name, value in item.items() if value != ABSENT}

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id[-3:]} of {self.user}, version {len(self.versions)}>"


class Kling:
    """The truth. `files` is what the CDN serves, by path.

    Attributes:
        tokens: for each subscription's token, its accounts: the user behind each email.
    """

    def __init__(self, token: str, email: str) -> None:
        self.users: dict[int, list[Asset]] = {}
        self.tokens: dict[str, dict[str, int]] = {token: {email: self.new_user()}}
        self.files: dict[str, File] = {}
        self.owners: dict[str, tuple[Asset, str]] = {}
        """For every hash that was ever served, its asset and role."""
        self._ticks = 0

    def new_user(self) -> int:
        """Somebody without uploads."""
        user = 100 + len(self.users)
        self.users[user] = []
        return user

    def tick_ms(self) -> int:
        """A time that is later than all before."""
        self._ticks += 1
        return _EPOCH_MS + self._ticks * 60_000

    def assets(self) -> Iterator[Asset]:
        """Every asset that ever was."""
        for assets in self.users.values():
            yield from assets

    def listed(self, user: int) -> list[Asset]:
        """What a user has now, the oldest upload first."""
        return [asset for asset in self.users[user] if asset.is_listed]

    def upload(self, user: int, kind: str, *, cover: bool, etag: str = "hash") -> Asset:
        """Make an asset."""
        number = sum(len(assets) for assets in self.users.values())
        created = self.tick_ms()
        asset = Asset(
            user, str(_FIRST_ID + number), kind, f"clip{number}{_SUFFIXES[kind]}", created, []
        )
        self.users[user].append(asset)
        self._publish(asset, created, cover=cover, etag=etag, path=f"/cdn/{asset.id}/1")
        return asset

    def twin(self, asset: Asset, kind: str, *, same_time: bool) -> Asset:
        """List one id a second time under another type, as the API's own example does."""
        created = self.tick_ms()
        twin = Asset(asset.user, asset.id, kind, asset.name, asset.create_ms, [])
        self.users[asset.user].append(twin)
        when = asset.now.update_ms if same_time else created
        self._publish(twin, when, cover=kind == "video", etag="hash", path=f"/cdn/{twin.id}/{kind}")
        return twin

    def update(
        self, asset: Asset, *, in_place: bool, same_bytes: bool = False, etag: str = "hash"
    ) -> None:
        """Make a newer version, under the same URL or another."""
        old = asset.now
        path = old.path if in_place else f"/cdn/{asset.id}/{asset.kind}{len(asset.versions) + 1}"
        body = self.files[old.path].body if same_bytes and old.path in self.files else None
        for gone in () if in_place else (old.path, old.cover_path):
            self.files.pop(gone, None)
        self._publish(
            asset, self.tick_ms(), cover=old.cover is not None, etag=etag, path=path, body=body
        )

    def delete(self, asset: Asset) -> None:
        """Delete it, files and all."""
        asset.is_listed = False
        for path in (asset.now.path, asset.now.cover_path):
            self.files.pop(path, None)

    def _publish(
        self,
        asset: Asset,
        when_ms: int,
        *,
        cover: bool,
        etag: str,
        path: str,
        body: bytes | None = None,
    ) -> None:
        seed = (asset.id, asset.kind, when_ms)
        body = media(asset.kind, seed, 900 + 7 * self._ticks) if body is None else body
        self._serve(asset, "resource", path, body, etag)
        image = JPEG + media("audio", (seed, "cover"), 300) if cover else None
        if image is not None:
            self._serve(asset, "cover", f"{path}.cover", image, etag)
        version = Version(when_ms, sha256(body), None if image is None else sha256(image), path)
        asset.versions.append(version)

    def _serve(self, asset: Asset, role: str, path: str, body: bytes, etag: str) -> None:
        kind = _TYPES[asset.kind] if role == "resource" else "image/jpeg"
        file = File.of(body, kind, modified_ms=_EPOCH_MS + self._ticks * 60_000)
        tags = {
            "hash": file.etag,
            "md5": f'"{hashlib.md5(body).hexdigest()}"',  # noqa: S324 - as CDNs do
            "weak": f"W/{file.etag}",
            "none": "",
        }
        self.files[path] = File(body, kind, tags[etag], file.last_modified)
        self.owners[sha256(body)] = (asset, role)
