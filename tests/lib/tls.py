"""The service over TLS, with a certificate of the tests' own."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Self

import pytest

from tests.lib.misbehaving import Misbehaving


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and localhost that nobody knows, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("https was not tested: there is no openssl here to make a certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate,
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    return certificate, key


def hashed_folder(certificate: Path, folder: Path) -> Path:
    """A folder of trusted certificates as OpenSSL wants it: each under its subject's hash."""
    openssl = str(shutil.which("openssl"))
    asked = [openssl, "x509", "-hash", "-noout", "-in", str(certificate)]
    found = subprocess.run(asked, check=True, capture_output=True)
    shutil.copy(certificate, folder / f"{found.stdout.decode().strip()}.0")
    return folder


class Secure(Misbehaving):
    """The service behind TLS."""

    certificate: Path
    context: ssl.SSLContext

    def show(self, certificate: tuple[Path, Path]) -> None:
        """Show this certificate, with its key."""
        self.certificate = certificate[0]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)

    @property
    def url(self) -> str:
        """The scheme, host and port."""
        return f"https://localhost:{self.port}"

    def __enter__(self) -> Self:
        running = super().__enter__()
        assert self._server is not None
        self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True)
        return running
