"""The container file's steps, taken for real without a container engine.

    python -m tests.lib.container

In a mount namespace of its own, an overlay over this very system stands in for the base image: what
a step writes is seen by the next one, and gone at the end. Then the image's program is run as the
image's user, with the image's environment. Linux, root.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mirror.demo import DEMO_TOKEN, demo_service

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / ".container/Dockerfile"
_BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Step(NamedTuple):
    """One instruction of the file."""

    name: str
    text: str


def steps(text: str) -> Iterator[Step]:
    """The instructions in their order, without comments, each on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield Step(name, rest.strip())


class Image:
    """What the steps make: a root, an environment, a user, a command."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._workdir = "/"
        self._environ: dict[str, str] = {}
        self._user = "0:0"
        self._entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []

    def take(self, step: Step) -> None:
        """Take one step, as `docker build` does."""
        {
            "FROM": self._from,
            "WORKDIR": self._enter,
            "COPY": self._copy,
            "RUN": self._build,
            "ENV": self._set,
            "USER": self._become,
            "VOLUME": self._require_folder,
            "HEALTHCHECK": self._note_health,
            "ENTRYPOINT": self._note_entrypoint,
            "CMD": self._note_command,
        }[step.name](step.text)

    def run(self, arguments: list[str]) -> int:
        """Run the program as the image would; returns its exit code."""
        return self.probe([*self._entrypoint, *arguments])

    def probe(self, command: list[str]) -> int:
        """Run a command as the health check is run; returns its exit code."""
        return self._run(command, {**self._environ, "HOME": "/home/mirror"}).returncode

    def started(
        self, arguments: list[str], environ: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start the program as an engine does: it is process 1 of a world of its own."""
        command = ["chroot", f"--userspec={self._user}", str(self._root), *self._entrypoint]
        print("+", shlex.join([*self._entrypoint, *arguments]), flush=True)  # noqa: T201
        return subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", *command, *arguments],  # noqa: S607
            env={**self._environ, **environ, "HOME": "/home/mirror"},
        )

    def _run(
        self, command: list[str], environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        print("+", shlex.join(command), flush=True)  # noqa: T201 - a log of CI
        found = ["chroot", f"--userspec={self._user}", str(self._root), *command]
        return subprocess.run(found, env=environ, check=False)

    def _from(self, _: str) -> None:
        self._workdir, self._user, self._environ = "/", "0:0", {"PATH": _BASE_PATH}

    def _enter(self, text: str) -> None:
        self._workdir = text
        self._inside(text).mkdir(parents=True)

    def _copy(self, text: str) -> None:
        words = text.split()
        *sources, target = [word for word in words if not word.startswith("--")]
        if words[0].startswith("--from="):  # all stages share the one root
            assert sources == [target]
            return
        folder = self._inside(f"{self._workdir}/{target}")
        folder.mkdir(parents=True, exist_ok=True)
        for source in (PROJECT / source for source in sources):
            what = str(source) if source.is_file() else f"{source}/."
            subprocess.run(["cp", "-a", what, str(folder)], check=True)  # noqa: S607

    def _build(self, text: str) -> None:
        environ = {**os.environ, **self._environ, "HOME": "/root"}
        line = f"cd {shlex.quote(self._workdir)} && {text}"
        self._run(["sh", "-c", line], environ).check_returncode()

    def _set(self, text: str) -> None:
        for name, _, value in (word.partition("=") for word in shlex.split(text)):
            self._environ[name] = value.replace("$PATH", self._environ["PATH"])

    def _become(self, text: str) -> None:
        self._user = text

    def _require_folder(self, text: str) -> None:
        assert self._inside(text).is_dir()

    def _note_health(self, text: str) -> None:
        self.health = json.loads(text.partition("CMD")[2])

    def _note_entrypoint(self, text: str) -> None:
        self._entrypoint = json.loads(text)

    def _note_command(self, text: str) -> None:
        self.command = json.loads(text)

    def _inside(self, path: str) -> Path:
        return self._root / path.lstrip("/")


def _check_service(image: Image) -> None:
    """Its command stays, as process 1; all is well after its first run; SIGTERM ends it at once."""
    with demo_service() as service:
        environ = {"KLING_MIRROR_API_URL": service.api_url, "KLING_MIRROR_TOKEN": DEMO_TOKEN}
        with image.started(image.command, environ) as process:
            for _ in range(300):
                if image.probe(image.health) == 0:
                    break
                assert process.poll() is None, "it stays"
                time.sleep(0.2)
            else:
                raise AssertionError("it does not become healthy")
            began = time.monotonic()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            (first,) = children.split()
            os.kill(int(first), signal.SIGTERM)
            assert process.wait(30) == 143
            assert time.monotonic() - began < 10, "an engine would kill it after ten seconds"


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S607


def _overlay(folder: Path) -> Path:
    """A root over this system's own, whose changes go to memory. Devices are not shared."""
    _mount("-t", "tmpfs", "tmpfs", str(folder))
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for each in (upper, work, root):
        each.mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "overlay", "-o", options, str(root))
    _mount("-t", "tmpfs", "tmpfs", str(root / "dev"))
    for name in ("null", "urandom"):
        (root / "dev" / name).touch()
        _mount("--bind", f"/dev/{name}", str(root / "dev" / name))
    return root


def main() -> int:
    """Build, and run what was built: refused without a token, unhealthy, synced, healthy."""
    mine, parents = (Path(f"/proc/{pid}/ns/mnt") for pid in ("self", os.getppid()))
    if mine.readlink() == parents.readlink():  # never mount where others would see it
        own = ["unshare", "--mount", sys.executable, "-m", "tests.lib.container"]
        return subprocess.run(own, cwd=PROJECT, check=False).returncode
    folder = Path(tempfile.mkdtemp())  # mounts go with the namespace; nothing is deleted by name
    root = _overlay(folder)
    image = Image(root)
    for step in steps(DOCKERFILE.read_text(encoding="utf-8")):
        image.take(step)
    assert image.run(["--version"]) == 0
    assert image.run(image.command) == 2, "a sync without a token is a usage error"
    assert image.probe(image.health) != 0, "without a mirror nothing is well"
    word = root / "data/token"
    word.write_text("user:1-none\n")
    sync = [*image.command, "--token-file", "/data/token"]
    assert "--every" in sync, "it stays, so that its health check has something to look at"
    once = ["sync", "--token-file", "/data/token"]
    assert image.run(once) == 6, "no mirror is begun: a volume that is missing looks like this"
    word.unlink()
    assert image.run(["init", "--dest", "/data"]) == 0
    assert image.probe(image.health) != 0, "before the first run nothing is well"
    _check_service(image)
    owners = {path.stat().st_uid for path in (root / "data").rglob("*")}
    assert 0 not in owners, "nothing is written by root"
    return 0


if __name__ == "__main__":
    sys.exit(main())
