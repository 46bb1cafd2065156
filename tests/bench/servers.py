"""What the tools speak to: nginx over ready-made files and pages, plain, TLS, or far away."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_PROXY = Path(__file__).with_name("proxy.py")
_START_S = 10
_CONF = """\
daemon off; pid {root}/pid; error_log {root}/error.log warn; worker_processes auto; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000;
  types {{ application/json json; image/png png; }}
  client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;
  uwsgi_temp_path {root}/t; scgi_temp_path {root}/t;
  server {{
    listen {host}:{port};
    listen {host}:{tls_port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:1m;
    root {root}/www;
    location ~ ^/(?<set>[a-z0-9-]+)/v1/kling/assets/uploaded/$ {{
      default_type application/json;
      try_files /$set/pages/$arg_pageNum.json /empty.json;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Site:
    """A running nginx. It lists what is in `www/<set>/pages`, whatever the token.

    Attributes:
        certificate: of the server, and its own authority.
    """

    www: Path
    port: int
    tls_port: int
    certificate: Path

    @property
    def url(self) -> str:
        """Where it is, without TLS."""
        return f"http://{HOST}:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it is, over TLS."""
        return f"https://{HOST}:{self.tls_port}"


@contextlib.contextmanager
def site(root: Path) -> Iterator[Site]:
    """Runs nginx over `root/www`.

    Raises:
        SystemExit: nginx or openssl is missing, or does not do its part.
    """
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        raise SystemExit("nginx is needed to serve the files: install it first")
    (root / "www").mkdir()
    (root / "www" / "empty.json").write_text('{"uploadAssetsList": []}')
    certificate, key = root / "cert.pem", root / "key.pem"
    _make_certificate(certificate, key)
    port, tls_port = _free_ports()
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""  # else it may not read
    conf = root / "nginx.conf"
    conf.write_text(
        _CONF.format(
            root=root, user=user, host=HOST, port=port,
            tls_port=tls_port, certificate=certificate, key=key,
        )
    )  # fmt: skip
    # What it logs before it has read its configuration would go to a log of the system's own.
    command = [nginx, "-p", str(root), "-c", str(conf), "-e", str(root / "error.log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Site(root / "www", port, tls_port, certificate)
    finally:
        process.terminate()
        process.wait(_START_S)


@contextlib.contextmanager
def far_away(port: int, *, round_trip_s: float, bytes_per_s: int) -> Iterator[str]:
    """Runs the proxy before a port; yields the URL of what is far away now."""
    command = [sys.executable, "-I", str(_PROXY), str(port), str(round_trip_s), str(bytes_per_s)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        yield f"http://{HOST}:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.communicate()


def _make_certificate(certificate: Path, key: Path) -> None:
    """Makes a certificate for the loopback address that is its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise SystemExit("openssl is needed to make a certificate: install it first")
    made = subprocess.run(
        [
            openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=kling-mirror benchmark",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-addext", f"subjectAltName=IP:{HOST}", "-keyout", key, "-out", certificate,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise SystemExit(f"openssl made no certificate: {made.stderr}")


def _free_ports() -> tuple[int, int]:
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.02)
    raise SystemExit("nginx did not start: see above")
