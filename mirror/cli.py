"""The command line: arguments in, exit codes out. Nothing else of ours calls `sys.exit` or prints.

Each command imports what it needs when it runs, so that `--help` and `status` start at once.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mirror.arguments import parse
from mirror.errors import ExitCode, MirrorError, UsageError

if TYPE_CHECKING:
    from mirror.config import Settings
    from mirror.manifest import Manifest
    from mirror.report import Console
    from mirror.stopping import Stop
    from mirror.store import Store

_CPUS = os.cpu_count() or 1
_STOP_GRACE_S = 1.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments without the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except MirrorError as error:
        from mirror.text import complain  # noqa: PLC0415

        complain(error, stream=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.SIGINT
    except BrokenPipeError:  # `kling-mirror list | head`
        _forget_stdout()
        return ExitCode.COMPLETE
    except OSError as error:  # of ours, all are translated: it is the output's
        _forget_stdout()
        sys.stderr.write(f"kling-mirror: the output could not be written: {error.strerror}\n")
        return ExitCode.UNEXPECTED
    return code


def _forget_stdout() -> None:
    """What is left in its buffer cannot be written when the process ends, either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# The commands.


def _settings(arguments: argparse.Namespace) -> "Settings":
    from mirror import config  # noqa: PLC0415

    flags = {setting.name: getattr(arguments, setting.name, None) for setting in config.SETTINGS}
    return config.load(flags, environ=os.environ, config_path=arguments.config)


def _store(arguments: argparse.Namespace) -> "Store":
    """The mirror that a command is about; it must be there."""
    from mirror.store import Store  # noqa: PLC0415

    settings = _settings(arguments)
    if settings.dest is None:
        raise UsageError("which mirror?", hint="give --dest DIR, or set `dest` in the config")
    store = Store(settings.dest.absolute(), min_free=settings.min_free)
    store.require_prepared()
    return store


def _manifest(store: "Store") -> "Manifest":
    from mirror.manifest import Manifest  # noqa: PLC0415

    manifest = Manifest(store.dest, store.journal)
    manifest.load()
    return manifest


def _console(settings: "Settings", arguments: argparse.Namespace) -> "Console":
    from mirror.report import Console  # noqa: PLC0415

    is_terminal = sys.stderr.isatty()
    return Console(
        bar=settings.progress == "always" or (settings.progress == "auto" and is_terminal),
        news_only=not is_terminal,
        verbosity=arguments.verbosity,
        tells_plan=getattr(arguments, "dry_run", False),
    )


def _tell(result: object, lines: Sequence[str], arguments: argparse.Namespace) -> None:
    """The result as JSON on stdout, or in words on stderr."""
    from mirror.models import to_json  # noqa: PLC0415
    from mirror.text import printable  # noqa: PLC0415

    if arguments.json:
        sys.stdout.write(to_json(result).decode() + "\n")
    elif arguments.verbosity >= 0:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))


def _sync(arguments: argparse.Namespace) -> int:
    from mirror import config  # noqa: PLC0415

    settings = _settings(arguments)
    if config.exposes_token(settings):
        sys.stderr.write(
            "kling-mirror: other users of this machine may read the token in the config\n"
            f"  {settings.config_path}\n  chmod 600 it\n"
        )
    return _run_sync(settings, config.read_token(settings, _output_of), arguments)


def _run_sync(settings: "Settings", token: str, arguments: argparse.Namespace) -> int:
    import platformdirs  # noqa: PLC0415

    from mirror.models import to_json  # noqa: PLC0415
    from mirror.sync import sync  # noqa: PLC0415
    from mirror.text import complain  # noqa: PLC0415

    console = _console(settings, arguments)
    try:
        with _stoppable() as stop:
            result = sync(
                settings,
                token,
                state_folder=platformdirs.user_state_path("kling-mirror"),
                progress=console,
                stop=stop,
                dry_run=arguments.dry_run,
            )
    finally:
        console.close()
    if not (arguments.json and arguments.verbosity < 1):
        console.summarize(result.summary, news=result.has_news, dry_run=arguments.dry_run)
    for error in result.errors:
        complain(error, stream=sys.stderr)
    if arguments.json:
        sys.stdout.write(to_json(result.summary).decode() + "\n")
    return result.summary.exit_code


def _demo(arguments: argparse.Namespace) -> int:
    from mirror import config, demo  # noqa: PLC0415
    from mirror.demo.tour import tour  # noqa: PLC0415
    from mirror.store import Store  # noqa: PLC0415

    dest = arguments.dest.absolute()
    with demo.demo_service() as service:
        settings = config.load(
            {"dest": str(dest), "api_url": service.api_url, "min_free": "0"},
            environ={},
            config_path=Path(os.devnull),
        )
        sys.stderr.write(f"A small Kling library is served at {service.api_url}; syncing it …\n")
        arguments.dry_run = arguments.json = False
        code = _run_sync(settings, demo.DEMO_TOKEN, arguments)
    if code == ExitCode.COMPLETE:
        sys.stderr.write(tour(dest, _manifest(Store(dest))))
    return code


def _verify(arguments: argparse.Namespace) -> int:
    from mirror import config, repair, verify  # noqa: PLC0415

    settings = _settings(arguments)
    store = _store(arguments)
    if arguments.rebuild:
        return _rebuild(settings, store, arguments)
    console = _console(settings, arguments)
    with contextlib.closing(console), _stoppable() as stop:
        if arguments.repair:
            token = config.read_token(settings, _output_of)
            with store.locked():
                findings = repair.check_and_repair(
                    settings, token, store, progress=console, stop=stop
                )
        else:
            findings = verify.check(
                store, _manifest(store), jobs=_CPUS, progress=console, stop=stop
            )
    _tell(findings, verify.in_words(findings), arguments)
    return ExitCode.COMPLETE if findings.is_sound else ExitCode.UNEXPECTED


def _rebuild(settings: "Settings", store: "Store", arguments: argparse.Namespace) -> int:
    from mirror import rebuild  # noqa: PLC0415

    console = _console(settings, arguments)
    with contextlib.closing(console), _stoppable() as stop, store.locked(), _writing(store):
        rebuilt = rebuild.rebuild(store, progress=console, stop=stop)
    _tell(rebuilt, rebuild.in_words(rebuilt), arguments)
    return ExitCode.COMPLETE


def _prune(arguments: argparse.Namespace) -> int:
    from mirror import prune  # noqa: PLC0415

    store = _store(arguments)
    with _stoppable() as stop, store.locked(), _writing(store):
        manifest = _manifest(store)
        with contextlib.closing(manifest):
            pruned = prune.prune(store, manifest, dry_run=arguments.dry_run, stop=stop)
        if arguments.empty_trash:
            prune.empty_trash(store, pruned, dry_run=arguments.dry_run)
    _tell(pruned, prune.in_words(pruned, dry_run=arguments.dry_run), arguments)
    return ExitCode.COMPLETE


def _gallery(arguments: argparse.Namespace) -> int:
    from mirror import gallery  # noqa: PLC0415

    store = _store(arguments)
    with store.locked():
        page = gallery.write(store, _manifest(store))
    if arguments.verbosity >= 0:
        sys.stderr.write(f"The gallery is written; open it in a browser:\n  {page.as_uri()}\n")
    return ExitCode.COMPLETE


def _init(arguments: argparse.Namespace) -> int:
    import platformdirs  # noqa: PLC0415

    from mirror import config, setup  # noqa: PLC0415

    flags = {setting.name: getattr(arguments, setting.name, None) for setting in config.SETTINGS}
    text = setup.init(
        {name: value for name, value in flags.items() if value is not None},
        config_path=(arguments.config or config.default_path()).absolute(),
        state_folder=platformdirs.user_state_path("kling-mirror"),
    )
    sys.stderr.write(text)
    return ExitCode.COMPLETE


def _status(arguments: argparse.Namespace) -> int:
    from mirror import overview  # noqa: PLC0415
    from mirror.models import to_json  # noqa: PLC0415
    from mirror.text import printable  # noqa: PLC0415

    store = _store(arguments)
    state = overview.status(store, _manifest(store))
    if arguments.json:
        sys.stdout.write(to_json(state).decode() + "\n")
    elif arguments.verbosity >= 0:
        text = overview.status_text(state)
        sys.stdout.write("\n".join(map(printable, text.split("\n"))) + "\n")
    age_s = overview.age_s(state)
    if arguments.max_age is not None and (age_s is None or age_s > arguments.max_age):
        sys.stderr.write(
            "kling-mirror: the last complete run is too old, or there was none\n"
            f"  {state.dest}\n  last complete: {state.last_complete or 'never'}\n"
        )
        return ExitCode.UNEXPECTED
    return ExitCode.COMPLETE


def _list(arguments: argparse.Namespace) -> int:
    from mirror import overview  # noqa: PLC0415
    from mirror.models import to_json  # noqa: PLC0415
    from mirror.text import printable  # noqa: PLC0415

    entries = list(_manifest(_store(arguments)).entries.values())
    if arguments.json:
        sys.stdout.write(to_json(entries).decode() + "\n")
    else:
        text = overview.entries_table(entries)
        sys.stdout.write("\n".join(map(printable, text.split("\n"))) + "\n")
    return ExitCode.COMPLETE


def _config(arguments: argparse.Namespace) -> int:
    from mirror import config  # noqa: PLC0415

    sys.stdout.write(config.explain(_settings(arguments)))
    return ExitCode.COMPLETE


# What the commands need of the process.


def _writing(store: "Store") -> contextlib.AbstractContextManager[None]:
    """Tells of the disk's refusals; an OSError that is left is the output's."""
    from mirror.durable import disk_errors  # noqa: PLC0415

    return disk_errors(store.dest)


@contextlib.contextmanager
def _stoppable() -> Iterator["Stop"]:
    """A `Stop` that SIGINT and SIGTERM set.

    A name server or a network disk may hold a thread for longer than a stop may take. What is
    durable is safe at any instant: after a grace the process just ends, as it does on a second
    signal.
    """
    from mirror.stopping import Stop  # noqa: PLC0415

    stop = Stop()
    graces: list[threading.Timer] = []

    def on_signal(signum: int, _: FrameType | None) -> None:
        if stop.signum is not None:
            os._exit(128 + signum)
        stop.set(signum)
        graces.append(threading.Timer(_STOP_GRACE_S, os._exit, (128 + signum,)))
        graces[-1].daemon = True
        graces[-1].start()

    before = {signum: signal.signal(signum, on_signal) for signum in _SIGNALS}
    try:
        yield stop
    finally:
        for grace in graces:
            grace.cancel()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _output_of(command: str) -> str:
    """What a command line of the user's own config prints."""
    import subprocess  # noqa: PLC0415

    done = subprocess.run(  # noqa: S602 - it is the user's own command line, pipes and all
        command, shell=True, check=False, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise UsageError(
            f"the token command failed with exit {done.returncode}",
            where="token_command",
            hint="run it by hand to see why",
        )
    return done.stdout.decode(errors="replace")


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "sync": _sync,
    "demo": _demo,
    "init": _init,
    "status": _status,
    "list": _list,
    "verify": _verify,
    "prune": _prune,
    "gallery": _gallery,
    "config": _config,
}
