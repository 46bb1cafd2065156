"""`from mirror import Config, sync`: quiet, typed, from anywhere, leaving nothing behind."""

import asyncio
import inspect
import os
import pydoc
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import mirror
from mirror import Config, ExitCode, Mirror, MirrorError, Progress, Result, Stop, async_sync, sync
from mirror.demo.service import KlingService
from mirror.settings import BY_NAME, SETTINGS, Options, Setting
from tests.lib.library import TOKEN, Library
from tests.lib.mirrored import manifest_of
from tests.lib.notebook import Told, mirrored
from tests.lib.processes import wait_until

LISTED = 12


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folders are the test's own."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "KLING_MIRROR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def library() -> Library:
    """A library with some of each kind."""
    library = Library()
    for number in range(LISTED):
        library.add(number, ("video", "image", "audio")[number % 3])
    return library


def run(service: KlingService, dest: Path, progress: Progress | None = None) -> Result:
    """A run as a notebook would make it."""
    return mirrored(service.api_url, service.token, dest, progress)


def test_it_mirrors_and_says_nothing(
    service: KlingService, dest: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A first run fetches all, a second nothing; neither writes to stdout or stderr."""
    first = run(service, dest).raise_for_errors()
    assert first.exit_code is ExitCode.COMPLETE
    assert first.summary.assets.new == LISTED == len(manifest_of(dest)["assets"])
    asked = len(service.cdn_requests())
    second = run(service, dest)
    assert (second.summary.assets.unchanged, second.has_news) == (LISTED, False)
    assert len(service.cdn_requests()) == asked
    assert capfd.readouterr() == ("", "")


def test_progress_agrees_with_the_summary(service: KlingService, dest: Path) -> None:
    """Each asset is planned, then done, once; the reported bytes are the summary's."""
    shown = Told()
    summary = run(service, dest, shown).summary
    for event in ("planned", "done"):
        assert len({key for name, key in shown.events if name == event}) == summary.assets.new
    assert len(shown.events) == 2 * summary.assets.new
    for key in {key for _, key in shown.events}:
        assert shown.events.index(("planned", key)) < shown.events.index(("done", key))
    assert shown.bytes == summary.files.bytes == sum(map(len, _bodies(service)))


def test_failures_are_reported_counted_and_raised(
    service: KlingService, library: Library, dest: Path
) -> None:
    """An asset that fails is an event, a line of the summary, exit 3, and an `AssetError`."""
    del library.files["/cdn/image/1"]
    shown = Told()
    result = run(service, dest, shown)
    assert (result.exit_code, result.summary.assets.failed) == (ExitCode.SOME_FAILED, 1)
    assert [name for name, _ in shown.events].count("failed") == 1
    with pytest.raises(mirror.AssetError, match="404"):
        result.raise_for_errors()
    assert result.summary.assets.new == LISTED - 1


def test_a_refused_token_is_an_error_of_the_result(service: KlingService, dest: Path) -> None:
    """The run returns; `raise_for_errors` raises what the command line would have printed."""
    result = mirrored(service.api_url, "user:0-wrong", dest)
    assert result.exit_code is ExitCode.ACCESS
    with pytest.raises(mirror.AccessError):
        result.raise_for_errors()


def test_no_token_is_raised_at_once(service: KlingService, dest: Path) -> None:
    """What cannot begin raises, and leaves no folder."""
    with pytest.raises(mirror.UsageError, match="no API token"):
        sync(Config(dest=dest, api_url=service.api_url))
    assert not dest.exists()


def test_a_dry_run_writes_nothing(service: KlingService, dest: Path) -> None:
    """The plan is reported, the folder not made, no file asked for."""
    shown = Told()
    config = Config(dest=dest, api_url=service.api_url, token=TOKEN)
    result = sync(config, progress=shown, dry_run=True).raise_for_errors()
    assert result.summary.assets.new == len(shown.events) == LISTED
    assert not dest.exists()
    assert not service.cdn_requests()


def test_it_works_where_a_loop_is_running(service: KlingService, dest: Path) -> None:
    """A notebook's cell runs inside an event loop; the loop is as good as before."""

    async def cell() -> Result:
        result = run(service, dest)
        await asyncio.sleep(0)
        return result

    assert asyncio.run(cell()).exit_code is ExitCode.COMPLETE


def test_an_error_comes_out_of_a_running_loop_too(service: KlingService, dest: Path) -> None:
    """What is raised by a callback is raised by `sync`, in a loop as outside of one."""

    class Faulty(Progress):
        def done(self, *_: object) -> None:
            raise ZeroDivisionError

    async def cell() -> None:
        run(service, dest.with_name("another"), Faulty())

    with pytest.raises(ZeroDivisionError):
        run(service, dest, Faulty())
    with pytest.raises(ZeroDivisionError):
        asyncio.run(cell())
    assert run(service, dest).exit_code is ExitCode.COMPLETE


def test_it_works_from_threads(service: KlingService, tmp_path: Path) -> None:
    """Two mirrors at once, neither from the main thread."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda each: run(service, tmp_path / each), ("one", "two")))
    assert [result.exit_code for result in results] == [ExitCode.COMPLETE] * 2


def test_a_second_run_on_the_same_folder_is_refused(service: KlingService, dest: Path) -> None:
    """The lock holds within one process, too."""
    codes: list[ExitCode] = []

    class Nested(Progress):
        def planned(self, *_: object) -> None:
            if not codes:
                codes.append(run(service, dest).exit_code)

    assert run(service, dest, Nested()).exit_code is ExitCode.COMPLETE
    assert codes == [ExitCode.LOCKED]


def test_it_stops_when_asked_to(service: KlingService, dest: Path) -> None:
    """`stop.set()` ends the run with 130; what is done stays, and the next run completes."""
    stop = Stop()

    class Stopper(Progress):
        def done(self, *_: object) -> None:
            stop.set()

    config = Config(dest=dest, api_url=service.api_url, token=TOKEN, min_free=0, jobs=1)
    result = sync(config, progress=Stopper(), stop=stop)
    assert result.exit_code is ExitCode.SIGINT
    with pytest.raises(mirror.Interrupted):
        result.raise_for_errors()
    assert run(service, dest).exit_code is ExitCode.COMPLETE


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_it_leaves_nothing_behind(service: KlingService, dest: Path) -> None:
    """No thread, no open file or socket, no signal handler of its own: after any end."""
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    run(service, dest.with_name("warm-up"))
    before = _left_open()
    results = [run(service, dest), mirrored(service.api_url, "user:0-wrong", dest)]
    assert [result.exit_code for result in results] == [ExitCode.COMPLETE, ExitCode.ACCESS]
    wait_until(lambda: _left_open() == before)  # a thread that has said its last word may end yet
    assert handlers == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]


def test_a_config_takes_every_setting_of_a_run() -> None:
    """The typed names are those of the settings; some are the command line's alone."""
    around = {setting.name for setting in SETTINGS if setting.group in ("output", "unattended")}
    assert Options.__annotations__.keys() == BY_NAME.keys() - around
    bare = Config().settings
    assert [getattr(bare, each.name) for each in SETTINGS] == [each.default for each in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.name)
def test_a_parsed_value_is_one_to_write(setting: Setting) -> None:
    """The value of one config can be given to the next: it parses to itself."""
    value = setting.parse(setting.shown_default.strip('"[]'))
    assert setting.parse(value) == value


@pytest.mark.parametrize(
    ("options", "where", "what"),
    [
        ({"jobs": 0}, "jobs", "expected a whole number from 1 to 64, not 0"),
        ({"dest": 3}, "dest", "expected a text that is not empty"),
        ({"content_type": ["film"]}, "content_type", "expected video, image or audio"),
        ({"jbos": 3}, "argument", "unknown setting 'jbos'"),
        ({"token": " "}, "token", "expected a text that is not empty"),
    ],
)
def test_a_wrong_value_names_its_setting(options: dict[str, object], where: str, what: str) -> None:
    """The same errors as on the command line, with the setting's own name."""
    with pytest.raises(mirror.UsageError) as caught:
        Config(**options)  # type: ignore[arg-type]
    assert caught.value.where == where
    assert caught.value.what.startswith(what)


def test_a_config_is_a_value_without_secrets() -> None:
    """It cannot be changed, equals its like, and shows no token."""
    config = Config(dest="~/kling", token="user:1-secret", jobs=None)  # noqa: S106
    assert config == Config(dest=Path("~/kling"), token="user:1-secret")  # noqa: S106
    assert config.settings.dest == Path.home() / "kling"
    assert "user:1-secret" not in repr(config)
    assert repr(config).startswith("Config(dest=")
    with pytest.raises(FrozenInstanceError):
        config.settings = Config().settings  # type: ignore[misc]


def test_a_config_alone_knows_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Config()` is what was written; `load` reads file and environment, and options beat both."""
    monkeypatch.setenv("KLING_MIRROR_JOBS", "3")
    assert Config().settings.jobs == BY_NAME["jobs"].default
    assert Config.load().settings.jobs == 3
    assert Config.load(environ={}).settings.jobs == BY_NAME["jobs"].default
    assert Config.load(jobs=4).settings.jobs == 4


def test_load_reads_a_file(tmp_path: Path) -> None:
    """A named file must be there; its token is used unless an option names another."""
    path = tmp_path / "my.toml"
    with pytest.raises(mirror.UsageError, match="no such config file"):
        Config.load(path)
    path.write_text('dest = "mirror"\ntoken = "user:1-file"\n')
    loaded = Config.load(str(path), environ={"KLING_MIRROR_PAGE_SIZE": "7"})
    assert loaded.settings.dest == tmp_path / "mirror"
    assert (loaded.settings.token, loaded.settings.page_size) == ("user:1-file", 7)
    with pytest.raises(mirror.UsageError, match="token file cannot be read"):
        sync(Config.load(path, token_file=tmp_path / "absent"))


def test_help_shows_the_settings() -> None:
    """`help(Config)` and Shift-Tab have each setting, with its meaning and its default."""
    signature = inspect.signature(Config)
    assert list(signature.parameters) == [setting.name for setting in SETTINGS]
    assert signature.parameters["jobs"].default == 8
    text = pydoc.render_doc(Config)
    for setting in SETTINGS:
        assert f"{setting.name}: {setting.help.replace('%%', '%')}" in text


def test_a_hint_travels_with_its_error() -> None:
    """A traceback in a notebook says what to do."""
    with pytest.raises(mirror.UsageError) as caught:
        sync(Config(dest="x"))
    assert caught.value.hint in "".join(traceback.format_exception(caught.value))


def test_a_loop_goes_on_meanwhile(service: KlingService, dest: Path) -> None:
    """`async_sync` blocks nobody; a cancellation stops the run before it is raised."""
    config = Config(dest=dest, api_url=service.api_url, token=service.token, min_free=0)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def go() -> Result:
        ticker = asyncio.create_task(tick())
        try:
            return await async_sync(config)
        finally:
            ticker.cancel()

    assert asyncio.run(go()).exit_code == 0
    assert ticks > 3

    async def cancelled() -> None:
        task = asyncio.create_task(async_sync(config))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert Mirror(dest).status().at_work is None

    asyncio.run(cancelled())


def test_a_bar_for_notebooks(
    service: KlingService, dest: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It counts what the run does, and keeps what failed."""
    with mirror.ProgressBar() as bar:
        config = Config(dest=dest, api_url=service.api_url, token=service.token, min_free=0)
        result = sync(config, progress=bar)
    assert (result.exit_code, bar.failures, bar.warnings) == (0, [], [])
    assert (
        f"{result.summary.files.fetched}/{result.summary.files.fetched}" in capfd.readouterr().err
    )


def test_every_public_name_is_there() -> None:
    """`from mirror import *` works, completion shows the names, and any other is an error."""
    for name in mirror.__all__:
        assert getattr(mirror, name) is not None
    assert set(mirror.__all__) == set(dir(mirror))
    with pytest.raises(AttributeError, match="no attribute 'snyc'"):
        mirror.snyc  # type: ignore[attr-defined]  # noqa: B018
    errors = {each.__name__ for each in MirrorError.__subclasses__()}
    assert errors <= set(mirror.__all__)


def _bodies(service: KlingService) -> list[bytes]:
    return [file.body for file in service.files.values()]


def _left_open() -> tuple[list[str], int]:
    """This process's threads and descriptors, once the service has seen its clients go."""
    for thread in threading.enumerate():
        if "process_request" in thread.name:
            thread.join(timeout=5)
    names = sorted(thread.name for thread in threading.enumerate())
    return names, len(list(Path("/proc/self/fd").iterdir()))
