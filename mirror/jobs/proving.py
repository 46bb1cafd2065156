"""Which file of a folder is a listed one: by the manifest beside it, or by the CDN's digests."""

import asyncio
from pathlib import Path

from msgspec import Struct

from mirror.jobs.adopted import Proof, RefusedFile
from mirror.jobs.fetch import Fetcher
from mirror.jobs.sources import Sources
from mirror.models import Asset, FileFacts, Role
from mirror.net.json_text import without_query
from mirror.net.probe import RemoteFile
from mirror.stopping import Stop
from mirror.storage import media
from mirror.storage.hashing import Hashed, hash_file
from mirror.text import decodable


class ProvedFile(Struct, frozen=True):
    """A file of the folder that is proved to be the right one.

    Attributes:
        head: its first bytes.
        facts: what the manifest is to say of it.
    """

    path: Path
    head: bytes
    proof: Proof
    facts: FileFacts


class Prover:
    """Finds the file that is a listed one.

    Args:
        sources: what the folder has.
        fetcher: asks the CDN.
        refused: filled in: by key, role and path, what looks right and is not proved.
        stop: ends the work when it is set.
    """

    def __init__(
        self,
        sources: Sources,
        fetcher: Fetcher,
        refused: dict[tuple[str, Role, Path], RefusedFile],
        stop: Stop,
    ) -> None:
        self._sources = sources
        self._fetcher = fetcher
        self._refused = refused
        self._stop = stop

    async def find(self, asset: Asset, role: Role) -> ProvedFile | None:
        """The file that is proved, or None.

        Raises:
            FetchError: the CDN does not answer for it.
        """
        sources, url = self._sources, asset.urls.get(role)
        if not url:
            return None
        if (recorded := sources.recorded(asset.key, role)) is not None:
            path, stored = recorded
            local = await self._read(asset, role, path)
            if local is not None and local.sha256 == stored.sha256:
                return ProvedFile(path, local.head, Proof.MANIFEST, stored)
            self.refuse(asset, role, path, "its bytes differ from what the manifest beside it says")
        named = sources.named(asset.key, role)
        if not named and not sources.has_nameless:
            return None
        remote = await self._fetcher.probe(url)
        for path in (*named, *sources.nameless(remote.size)):
            why = f"{sources.sizes[path]:,} bytes here, {remote.size:,} at Kling"
            if sources.sizes[path] == remote.size:
                local = await self._read(asset, role, path, *(name for name, _ in remote.digests))
                if local is None:
                    continue
                why = why_not(local, remote)
                if not why:
                    return ProvedFile(path, local.head, Proof.DIGEST, _facts(local, remote, url))
            if path in named:
                self.refuse(asset, role, path, why)
        return None

    def hashed(self, path: Path, *algorithms: str) -> Hashed:
        """Read a file; it blocks.

        Raises:
            OSError: it cannot be read.
            Interrupted: stopped.
        """
        return hash_file(
            path.open("rb"), ("sha256", *algorithms), on_chunk=lambda _: self._stop.check()
        )

    def refuse(self, asset: Asset, role: Role, path: Path, why: str) -> None:
        """Keep why a file is not adopted; the first reason stands."""
        refused = RefusedFile(asset.id, asset.update_time_ms, role, decodable(path), why)
        self._refused.setdefault((asset.key, role, path), refused)

    async def _read(self, asset: Asset, role: Role, path: Path, *algorithms: str) -> Hashed | None:
        try:
            return await asyncio.to_thread(self.hashed, path, *algorithms)
        except OSError as error:
            self.refuse(asset, role, path, f"unreadable: {error.strerror}")
            return None


def _facts(local: Hashed, remote: RemoteFile, url: str) -> FileFacts:
    return FileFacts(
        size=local.size,
        sha256=local.sha256,
        etag=remote.etag,
        last_modified=remote.last_modified,
        content_type=remote.content_type,
        url=without_query(url),
    )


def why_not(local: Hashed, remote: RemoteFile) -> str:
    """Why a file of the right length is not proved to be the one at the CDN; "" where it is."""
    if not remote.digests:
        return "the CDN gives no digest that could prove it"
    if any(local.digests[algorithm] != digest for algorithm, digest in remote.digests):
        return "its bytes differ from the file at Kling"
    if kind := media.error_page_type(local.head, remote.content_type):
        return f"an error page ({kind}) in place of the file"
    return ""
