"""The commands: ours, and those of the peers with the best options that are fair."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lib.library import TOKEN

HERE = Path(__file__).parent
OURS = "kling-mirror"
BASE = "kling-mirror, base"
MIRROR = (sys.executable, "-m", "mirror")
_LARGE_BYTES = 10_000_000
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


@dataclass(frozen=True)
class Order:
    """What is to be fetched, and to where.

    Attributes:
        base_url: of the server.
        set_name: the folder that is served there.
        lists: holds `urls`, `names` and `curl`, as `write_lists` makes them.
        ca_file: of the server's authority; None without TLS.
        jobs: connections at a time.
        file_bytes: the size of each file.
    """

    base_url: str
    set_name: str
    dest: Path
    lists: Path
    ca_file: Path | None
    jobs: int
    file_bytes: int

    @property
    def api_url(self) -> str:
        """Where the listing is."""
        return f"{self.base_url}/{self.set_name}/v1/kling"

    @property
    def files_url(self) -> str:
        """Where the files are."""
        return f"{self.base_url}/{self.set_name}/files/"

    def write_lists(self, names: list[str]) -> None:
        """Write what the peers get for free."""
        urls = [f"{self.files_url}{name}" for name in names]
        self.lists.mkdir()
        (self.lists / "names").write_text("".join(f"{name}\n" for name in names))
        (self.lists / "urls").write_text("".join(f"{url}\n" for url in urls))
        (self.lists / "curl").write_text("".join(f'url = "{url}"\n' for url in urls))

    def given(self, option: str) -> list[str]:
        """A tool's option for the CA file, where it is needed."""
        return [] if self.ca_file is None else [f"{option}={self.ca_file}"]


@dataclass(frozen=True)
class Tool:
    """A peer.

    Attributes:
        program: what must be installed.
        command: gives its arguments, program included.
        is_parallel: whether it fetches several files at a time.
    """

    name: str
    program: str
    command: Callable[[Order], list[str]]
    is_parallel: bool = True

    def is_installed(self) -> bool:
        """Whether it can take part."""
        return shutil.which(self.program, path=PATH) is not None

    def version(self) -> str:
        """What it says of itself."""
        if self.program == sys.executable:
            command = [self.program, "-c", "import httpx; print(httpx.__version__)"]
        else:
            command = [self.program, "version" if self.name == "rclone" else "--version"]
        env = {**os.environ, "PATH": PATH}
        said = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
        found = re.search(r"\d[\w.+-]+", said)
        return found[0] if found else "of unknown version"


def environ(home: Path) -> dict[str, str]:
    """What every command gets: a home of its own, no configuration of whoever runs this."""
    root = HERE.parents[1]
    return {"PATH": PATH, "HOME": str(home), "PYTHONPATH": str(root), "LC_ALL": "C.UTF-8"}


def our_environ(base: Mapping[str, str], ca_file: Path | None = None) -> dict[str, str]:
    """What our own command gets beside that."""
    tls = {} if ca_file is None else {"SSL_CERT_FILE": str(ca_file)}
    return {**base, "KLING_MIRROR_TOKEN": TOKEN, **tls}


def sync_command(*, dest: Path, api_url: str, jobs: int) -> list[str]:
    """Our own command."""
    return [
        *MIRROR, "sync", "--json", "--dest", str(dest), "--api-url", api_url, "--jobs", str(jobs),
    ]  # fmt: skip


def _curl(order: Order) -> list[str]:
    return [
        "curl", "--disable", "--silent", "--show-error", "--fail", "--parallel",
        "--parallel-immediate", "--parallel-max", str(order.jobs), "--http1.1",
        "--remote-name-all", "--output-dir", str(order.dest), "--config", str(order.lists / "curl"),
        *(["--cacert", str(order.ca_file)] if order.ca_file else []),
    ]  # fmt: skip


def _aria2c(order: Order) -> list[str]:
    return [
        "aria2c", "--no-conf", "--quiet", f"-j{order.jobs}", "-x1", "-s1", "--file-allocation=none",
        "--async-dns=false", "--disable-ipv6=true", "--enable-dht=false", "--no-netrc=true",
        "--remote-time=false", "--summary-interval=0", "--download-result=hide",
        "--auto-save-interval=0", "--max-download-result=0", "--deferred-input=true",
        f"--input-file={order.lists / 'urls'}", f"--dir={order.dest}",
        *order.given("--ca-certificate"),
    ]  # fmt: skip


def _rclone(order: Order) -> list[str]:
    # A HEAD request gives it the size: a faster way to write, but a round trip for each file.
    head = [] if order.file_bytes >= _LARGE_BYTES else ["--http-no-head"]
    return [
        "rclone", "copy", ":http:", str(order.dest), "--config=", "--quiet",
        f"--http-url={order.files_url}", *head, f"--transfers={order.jobs}",
        f"--checkers={order.jobs}", "--files-from-raw", str(order.lists / "names"), "--no-traverse",
        "--no-check-dest", "--multi-thread-streams=0", "--local-no-set-modtime",
        "--ignore-checksum",
        *order.given("--ca-cert"),
    ]  # fmt: skip


def _wget2(order: Order) -> list[str]:
    off = ("robots", "hsts", "hpkp", "ocsp", "ocsp-stapling", "cookies", "netrc", "http2",
           "use-server-timestamps", "xattr", "host-directories", "directories")  # fmt: skip
    return [
        "wget2", "--no-config", "--quiet", f"--max-threads={order.jobs}", "--progress=none",
        "--no-compression", *(f"--no-{name}" for name in off),
        f"--input-file={order.lists / 'urls'}", f"--directory-prefix={order.dest}",
        *order.given("--ca-certificate"),
    ]  # fmt: skip


def _gallery_dl(order: Order) -> list[str]:
    ca_file = [] if order.ca_file is None else ["-o", f"verify={order.ca_file}"]
    return [
        "gallery-dl", "--config-ignore", "--quiet", "--no-part", "--no-mtime", "--sleep=0",
        "--sleep-request=0", "--sleep-extractor=0", *ca_file,
        "--input-file", str(order.lists / "urls"), "--directory", str(order.dest),
    ]  # fmt: skip


def _httpx(order: Order) -> list[str]:
    ca_file = [] if order.ca_file is None else [str(order.ca_file)]
    script = str(HERE / "httpx_files.py")
    return [sys.executable, script, str(order.lists / "urls"), str(order.dest), *ca_file]


PEERS = (
    Tool("curl", "curl", _curl),
    Tool("aria2c", "aria2c", _aria2c),
    Tool("rclone", "rclone", _rclone),
    Tool("wget2", "wget2", _wget2),
    Tool("gallery-dl", "gallery-dl", _gallery_dl, is_parallel=False),
    Tool("httpx", sys.executable, _httpx, is_parallel=False),
)
