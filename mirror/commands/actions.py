"""The commands: each reads its settings, has its job done, and tells the outcome.

Each imports what it needs when it runs, so that `--help` and `status` start at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.commands.process import is_root, program, stoppable
from mirror.errors import ExitCode, MirrorError, UsageError

if TYPE_CHECKING:
    from msgspec import Struct

    from mirror.jobs.result import Result
    from mirror.jobs.status import Status
    from mirror.report.console import Console
    from mirror.report.watchers import Report
    from mirror.settings import Settings
    from mirror.stopping import Stop
    from mirror.storage.local import Store
    from mirror.storage.manifest import Manifest

_CPUS = os.cpu_count() or 1
_LEFT_A_MIRROR = (
    ExitCode.COMPLETE,
    ExitCode.SOME_FAILED,
    ExitCode.ACCESS,
    ExitCode.LISTING,
    ExitCode.API,
)
"""How a run may end that could read its manifest and write to the disk."""


def _settings(arguments: argparse.Namespace) -> "Settings":
    from mirror import config  # noqa: PLC0415

    return config.load(_flags(arguments), environ=os.environ, config_path=arguments.config)


def _flags(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that were given as flags."""
    from mirror.settings import SETTINGS  # noqa: PLC0415

    given = {setting.name: getattr(arguments, setting.name, None) for setting in SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def _store(arguments: argparse.Namespace) -> "Store":
    """The mirror that a command is about; it must be there."""
    from mirror.storage.local import Store  # noqa: PLC0415

    settings = _settings(arguments)
    if settings.dest is None:
        raise UsageError(
            "which mirror?",
            hint="give --dest DIR, or set `dest` in the config: `kling-mirror init` writes one",
        )
    store = Store(settings.dest.absolute(), min_free=settings.min_free)
    store.require_prepared()
    return store


def _manifest(store: "Store") -> "Manifest":
    from mirror.storage.manifest import Manifest  # noqa: PLC0415

    manifest = Manifest(store.dest, store.journal)
    manifest.load()
    return manifest


def _console(settings: "Settings", arguments: argparse.Namespace) -> "Console":
    from mirror.report.console import Console  # noqa: PLC0415

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
    config.require_set_up(settings)
    if config.exposes_token(settings):
        sys.stderr.write(
            "kling-mirror: other users of this machine may read the token in the config\n"
            f"  {settings.config_path}\n  chmod 600 it\n"
        )
    return _run_sync(settings, arguments)


def _run_sync(settings: "Settings", arguments: argparse.Namespace) -> int:
    """One run, told to whoever is to hear of it, from before there is a token to the very end."""
    from mirror import config  # noqa: PLC0415
    from mirror.report.watchers import reporting  # noqa: PLC0415

    with (
        stoppable() as stop,
        reporting(
            settings,
            stop=stop,
            warn=_warn,
            with_requests=arguments.verbosity > 1,
            dry_run=arguments.dry_run,
        ) as report,
    ):
        try:
            settings = config.with_token(settings)
        except MirrorError:
            stop.check()  # the password manager was stopped, too
            raise
        report.hide(str(settings.token))
        result = _sync_and_tell(settings, arguments, stop=stop, report=report)
    if result.exit_code in _LEFT_A_MIRROR and not arguments.dry_run:
        _refresh_gallery(settings)
    return result.exit_code


def _sync_and_tell(
    settings: "Settings", arguments: argparse.Namespace, *, stop: "Stop", report: "Report"
) -> "Result":
    from mirror.jobs.public import Config, sync  # noqa: PLC0415
    from mirror.models import to_json  # noqa: PLC0415
    from mirror.text import complain  # noqa: PLC0415

    console = _console(settings, arguments)
    try:
        result = sync(
            Config.of(settings),
            progress=report.beside(console),
            stop=stop,
            dry_run=arguments.dry_run,
        )
    finally:
        console.close()
    report.finished(result)
    if not (arguments.json and arguments.verbosity < 1):
        console.summarize(result.summary, news=result.has_news, dry_run=arguments.dry_run)
    for error in result.errors:
        complain(error, stream=sys.stderr)
    if arguments.json:
        sys.stdout.write(to_json(result.summary).decode() + "\n")
        sys.stdout.flush()  # before anybody else is told
    return result


def _warn(text: str) -> None:
    """One line, while no bar is drawn."""
    from mirror.text import complain  # noqa: PLC0415

    complain(MirrorError(text), stream=sys.stderr)


def _refresh_gallery(settings: "Settings") -> None:
    """Write the page anew if it is wished for, and says something else.

    The exit code speaks of the mirror alone: of a page that could not be written one is told, and
    the next run tries again.
    """
    if not settings.gallery or settings.dest is None:
        return
    from mirror import gallery  # noqa: PLC0415
    from mirror.storage.local import Store  # noqa: PLC0415
    from mirror.text import complain  # noqa: PLC0415

    store = Store(settings.dest.absolute())
    try:
        with store.locked():
            gallery.write(store, _manifest(store))
    except MirrorError as error:
        what = f"the gallery was not written: {error.what}"
        complain(MirrorError(what, where=error.where, hint=error.hint), stream=sys.stderr)


def _demo(arguments: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from mirror import demo  # noqa: PLC0415
    from mirror.commands.tour import tour  # noqa: PLC0415
    from mirror.jobs.public import Config  # noqa: PLC0415
    from mirror.storage.local import Store  # noqa: PLC0415

    dest = arguments.dest.absolute()
    with demo.demo_service() as service:
        config = Config(dest=dest, api_url=service.api_url, token=demo.DEMO_TOKEN, min_free=0)
        settings = msgspec.structs.replace(config.settings, gallery=True)
        sys.stderr.write(f"A small Kling library is served at {service.api_url}; syncing it …\n")
        code = _run_sync(settings, arguments)
    if code == ExitCode.COMPLETE:
        sys.stderr.write(tour(dest, _manifest(Store(dest))))
    return code


def _import(arguments: argparse.Namespace) -> int:
    import platformdirs  # noqa: PLC0415

    from mirror import config  # noqa: PLC0415
    from mirror.jobs import adopt, adopted  # noqa: PLC0415
    from mirror.text import complain  # noqa: PLC0415

    settings = _settings(arguments)
    config.require_set_up(settings)
    token = config.read_token(settings)
    console = _console(settings, arguments)
    with contextlib.closing(console), stoppable() as stop:
        told, errors = adopt.adopt(
            settings,
            token,
            arguments.folder,
            state_folder=platformdirs.user_state_path("kling-mirror"),
            progress=console,
            stop=stop,
            dry_run=arguments.dry_run,
        )
    if not arguments.dry_run and told.adopted:
        _refresh_gallery(settings)
    if told.adopted or not errors or arguments.json:
        _tell(told, adopted.in_words(told), arguments)
    for error in errors:
        complain(error, stream=sys.stderr)
    return told.exit_code


def _verify(arguments: argparse.Namespace) -> int:
    from mirror import config  # noqa: PLC0415
    from mirror.jobs import repair, verify  # noqa: PLC0415

    settings = _settings(arguments)
    store = _store(arguments)
    if arguments.rebuild:
        return _rebuild(settings, store, arguments)
    console = _console(settings, arguments)
    with contextlib.closing(console), stoppable() as stop:
        if arguments.repair:
            token = config.read_token(settings)
            with store.locked():
                findings = repair.check_and_repair(
                    settings, token, store, progress=console, stop=stop
                )
            _refresh_gallery(settings)
        else:
            findings = verify.check(
                store, _manifest(store), jobs=_CPUS, progress=console, stop=stop
            )
    _tell(findings, verify.in_words(findings), arguments)
    return ExitCode.COMPLETE if findings.is_sound else ExitCode.UNEXPECTED


def _rebuild(settings: "Settings", store: "Store", arguments: argparse.Namespace) -> int:
    from mirror.jobs import rebuild  # noqa: PLC0415

    console = _console(settings, arguments)
    with contextlib.closing(console), stoppable() as stop, store.locked(), _writing(store):
        rebuilt = rebuild.rebuild(store, progress=console, stop=stop)
    _tell(rebuilt, rebuild.in_words(rebuilt), arguments)
    _refresh_gallery(settings)
    return ExitCode.COMPLETE


def _prune(arguments: argparse.Namespace) -> int:
    from mirror.jobs import prune  # noqa: PLC0415

    store = _store(arguments)
    with stoppable() as stop, store.locked(), _writing(store):
        manifest = _manifest(store)
        with contextlib.closing(manifest):
            pruned = prune.prune(store, manifest, dry_run=arguments.dry_run, stop=stop)
        if arguments.empty_trash:
            prune.empty_trash(store, pruned, dry_run=arguments.dry_run)
    _tell(pruned, prune.in_words(pruned, dry_run=arguments.dry_run), arguments)
    if not arguments.dry_run:
        _refresh_gallery(_settings(arguments))
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

    from mirror import config  # noqa: PLC0415
    from mirror.commands import setup, terminal  # noqa: PLC0415
    from mirror.text import printable  # noqa: PLC0415

    config_path = (arguments.config or config.default_path()).absolute()
    state_folder = platformdirs.user_state_path("kling-mirror")
    flags, token = _flags(arguments), None
    if config_path.exists():
        text = setup.begin_anew(flags, config_path=config_path, state_folder=state_folder)
        sys.stderr.write(f"{printable(text.rstrip())}\n")
        return ExitCode.COMPLETE
    if terminal.is_there():
        from mirror.commands.interview import interview  # noqa: PLC0415

        try:
            answers = interview(flags, token_file=setup.token_file_of(flags, config_path))
        except (EOFError, KeyboardInterrupt):
            sys.stderr.write("\nkling-mirror: left; nothing was written\n")
            return ExitCode.SIGINT
        flags, token = answers.settings, answers.token
        sys.stderr.write("\n")
    text = setup.init(
        flags,
        token=token,
        config_path=config_path,
        state_folder=state_folder,
    )
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    return ExitCode.COMPLETE


def _status(arguments: argparse.Namespace) -> int:
    from mirror.jobs import status as overview  # noqa: PLC0415
    from mirror.models import to_json  # noqa: PLC0415

    if arguments.schema:
        return _print_schema(overview.Status, command="status")
    settings = _settings(arguments)
    store = _store(arguments)
    state = overview.status(
        store, _manifest(store), wanted=settings.scope, reserve=settings.min_free
    )
    if arguments.json:
        sys.stdout.write(to_json(state).decode() + "\n")
    elif arguments.verbosity >= 0:
        _print_status(state, arguments)
    age_s = overview.age_s(state)
    if arguments.max_age is not None and (age_s is None or age_s > arguments.max_age):
        sys.stderr.write(
            "kling-mirror: the last complete run is too old, or there was none\n"
            f"  {state.dest}\n  last complete: {state.last_complete or 'never'}\n"
        )
        return ExitCode.UNEXPECTED
    return ExitCode.COMPLETE


def _print_status(state: "Status", arguments: argparse.Namespace) -> None:
    """In words; wrapped between words where a terminal would cut them."""
    import datetime as dt  # noqa: PLC0415

    from mirror.report.status_text import in_words  # noqa: PLC0415
    from mirror.text import printable, wrapped  # noqa: PLC0415

    lines = in_words(
        state,
        now=dt.datetime.now().astimezone(),
        max_age_s=arguments.max_age,
        all_failures=arguments.verbosity > 0,
    )
    columns = _columns()
    for line in map(printable, lines):
        sys.stdout.write((line if columns is None else wrapped(line, columns)) + "\n")


def _columns() -> int | None:
    """The width of the terminal that stdout is, or None where it is none."""
    import shutil  # noqa: PLC0415

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _print_schema(*structs: "type[Struct]", command: str, is_array: bool = False) -> int:
    import json  # noqa: PLC0415

    from mirror.report.schemas import schema_of  # noqa: PLC0415

    schema = schema_of(*structs, title=f"kling-mirror {command} --json", is_array=is_array)
    sys.stdout.write(json.dumps(schema, indent=2) + "\n")
    return ExitCode.COMPLETE


def _list(arguments: argparse.Namespace) -> int:
    from mirror.models import Entry, Scope, to_json  # noqa: PLC0415
    from mirror.report import table as inventory  # noqa: PLC0415

    if arguments.schema:
        structs = Entry, inventory.FailedAsset
        return _print_schema(*structs, command="list", is_array=True)
    settings = _settings(arguments)
    filters = {
        name: getattr(settings, name)
        for name in ("email", "content_type", "file_name")
        if getattr(arguments, name) is not None  # of flags alone: see `list --help`
    }
    asked = inventory.Asked(
        Scope(**filters),
        states=arguments.state or inventory.ENTRY_STATES,
        sort=arguments.sort,
        reverse=arguments.reverse,
    )
    items = inventory.listed(_manifest(_store(arguments)), asked)
    columns = _columns()
    if arguments.json:
        sys.stdout.write(to_json(items).decode() + "\n")
    elif columns is None:
        sys.stdout.write(inventory.as_tsv(items))
    else:
        sys.stdout.write(inventory.as_table(items, columns=columns, sort=arguments.sort))
    return ExitCode.COMPLETE


def _schedule(arguments: argparse.Namespace) -> int:
    import platformdirs  # noqa: PLC0415

    from mirror.commands import schedule  # noqa: PLC0415

    settings, flags = _settings(arguments), _flags(arguments)
    job = schedule.Job(
        at=arguments.at or schedule.some_night_time(),
        program=program(),
        options=schedule.options(settings, flags),
        home=Path.home(),
        is_root=is_root(),
        writes=schedule.written_folders(settings, platformdirs.user_state_path("kling-mirror")),
    )
    piece, advice = schedule.render(arguments.form, job)
    sys.stdout.write(piece)
    sys.stdout.flush()
    if arguments.verbosity >= 0:
        sys.stderr.write(f"\n{advice}")
        for missing in schedule.left_behind(settings):
            _warn(missing)
    return ExitCode.COMPLETE


def _config(arguments: argparse.Namespace) -> int:
    from mirror import config  # noqa: PLC0415

    sys.stdout.write(config.explain(_settings(arguments)))
    return ExitCode.COMPLETE


def _completion(arguments: argparse.Namespace) -> int:
    from mirror.commands import completion  # noqa: PLC0415

    sys.stdout.write(completion.script(arguments.shell))
    return ExitCode.COMPLETE


def _man(_: argparse.Namespace) -> int:
    from mirror.commands import man as manual  # noqa: PLC0415

    sys.stdout.write(manual.page())
    return ExitCode.COMPLETE


def _writing(store: "Store") -> contextlib.AbstractContextManager[None]:
    """Tells of the disk's refusals; an OSError that is left is the output's."""
    from mirror.storage.durable import disk_errors  # noqa: PLC0415

    return disk_errors(store.dest)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "sync": _sync,
    "import": _import,
    "demo": _demo,
    "init": _init,
    "status": _status,
    "list": _list,
    "verify": _verify,
    "prune": _prune,
    "gallery": _gallery,
    "schedule": _schedule,
    "config": _config,
    "completion": _completion,
    "man": _man,
}
