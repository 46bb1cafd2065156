"""`init`: write the config and the token file, and prepare the mirror folder."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from mirror import config
from mirror.commands import terminal
from mirror.commands.flags import given
from mirror.commands.interview import interview
from mirror.commands.registry import Command
from mirror.errors import ExitCode, UsageError
from mirror.places import Place
from mirror.storage.durable import Disk, disk_error
from mirror.storage.known import KnownRoots
from mirror.storage.root import Root
from mirror.text import printable
from mirror.values import to_toml

_PRIVATE = 0o600


def _run(arguments: argparse.Namespace) -> int:
    config_path = Path(arguments.config) if arguments.config else config.default_path()
    if config_path.is_relative_to(config.NOWHERE):
        hint = "set HOME to one, or give --config FILE"
        raise UsageError("this user has no home folder to put the config into", hint=hint)
    config_path = config_path.absolute()
    state_folder = config.state_folder()
    flags, token = given(arguments), None
    if config_path.exists():
        text = begin_mirror(flags, config_path=config_path, state_folder=state_folder)
        sys.stderr.write(f"{printable(text.rstrip())}\n")
        return ExitCode.COMPLETE
    if terminal.is_there():
        try:
            answers = interview(flags, token_file=token_file_of(flags, config_path))
        except (EOFError, KeyboardInterrupt):
            sys.stderr.write("\nkling-mirror: stopped; nothing was written\n")
            return ExitCode.SIGINT
        flags, token = answers.settings, answers.token
        sys.stderr.write("\n")
    text = init(flags, token=token, config_path=config_path, state_folder=state_folder)
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    return ExitCode.COMPLETE


def begin_mirror(flags: Mapping[str, object], *, config_path: Path, state_folder: Path) -> str:
    """Prepare a mirror for a config that exists already: one that it names, or one that was lost.

    Args:
        flags: the settings that were given; `dest` names the mirror.
        config_path: the config that exists; it stays as it is.
        state_folder: where the roots of this user are remembered.

    Returns:
        What was done and what to do next, in words.

    Raises:
        UsageError: `dest` is no such mirror; an existing config is never overwritten.
        DiskError: it cannot be written.
    """
    dest = config.load(flags, environ={}, config_path=Path(os.devnull)).dest
    wanted = config.load({}, environ=os.environ, config_path=config_path).dest
    known = KnownRoots(state_folder)
    if dest is None or Root(dest.absolute()).storage.is_prepared:
        raise _second(config_path)
    if dest.absolute() not in known and (wanted is None or wanted.absolute() != dest.absolute()):
        raise _second(config_path)
    Root(dest.absolute()).prepare(known, again=True)
    done = f"Prepared {dest.absolute()}; {config_path} stays as it is."
    return f"{done} Next: `{_program(config_path)} sync`\n"


def token_file_of(flags: Mapping[str, object], config_path: Path) -> Path:
    """The file for the token: the one that was named, or `token` beside the config.

    Raises:
        UsageError: a flag's value is wrong.
    """
    settings = config.load(flags, environ={}, config_path=Path(os.devnull))
    return (settings.token_file or config_path.with_name("token")).absolute()


def init(
    flags: Mapping[str, object],
    *,
    token: str | None = None,
    config_path: Path,
    state_folder: Path,
) -> str:
    """Prepare the mirror folder, write the token, and write a commented config last of all.

    Args:
        flags: the settings to put into it.
        token: the text of the token file; None leaves the file as it is.
        config_path: the config to write; nothing is overwritten.
        state_folder: where the roots of this user are remembered.

    Returns:
        What was done and what to do next, in words.

    Raises:
        UsageError: a config exists, or a flag's value is wrong.
        DiskError: it cannot be written.
    """
    if config_path.exists():
        raise _second(config_path)
    settings = config.load(flags, environ={}, config_path=Path(os.devnull))
    chosen = {name: _as_toml(name, getattr(settings, name)) for name in flags}
    token_file = token_file_of(flags, config_path)
    chosen["token_file"] = _as_toml("token_file", token_file)
    try:
        if settings.dest is not None:
            Root(settings.dest.absolute()).prepare(KnownRoots(state_folder), again=True)
        disk = Disk()
        disk.make_folder(config_path.parent)
        if token is not None:
            disk.make_folder(token_file.parent)
            disk.write_atomic(token_file, f"{token}\n".encode(), mode=_PRIVATE)
        elif not token_file.exists() and settings.token_file is None:
            disk.write_atomic(token_file, b"", mode=_PRIVATE)
        disk.write_atomic(config_path, config.example(**chosen).encode(), mode=_PRIVATE)
    except OSError as error:
        raise disk_error(error, error.filename or config_path) from None
    return _next_steps(config_path, token_file, settings.dest)


def _second(config_path: Path) -> UsageError:
    return UsageError(
        "there is a config already",
        where=str(config_path),
        hint="edit it, or move it away and run init again",
    )


def _as_toml(name: str, value: object) -> str:
    """A value as TOML, its path absolute.

    Raises:
        UsageError: the value has bytes that are no Unicode.
    """
    text = to_toml(value.absolute() if isinstance(value, Path) else value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "the config cannot hold this value: it is not Unicode",
            where=f"--{name.replace('_', '-')}",
        ) from None
    return text


def _next_steps(config_path: Path, token_file: Path, dest: Place | None) -> str:
    steps = []
    if dest is None:
        steps.append(f"set `dest`, the mirror folder, in {config_path}")
    if not token_file.exists() or not token_file.stat().st_size:
        steps.append(f"put your useapi.net API token into {token_file}")
    program = _program(config_path)
    steps.append(f"run `{program} sync`")
    steps.append(f"run `{program} schedule` for a sync every night")
    listed = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))
    has_token = token_file.exists() and token_file.stat().st_size
    there = f" The token is in {token_file}." if has_token else ""
    return f"Wrote {config_path}.{there} Next:\n{listed}\n"


def _program(config_path: Path) -> str:
    """The command line's beginning, by which the program reads this config."""
    if config_path == config.default_path():
        return "kling-mirror"
    return f"kling-mirror --config {shlex.quote(str(config_path))}"


COMMAND = Command(
    _run,
    settings=("mirror", "api", "token", "scope"),
    more="\n\nOn a terminal it asks; without one it takes flags. It writes a commented config that "
    "you alone can read (0600), overwrites none, and prepares the mirror.",
)
