"""The container file, as far as it can be checked without an engine; CI takes its steps."""

import json
import shutil
import subprocess

import pytest

from mirror.commands.parser import parse
from mirror.settings import SETTINGS
from tests.lib.container import DOCKERFILE, PROJECT, steps

STEPS = [*steps(DOCKERFILE.read_text(encoding="utf-8"))]


def _texts(name: str) -> list[str]:
    return [step.text for step in STEPS if step.name == name]


def test_hadolint_finds_nothing_to_mend() -> None:
    """The common linter of container files is content."""
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed; the dev extra has it")
    done = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True, check=False)  # noqa: S607
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_nobody_special_into_the_volume() -> None:
    """Not as root; the mirror is the volume; both commands are such as the program takes."""
    last = [step.name for step in STEPS].index("USER")
    assert all(step.name != "RUN" for step in STEPS[last:])
    assert int(_texts("USER")[-1].partition(":")[0]) > 0
    (volume,) = _texts("VOLUME")
    environ = dict(word.split("=", 1) for text in _texts("ENV") for word in text.split())
    assert environ["KLING_MIRROR_DEST"] == volume
    assert environ["KLING_MIRROR_NO_CREATE"] == "true"
    assert set(environ) - {"PATH"} <= {setting.env for setting in SETTINGS}
    (entrypoint,), (command,), (health,) = map(_texts, ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    assert json.loads(entrypoint) == ["kling-mirror"]
    assert parse(json.loads(command)).command == "sync"
    program, *arguments = json.loads(health.partition("CMD")[2])
    assert (program, parse(arguments).max_age) == ("kling-mirror", 26 * 3600)


def test_compose_agrees_with_the_image() -> None:
    """It builds this file, mounts its volume, runs what the program takes, and mounts the token."""
    yaml = pytest.importorskip("yaml", reason="the dev extra has it")
    path = PROJECT / ".container/compose.yaml"
    composed = yaml.safe_load(path.read_text(encoding="utf-8"))
    (service,) = composed["services"].values()
    context = path.parent / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).samefile(DOCKERFILE)
    assert [volume.partition(":")[2] for volume in service["volumes"]] == _texts("VOLUME")
    assert service["command"] == json.loads(_texts("CMD")[0])
    assert parse(service["command"]).every == 24 * 3600
    assert service["environment"].keys() <= {setting.env for setting in SETTINGS}
    (secret,) = service["secrets"]
    assert service["environment"]["KLING_MIRROR_TOKEN_FILE"] == f"/run/secrets/{secret}"
    assert secret in composed["secrets"]
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert f"/.container/{composed['secrets'][secret]['file'].removeprefix('./')}" in ignored


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """No token, mirror or history of the project's folder goes to the engine."""
    ignored = (PROJECT / ".container/Dockerfile.dockerignore").read_text().split()
    shown = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        word
        for text in _texts("COPY")
        if not text.startswith("--from")
        for word in text.split()[:-1]
    }
    assert ignored[0] == "*"
    assert shown == copied
    assert all((PROJECT / name).exists() for name in shown)
