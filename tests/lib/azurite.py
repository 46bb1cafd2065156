"""Azure's own emulator of its Blob Storage, on loopback."""

import base64
import contextlib
import hashlib
import hmac
import re
import subprocess
from collections.abc import Iterator, Mapping
from email.utils import formatdate

import httpx

from tests.lib.seaweed import tool

_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's well-known account: its documentation has it."""


@contextlib.contextmanager
def azurite() -> Iterator[Mapping[str, str]]:
    """Run the emulator with the container `kling`; gives a program's environment."""
    program = tool("azurite-blob")
    with subprocess.Popen(
        [program, "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence",
         "--skipApiVersionCheck", "--silent"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            url = ""
            while not url:
                line = process.stdout.readline()
                assert line, "the emulator did not start"
                found = re.search(r"successfully listens on (http://127\.0\.0\.1:\d+)", line)
                url = found[1] if found else ""
            endpoint = f"{url}/{_ACCOUNT}"
            _make_container(endpoint, "kling")
            yield {
                "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
                "AZURE_STORAGE_ENDPOINT": endpoint,
            }
        finally:
            process.kill()


def _make_container(endpoint: str, name: str) -> None:
    """Make a container, by a request that is signed as Azure has it (SharedKey)."""
    date = formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    resource = f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    digest = hmac.digest(base64.b64decode(_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    answer = httpx.put(f"{endpoint}/{name}?restype=container", headers=headers, timeout=30)
    answer.raise_for_status()
