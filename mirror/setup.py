"""`init`: the config, and a folder that is ready to be a mirror."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mirror import config
from mirror.durable import Disk, disk_error
from mirror.errors import UsageError
from mirror.manifest import Manifest
from mirror.store import KnownRoots, Store

_PRIVATE = 0o600


def init(flags: Mapping[str, object], *, config_path: Path, state_folder: Path) -> str:
    """Write a commented config and prepare the mirror's folder.

    Args:
        flags: the settings to put into it.
        config_path: where it goes; nothing is overwritten.
        state_folder: where the roots of this user are remembered.

    Returns:
        What was done and what to do next, for people.

    Raises:
        UsageError: there is a config already, or a flag's value is wrong.
        DiskError: it cannot be written.
    """
    settings = config.load(flags, environ={}, config_path=Path(os.devnull))
    if config_path.exists():
        raise UsageError(
            "there is a config already",
            where=str(config_path),
            hint="edit it, or move it away and run init again",
        )
    chosen = {name: json.dumps(_plain(getattr(settings, name))) for name in flags}
    token_file = settings.token_file or config_path.with_name("token")
    chosen["token_file"] = json.dumps(str(token_file.absolute()))
    try:
        disk = Disk()
        disk.make_folder(config_path.parent)
        text = config.example(**chosen)
        disk.write_atomic(config_path, text.encode(), mode=_PRIVATE)
        if not token_file.exists() and settings.token_file is None:
            disk.write_atomic(token_file, b"", mode=_PRIVATE)
        if settings.dest is not None:
            _prepare(settings.dest.absolute(), state_folder)
    except OSError as error:
        raise disk_error(error, error.filename or config_path) from None
    return _next_steps(config_path, token_file, settings.dest)


def _prepare(dest: Path, state_folder: Path) -> None:
    store = Store(dest)
    manifest = Manifest(dest, store.journal)
    store.prepare(KnownRoots(state_folder), begin=manifest.begin, again=True)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value.absolute())
    return list(value) if isinstance(value, tuple) else value


def _next_steps(config_path: Path, token_file: Path, dest: Path | None) -> str:
    steps = []
    if dest is None:
        steps.append(f"set `dest`, the mirror's folder, in {config_path}")
    if not token_file.exists() or not token_file.stat().st_size:
        steps.append(f"put your useapi.net API token into {token_file}")
    steps.append("run `kling-mirror sync`, and put the same line into cron")
    told = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))
    return f"Wrote {config_path}. Next:\n{told}\n"
