"""The command line: arguments in, exit codes out. Nothing else of ours calls `sys.exit` or prints.

Each command imports what it needs when it runs, so that `--help` and `status` start at once.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mirror import __version__
from mirror.errors import ExitCode, MirrorError, UsageError

if TYPE_CHECKING:
    from mirror.config import Setting, Settings
    from mirror.manifest import Manifest
    from mirror.report import Console
    from mirror.stopping import Stop
    from mirror.store import Store

_CPUS = os.cpu_count() or 1
_STOP_GRACE_S = 1.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_CODES = """\
exit codes:
  0    complete
  1    unexpected error; `status --max-age` or `verify` found the mirror wanting
  2    usage or config, no token
  3    some assets failed or could not be read, the rest is safe
  4    token, subscription or account refused
  5    the listing cannot be trusted, or too much vanished: nothing was marked gone
  6    the disk: full, below the reserve, read-only, no permission, not mounted
  7    the API could not be reached, kept failing, or answered what is no listing
  8    the manifest is newer than this program, or damaged: nothing was touched
  11   another run is at work on the same folder
  130  stopped by Ctrl-C (SIGINT)
  143  stopped by SIGTERM
"""
_TYPICAL = """\
typical use:
  kling-mirror demo                          try it, without token or network
  kling-mirror init --dest ~/kling-mirror    write a config
  kling-mirror sync                          mirror everything; put this into cron
  kling-mirror status                        is everything here?
  kling-mirror verify                        is every byte as it was?

"""


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
    arguments = _parser().parse_args(argv)
    arguments.verbosity = -1 if arguments.quiet else arguments.verbose
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
    except MirrorError as error:
        from mirror.report import complain  # noqa: PLC0415

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


# The parser.


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_shared(shared, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="kling-mirror",
        description="A complete, provable, crash-proof local copy of what you uploaded to Kling.",
        epilog=_TYPICAL + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--token X` must not mean `--token-file X`
    )
    parser.add_argument("--version", action="version", version=f"kling-mirror {__version__}")
    _add_shared(parser, None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, function: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            parents=[shared],
            epilog=_EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(command=function)
        return command

    _fill_sync(add("sync", _sync, "mirror everything that was uploaded; fetch only what changed"))
    demo = add("demo", _demo, "sync a small library from an embedded service: no token, no network")
    demo.add_argument(
        "--dest",
        type=Path,
        default=Path("kling-mirror-demo"),
        metavar="DIR",
        help="the demo's folder (default: %(default)s)",
    )
    init = add("init", _init, "write a commented config (0600) and prepare the mirror's folder")
    _add_settings(init, ("dest", "token_file", "email", "all_accounts", "api_url"))
    status = add("status", _status, "tell what is mirrored, what failed, what exists only here")
    _add_settings(status, ("dest",))
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.add_argument(
        "--max-age",
        type=_duration,
        metavar="AGE",
        help="exit 1 if the last complete run is older, such as 26h, 90m or 2d",
    )
    listing = add("list", _list, "list what is mirrored")
    _add_settings(listing, ("dest",))
    listing.add_argument("--json", action="store_true", help="print the entries as a JSON array")
    verify = add("verify", _verify, "re-hash every file against the manifest")
    _add_settings(verify, ("dest", "token_file", "api_url", "jobs", "limit_rate", "progress"))
    how = verify.add_mutually_exclusive_group()
    how.add_argument("--repair", action="store_true", help="fetch what is missing or damaged anew")
    how.add_argument(
        "--rebuild", action="store_true", help="make a lost or damaged manifest.json anew"
    )
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    prune = add("prune", _prune, "move what is gone from Kling, or superseded, to the trash")
    _add_settings(prune, ("dest",))
    prune.add_argument("--dry-run", action="store_true", help="only tell")
    prune.add_argument(
        "--empty-trash", action="store_true", help="delete what is in the trash for good"
    )
    prune.add_argument("--json", action="store_true", help="print one JSON object")
    gallery = add("gallery", _gallery, "write an offline page to look through the mirror")
    _add_settings(gallery, ("dest",))
    config = add("config", _config, "show the effective settings, each with where it came from")
    _add_settings(config, None)
    return parser


def _add_shared(parser: argparse.ArgumentParser, default: object) -> None:
    """The flags that stand before or after the command."""
    is_top = default is None
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="the config file (default: config.toml in the user's config folder)",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0 if is_top else default,
        help="name each file; -vv each request",
    )
    loudness.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=False if is_top else default,
        help="errors only",
    )


class _NoToken(argparse.Action):
    """Refuses a token among the arguments, without showing it once more."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "there is no --token: other users see arguments; use --token-file, the environment "
            "(KLING_MIRROR_TOKEN) or the config"
        )


def _fill_sync(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser, None)
    parser.add_argument("--token", action=_NoToken, help=argparse.SUPPRESS)
    parser.add_argument(
        "--dry-run", action="store_true", help="list and decide, write nothing, tell the plan"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_settings(parser: argparse.ArgumentParser, names: tuple[str, ...] | None) -> None:
    from mirror.config import SETTINGS, group_title  # noqa: PLC0415

    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in SETTINGS:
        if setting.flag is None or (names is not None and setting.name not in names):
            continue
        title = group_title(setting.group)
        group = groups.get(title) or parser.add_argument_group(title)
        groups[title] = group
        _add_setting(group, setting)


def _add_setting(group: "argparse._ArgumentGroup", setting: "Setting") -> None:
    flag = str(setting.flag)
    if not setting.metavar:
        group.add_argument(
            flag, dest=setting.name, action="store_const", const=True, help=setting.help
        )
    elif setting.is_list:
        group.add_argument(
            flag,
            dest=setting.name,
            action="append",
            metavar=setting.metavar,
            help=f"{setting.help} (repeatable)",
        )
    else:
        note = "" if setting.default is None else f" (default: {setting.shown_default})"
        group.add_argument(
            flag, dest=setting.name, metavar=setting.metavar, help=setting.help + note
        )


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError("expected a time such as 26h, 90m or 2d") from None
    return seconds


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
    from mirror.report import printable  # noqa: PLC0415

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
    from mirror.report import complain  # noqa: PLC0415
    from mirror.sync import sync  # noqa: PLC0415

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
    with contextlib.closing(console), _stoppable() as stop, store.locked():
        rebuilt = rebuild.rebuild(store, progress=console, stop=stop)
    _tell(rebuilt, rebuild.in_words(rebuilt), arguments)
    return ExitCode.COMPLETE


def _prune(arguments: argparse.Namespace) -> int:
    from mirror import prune  # noqa: PLC0415

    store = _store(arguments)
    with _stoppable() as stop, store.locked():
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
    from mirror.report import printable  # noqa: PLC0415

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
    from mirror.report import printable  # noqa: PLC0415

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


@contextlib.contextmanager
def _stoppable() -> Iterator["Stop"]:
    """A `Stop` that SIGINT and SIGTERM set.

    A name server or a network disk may hold a thread for longer than a stop may take. What is
    durable is safe at any instant: after a grace the process just ends, as it does on a second
    signal.
    """
    from mirror.stopping import Stop  # noqa: PLC0415

    stop = Stop()

    def on_signal(signum: int, _: FrameType | None) -> None:
        if stop.signum is not None:
            os._exit(128 + signum)
        stop.set(signum)
        grace = threading.Timer(_STOP_GRACE_S, os._exit, (128 + signum,))
        grace.daemon = True
        grace.start()

    before = {signum: signal.signal(signum, on_signal) for signum in _SIGNALS}
    try:
        yield stop
    finally:
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
