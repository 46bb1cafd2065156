"""The manifest for Kubernetes: valid, true to our exit codes, and its pods do what it means.

There is no cluster here: the test takes the part of the one that starts pods from the manifest.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.commands.parser import parse
from mirror.demo.service import KlingService
from mirror.errors import ExitCode, Then
from mirror.settings import SETTINGS
from tests.lib.container import PROJECT
from tests.lib.held import Held
from tests.lib.invariant import check_invariant
from tests.lib.library import EMAIL, OTHER, TOKEN, Library
from tests.lib.processes import started, wait_until

yaml = pytest.importorskip("yaml", reason="the dev extra has it")
_MANIFEST = PROJECT / ".container/kubernetes.yaml"


@pytest.fixture
def objects() -> dict[str, Any]:
    """The objects of the manifest, by kind."""
    text = _MANIFEST.read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


@pytest.fixture
def job(objects: dict[str, Any]) -> dict[str, Any]:
    """What the CronJob starts."""
    found: dict[str, Any] = objects["CronJob"]["spec"]["jobTemplate"]["spec"]
    return found


@pytest.fixture
def container(job: dict[str, Any]) -> dict[str, Any]:
    """The pod's only container."""
    (found,) = job["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_every_object_is_valid(objects: dict[str, Any]) -> None:
    """By Kubernetes' own schemas, with no property that they do not know."""
    validator = pytest.importorskip("kubernetes_validate", reason="the dev extra has it")
    for each in objects.values():
        validator.validate(each, "1.37", strict=True)


def _after(job: Mapping[str, Any], container: Mapping[str, Any], code: int) -> str:
    """What Kubernetes does with a pod that ended so."""
    if code == 0:
        return "Complete"
    for rule in job["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            codes = rule["onExitCodes"]
            assert (codes["containerName"], codes["operator"]) == (container["name"], "In")
            if code in codes["values"]:
                return str(rule["action"])
    return "Count"


@pytest.mark.parametrize("code", ExitCode)
def test_exit_codes_mean_the_same(
    job: dict[str, Any], container: dict[str, Any], code: ExitCode
) -> None:
    """Done is done; what may go better later is tried again; the rest fails that account alone."""
    wanted = {
        Then.DONE: "Complete",
        Then.SKIP: "Count",
        Then.LATER: "Count",
        Then.CALL: "FailIndex",
    }
    assert _after(job, container, code) == wanted[code.then]
    assert 0 < job["backoffLimitPerIndex"] < 10


def test_names_and_settings_are_right(
    objects: dict[str, Any], job: dict[str, Any], container: dict[str, Any]
) -> None:
    """Volumes are there, variables are settings, and each index has a config: one an account."""
    volumes = {volume["name"] for volume in job["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    names = {variable["name"] for variable in container["env"]} - {"ACCOUNT_INDEX"}
    assert names <= {setting.env for setting in SETTINGS}
    assert parse(container["args"]).command == "sync"
    configs = objects["ConfigMap"]["data"]
    assert job["completions"] == job["parallelism"] == len(configs)
    assert [*configs] == [f"{index}.toml" for index in range(len(configs))]


# The pods.


class _Node:
    """Starts the pods of the job, as far as processes of this machine can be pods."""

    def __init__(
        self,
        container: dict[str, Any],
        configs: dict[str, str],
        folder: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._container = container
        self._configs = configs
        self._folder = folder
        self._environ = environ
        for name in ("data", "etc", "secrets"):
            (folder / name).mkdir()
        self.token = folder / "secrets/token"
        self.token.write_text(TOKEN)
        self.token.chmod(0o600)

    def dest(self, email: str) -> Path:
        """The mirror of an account."""
        return self._folder / "data" / email

    @contextlib.contextmanager
    def pod(self, index: int, service: KlingService) -> Iterator[Any]:
        """One pod: the config of its index, and the environment of the manifest."""
        (mount,) = (m for m in self._container["volumeMounts"] if "subPathExpr" in m)
        name = mount["subPathExpr"].replace("$(ACCOUNT_INDEX)", str(index))
        config = self._folder / "etc" / name
        text = self._configs[name].replace("/data/", f"{self._folder}/data/")
        config.write_text(text, encoding="utf-8")
        env = {v["name"]: v["value"] for v in self._container["env"] if "value" in v}
        env["KLING_MIRROR_TOKEN_FILE"] = str(self.token)
        env |= {"KLING_MIRROR_TOKEN": "", "KLING_MIRROR_API_URL": service.api_url}
        env |= {"KLING_MIRROR_MIN_FREE": "0", "KLING_MIRROR_MAX_WAIT": "2"}
        arguments = [
            str(config) if word == mount["mountPath"] else word for word in self._container["args"]
        ]
        with started({**self._environ, **env}, *arguments) as process:
            yield process

    def run(self, service: KlingService) -> list[int]:
        """All pods side by side, to their ends; returns their exit codes."""
        with contextlib.ExitStack() as stack:
            pods = [
                stack.enter_context(self.pod(index, service)) for index in range(len(self._configs))
            ]
            for pod in pods:
                pod.communicate(timeout=60)
            return [pod.returncode for pod in pods]


@pytest.fixture
def node(
    objects: dict[str, Any], container: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> _Node:
    """A node, with the manifest applied."""
    folder = tmp_path / "node"
    folder.mkdir()
    return _Node(container, objects["ConfigMap"]["data"], folder, environ)


@pytest.fixture
def accounts(library: Library) -> Library:
    """The two accounts of the manifest."""
    library.add(1)
    library.add(2, email=OTHER)
    return library


def test_a_pod_for_each_account(accounts: Library, service: KlingService, node: _Node) -> None:
    """Side by side, each mirrors its own account; the next night fetches nothing."""
    assert node.run(service) == [0, 0]
    before = len(service.cdn_requests())
    assert before >= 2
    assert node.run(service) == [0, 0]
    assert len(service.cdn_requests()) == before
    for email in (EMAIL, OTHER):
        (entry,) = check_invariant(node.dest(email)).values()
        assert entry.account == email
    assert accounts


def test_a_failure_is_of_one_account(
    accounts: Library,
    service: KlingService,
    node: _Node,
    job: dict[str, Any],
    container: dict[str, Any],
) -> None:
    """An account that is refused fails its index; a refused token fails all, each at once."""
    del accounts.accounts[OTHER]
    codes = node.run(service)
    assert [_after(job, container, code) for code in codes] == ["Complete", "FailIndex"]
    node.token.write_text("user:1-other")
    assert node.run(service) == [4, 4]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_drained_node(
    accounts: Library, service: KlingService, node: _Node, job: dict[str, Any]
) -> None:
    """The pod ends by SIGTERM in time; the one that replaces it completes the mirror."""
    with accounts.service(Held) as held, node.pod(0, held) as pod:
        wait_until(held.cdn_requests)
        pod.send_signal(signal.SIGTERM)
        pod.communicate(timeout=30)
    assert pod.returncode == 143
    (rule,) = (rule for rule in job["podFailurePolicy"]["rules"] if "onPodConditions" in rule)
    assert (rule["action"], rule["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert node.run(service) == [0, 0]
