"""The recipes do what they say, with the real tools, to a real S3 server and back."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lib.invariant import check_invariant
from tests.lib.library import TOKEN, Library
from tests.lib.misbehaving import Misbehaving
from tests.lib.seaweed import Server, seaweed, tool

_RECIPES = Path(__file__).parents[2] / "docs/recipes.md"
RunScript = Callable[..., str]

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The S3 server, for all tests here."""
    with seaweed(tmp_path_factory.mktemp("weed") / "data") as running:
        yield running


@pytest.fixture
def dest(home: Path) -> Path:
    """Where the recipes have it."""
    return home / "kling-mirror"


@pytest.fixture
def run(
    environ: dict[str, str], home: Path, service: Misbehaving, dest: Path, server: Server
) -> RunScript:
    """Runs a script as its reader would: with a config, a remote, a repository and its key."""
    config = home / ".config/kling-mirror/config.toml"
    config.parent.mkdir(parents=True)
    values = {"dest": str(dest), "api_url": service.api_url, "token": TOKEN, "min_free": 0}
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    config.chmod(0o600)
    (home / "password").write_text("secret")
    remote = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENDPOINT": server.url,
        "ACCESS_KEY_ID": server.key,
        "SECRET_ACCESS_KEY": server.secret,
    }
    folders = [Path(sys.executable).parent, Path(tool("rclone")).parent]
    env = {
        **environ,
        "PATH": ":".join([*map(str, folders), environ["PATH"]]),
        **{f"RCLONE_CONFIG_REMOTE_{name}": value for name, value in remote.items()},
        "RCLONE_CONFIG": str(home / "rclone.conf"),
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "RESTIC_REPOSITORY": f"s3:{server.url}/restic",
        "RESTIC_PASSWORD_FILE": str(home / "password"),
    }

    def run(script: str, *, fails: bool = False) -> str:
        done = subprocess.run(
            ["sh", "-ec", script],  # noqa: S607
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def _scripts(heading: str) -> tuple[str, str]:
    """The two scripts of a recipe: there, and back."""
    text = _RECIPES.read_text(encoding="utf-8")
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    there, back = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    return there, back


@pytest.mark.parametrize("name", ["rclone", "restic"])
def test_there_and_back(
    library: Library, service: Misbehaving, dest: Path, run: RunScript, *, name: str
) -> None:
    """Copied, proved, lost, restored, verified; `sync` fetches nothing, and goes on."""
    tool(name)
    items = library.fill(6)
    run("kling-mirror sync")
    library.change(items[0])
    run("kling-mirror sync")
    before = {key: entry.resource for key, entry in check_invariant(dest).items()}
    there, back = _scripts(
        {"rclone": "Copy the mirror with rclone", "restic": "Back up the mirror with restic"}[name]
    )
    if name == "restic":
        run("restic init")
    run(there)
    shutil.rmtree(dest)
    service.forget()
    run(back)
    assert {key: entry.resource for key, entry in check_invariant(dest).items()} == before
    assert service.cdn_requests() == []
    assert list((dest / ".kling-mirror/history").rglob("*.mp4"))
    library.add(7)
    run("kling-mirror sync")
    assert len(check_invariant(dest)) == len(before) + 1
    run(there)


def test_rclone_proves_or_refutes(
    library: Library, dest: Path, run: RunScript, tmp_path: Path
) -> None:
    """A copy with one changed byte fails the proof, though size and time are right."""
    library.fill(3)
    run("kling-mirror sync")
    there, _ = _scripts("Copy the mirror with rclone")
    run(there)
    (entry, *_) = check_invariant(dest).values()
    assert entry.resource is not None
    damaged = tmp_path / "damaged"
    body = bytearray((dest / entry.resource.path).read_bytes())
    body[-1] ^= 1
    damaged.write_bytes(body)
    run(f"rclone copyto {damaged} 'remote:kling/{entry.resource.path}'")
    said = run(there.partition("\n")[2].partition("\n")[2], fails=True)
    assert entry.resource.path in said
