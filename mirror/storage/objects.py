"""The objects of a bucket: the one border to `obstore`, and so to S3, GCS and Azure.

What a store refuses is translated here. A missing object is a `FileNotFoundError`, a condition
that does not hold a `ConflictError`, all else a `DiskError`: for a run, the bucket is the disk, and
an outage must never look like a file that is missing.
"""

import contextlib
import datetime as dt
import errno
import io
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import Struct

from mirror import values
from mirror.errors import DiskError, UsageError
from mirror.places import BucketUrl
from mirror.storage import layout
from mirror.storage.durable import Disk

if TYPE_CHECKING:
    from mmap import mmap

_CONNECTED_WITHIN_S = 30
_DONE_WITHIN_S = 3600
"""The limit is of a whole request with its body: a gigabyte takes long on a slow line."""
_RETRIED_FOR_S = 60
_TRIES = 6
_QUERY = re.compile(r"\?\S*")
_STATUS = re.compile(r"status code: (\d+ [\w ]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ENDPOINT = re.compile(r"(AWS|GOOGLE|AZURE)_\w*ENDPOINT\w*")
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The variables that the stores' own tools read."""


class ConflictError(Exception):
    """An object is there that must not be, or is not the one that was expected."""


class ObjectFacts(Struct, frozen=True, gc=False):
    """What a listing says of an object.

    Attributes:
        size: bytes.
        etag: the store's, without quotes. It differs between two contents of one key.
        mtime_ns: when it was put there, epoch nanoseconds.
        version: what GCS asks for in place of the ETag.
    """

    size: int
    etag: str
    mtime_ns: int
    version: str | None = None


class Objects:
    """The objects below a prefix, by the path that they have below it.

    Args:
        url: the bucket and the prefix.
        disk: takes the durable steps.

    Attributes:
        service: a short name of the service and the bucket.

    Raises:
        UsageError: the package for object stores is not installed, or the environment is wrong.
    """

    def __init__(self, url: BucketUrl, disk: Disk) -> None:
        try:
            import obstore.exceptions  # noqa: PLC0415 - an extra
            import obstore.store  # noqa: PLC0415
        except ImportError:
            raise UsageError(
                "a mirror in a bucket needs a package that is not installed",
                where=str(url),
                hint="pip install 'kling-mirror[bucket]'",
            ) from None
        self._obstore = obstore
        self._errors = obstore.exceptions
        self._url = url
        self._disk = disk
        named = {name: url for name, url in os.environ.items() if _ENDPOINT.fullmatch(name)}
        is_plain = True in {_is_plain(name, url) for name, url in named.items()}
        self.service = layout.short_hash(repr((url.scheme, url.bucket, sorted(named.items()))))
        try:
            self._store: Any = obstore.store.from_url(
                str(url),
                client_options={
                    "timeout": dt.timedelta(seconds=_DONE_WITHIN_S),
                    "connect_timeout": dt.timedelta(seconds=_CONNECTED_WITHIN_S),
                    "allow_http": is_plain,
                },
                retry_config={
                    "max_retries": _TRIES,
                    "retry_timeout": dt.timedelta(seconds=_RETRIED_FOR_S),
                },
            )
        except (self._errors.BaseError, ValueError) as error:
            raise UsageError(
                f"the bucket cannot be used: {_reason(error)}",
                where=str(url),
                hint=f"set {_CREDENTIALS[url.scheme]}",
            ) from None

    def location(self, path: str) -> str:
        """An object, as messages name it."""
        return f"{self._url}/{path}"

    def list(self, prefix: str = "") -> Iterator[tuple[str, ObjectFacts]]:
        """Every object below a folder, with its facts: one request for a thousand.

        Raises:
            DiskError: the bucket is missing, refuses, or cannot be reached.
        """
        with self._translated(prefix):
            for chunk in self._obstore.list(self._store, prefix or None):
                for found in chunk:
                    yield found["path"], _facts(found)

    def require_bucket(self) -> None:
        """See that there is a bucket: without one, some stores say that an object is missing.

        Raises:
            DiskError: there is none, or it cannot be reached.
        """
        with self._translated(""):
            self._obstore.list_with_delimiter(self._store, ".kling-mirror")

    def head(self, path: str) -> ObjectFacts | None:
        """An object's facts; None if there is none."""
        try:
            with self._translated(path):
                return _facts(self._obstore.head(self._store, path))
        except FileNotFoundError:
            return None

    def attributes(self, path: str) -> Mapping[str, str]:
        """What was put beside an object; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return self.described(path)[1]
        return {}

    def described(self, path: str) -> tuple[ObjectFacts, Mapping[str, str]]:
        """An object's facts, and what was put beside it.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._translated(path):
            found = self._obstore.get(self._store, path, options={"head": True})
            return _facts(found.meta), dict(found.attributes)

    def get(self, path: str) -> tuple[bytes, ObjectFacts]:
        """The content of an object, and its facts.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._translated(path):
            found = self._obstore.get(self._store, path)
            return bytes(found.bytes()), _facts(found.meta)

    def open(self, path: str) -> tuple[BinaryIO, ObjectFacts, Mapping[str, str]]:
        """An object to be read from its start to its end, its facts, and what was put beside it.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._translated(path):
            found = self._obstore.get(self._store, path)
            stream = _Stream(iter(found.stream()), lambda: self._translated(path))
            reader = io.BufferedReader(stream, 1 << 20)
            return reader, _facts(found.meta), dict(found.attributes)

    def create(
        self, path: str, body: "bytes | mmap", attributes: Mapping[str, str] | None = None
    ) -> ObjectFacts:
        """Put an object where none is; gives its facts.

        Raises:
            ConflictError: one is there. After a lost answer, that may be this very one.
        """
        return self._put(path, body, "create", attributes)

    def replace(
        self,
        path: str,
        body: "bytes | mmap",
        before: ObjectFacts,
        attributes: Mapping[str, str] | None = None,
    ) -> ObjectFacts:
        """Put an object in the place of the one that has these facts; gives its own.

        Raises:
            ConflictError: another is there, or none.
        """
        mode = {"e_tag": f'"{before.etag}"'}
        if before.version is not None:
            mode["version"] = before.version
        return self._put(path, body, mode, attributes)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the bucket; whatever was at the target is replaced."""
        with self._disk.taking("copy", self.location(target)), self._translated(target):
            self._obstore.copy(self._store, source, target)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, whatever they are; those that are not there are no error."""
        for path in paths:
            with (
                self._disk.taking("delete", self.location(path)),
                contextlib.suppress(FileNotFoundError),
                self._translated(path),
            ):
                self._obstore.delete(self._store, path)

    def _put(
        self,
        path: str,
        body: "bytes | mmap",
        mode: Any,  # noqa: ANN401 - as the library has it
        attributes: Mapping[str, str] | None,
    ) -> ObjectFacts:
        with self._disk.taking("put", self.location(path)), self._translated(path):
            done = self._obstore.put(
                self._store,
                path,
                body,
                mode=mode,
                attributes=dict(attributes or {}),
                use_multipart=False,
            )
        etag = (done["e_tag"] or "").strip('"')
        return ObjectFacts(len(body), etag, time.time_ns(), done["version"])

    @contextlib.contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        errors = self._errors
        where = self.location(path) if path else str(self._url)
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._no_bucket() from None
            raise FileNotFoundError(errno.ENOENT, "there is no such object", where) from None
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise ConflictError(path) from None
        except (errors.PermissionDeniedError, errors.UnauthenticatedError):
            raise DiskError(
                "the bucket refuses these credentials",
                where=where,
                hint=f"see docs/buckets.md for the rights that they need, and set "
                f"{_CREDENTIALS[self._url.scheme]}",
            ) from None
        except errors.BaseError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise self._no_bucket() from None
            raise DiskError(
                f"the bucket cannot be used: {_reason(error)}",
                where=where,
                hint=f"check the network, and {_CREDENTIALS[self._url.scheme]}",
            ) from None

    def _no_bucket(self) -> DiskError:
        return DiskError(
            "there is no such bucket",
            where=str(self._url),
            hint="create it with your provider's tools, or correct `dest`",
        )


def _is_plain(name: str, url: str) -> bool:
    """Whether an endpoint is of plain http.

    Raises:
        UsageError: it is no URL.
    """
    try:
        return values.url(url).startswith("http:")
    except ValueError as error:
        raise UsageError(f"{name}: {error}", where=url, hint="correct or unset it") from None


class _Stream(io.RawIOBase):
    """The chunks of an answer, as a file."""

    def __init__(self, chunks: Iterator[Any], translated: Any) -> None:  # noqa: ANN401 - a library's
        self._chunks = chunks
        self._translated = translated
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - as the base has it
        """Read up to one chunk."""
        if not self._rest:
            with self._translated():
                self._rest = memoryview(bytes(next(self._chunks, b"")))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _facts(meta: Any) -> ObjectFacts:  # noqa: ANN401 - a library's dict
    mtime: dt.datetime = meta["last_modified"]
    mtime_ns = int(mtime.timestamp()) * 1_000_000_000
    etag = (meta["e_tag"] or "").strip('"')
    return ObjectFacts(meta["size"], etag, mtime_ns, meta["version"])


def _reason(error: Exception) -> str:
    """What an error says, without its debug output and without what URLs may have as secrets."""
    text = str(error).strip()
    if status := _STATUS.search(text):
        code = _CODE.search(text)
        return f"it answers {status[1].strip()}" + (f" ({code[1]})" if code else "")
    return _QUERY.sub("?…", text.partition("\n")[0].rpartition("  - ")[2])[:200]
