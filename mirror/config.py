"""The effective settings: flags beat environment, environment beats file, file beats defaults.

For each value its source is known.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mirror.errors import UsageError
from mirror.places import Place
from mirror.settings import BY_NAME, ENV_PREFIX, GROUPS, SETTINGS, Setting, Settings
from mirror.text import nearest
from mirror.values import short, to_toml

DEFAULT = "default"
"""The source of a value that nobody set."""

VARIABLES = (f"{ENV_PREFIX}CONFIG", f"{ENV_PREFIX}EXIT_CODE")
"""Variables that are no settings: the config file's, and what `on_finish` is given."""

_ARGUMENT = "argument"
_MOST_TEXT = 1_000_000
_NONE: Mapping[str, object] = {}


NOWHERE = Path(os.devnull, "kling-mirror")
"""The folder for a user without a home folder: it can be neither created nor read."""


def default_path() -> Path:
    """The config file that is read if none is named."""
    import platformdirs  # noqa: PLC0415 - most commands that start quickly do without

    return _in_home(platformdirs.user_config_path) / "config.toml"


def state_folder() -> Path:
    """The folder where the roots of this user are remembered."""
    import platformdirs  # noqa: PLC0415 - as above

    return _in_home(platformdirs.user_state_path)


def _in_home(find: Callable[[str], Path]) -> Path:
    try:
        return find("kling-mirror")
    except RuntimeError:  # no HOME, and a user of a number alone, as in containers
        return NOWHERE


def load(
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    config_path: Path | None = None,
    arguments: Mapping[str, object] = _NONE,
) -> Settings:
    """Read the effective settings.

    Args:
        flags: from the command line; None means that a flag was not given.
        environ: the environment of the process.
        config_path: `--config`; it must exist, the default file need not.
        arguments: from a Python caller, by name; they beat all others, and None means not given.

    Raises:
        UsageError: a file, key or value is wrong; says which, and what was expected.
    """
    named = config_path or _env_path(environ)
    path = named or default_path()
    table, lines = _read_toml(path, required=named is not None)
    _check_environ(environ)
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    sources = dict.fromkeys(values, DEFAULT)
    for name, value in (table or {}).items():
        where = f"{path}{_line_of(name, lines)}"
        setting = _known(name, where, is_section=f"[{name}" in lines)
        values[name] = _parsed(setting, value, f"{where}: {name}")
        if isinstance(values[name], Path):
            values[name] = path.absolute().parent / values[name]
        sources[name] = str(path)
    for setting in SETTINGS:
        if (text := environ.get(setting.env)) is not None and text.strip():
            values[setting.name] = _parsed(setting, text, setting.env)
            sources[setting.name] = setting.env
    for setting in SETTINGS:
        if (value := flags.get(setting.name)) is not None:
            values[setting.name] = _parsed(setting, value, str(setting.flag))
            sources[setting.name] = str(setting.flag)
    for name, value in arguments.items():
        setting = _known(name, _ARGUMENT)
        if value is not None:
            values[name] = _parsed(setting, value, name)
            sources[name] = _ARGUMENT
    return Settings(**values, sources=sources, config_path=path if table is not None else None)


def require_set_up(settings: Settings) -> None:
    """Require that anything is configured at all, for people who have just installed this.

    Raises:
        UsageError: nothing is; names the two commands to begin with.
    """
    named = (settings.dest, settings.token, settings.token_file, settings.token_command)
    if settings.config_path is None and not any(named):
        raise UsageError(
            "nothing is set up yet",
            where=f"no config at {default_path()}",
            hint="run `kling-mirror init`, then `kling-mirror sync`; "
            "`kling-mirror demo` shows it without a token",
        )


def require_dest(settings: Settings) -> Place:
    """Where the mirror is; a path is absolute.

    Raises:
        UsageError: none is set.
    """
    if settings.dest is None:
        raise UsageError(
            "no mirror folder is set",
            hint="give --dest DIR, or set `dest` in the config: `kling-mirror init` writes one",
        )
    return settings.dest.absolute()


def read_token(settings: Settings) -> str:
    """Read the API token: from flags, else from the environment, else from the config file.

    Within each of them `token` comes before `token_file`, and that before `token_command`.

    Args:
        settings: the effective ones.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    named = [
        name
        for name in ("token", "token_file", "token_command")
        if getattr(settings, name) is not None
    ]
    if not named:
        raise UsageError(
            "no API token",
            hint="put it into a file and give --token-file FILE, or run `kling-mirror init`; "
            f"{ENV_PREFIX}TOKEN works as well",
        )
    name = min(named, key=lambda name: _rank(settings.sources[name]))
    where = f"{settings.sources[name]}: {name}"
    if settings.token is not None and name == "token":
        text = settings.token
    elif settings.token_file is not None and name == "token_file":
        where = str(settings.token_file)
        try:
            text = _read_text(settings.token_file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            if ":" in settings.token_file.name:  # the token itself, put where its file belongs
                where = settings.sources[name]
            raise UsageError(f"the token file cannot be read: {reason}", where=where) from None
    else:
        text = _output_of(str(settings.token_command))
    token = text.strip()
    if not token:
        raise UsageError(
            "there is no API token in this place yet",
            where=where,
            hint="put the token of your useapi.net subscription there: user:<number>-<letters>",
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "this is not an API token: a token is one word",
            where=where,
            hint="useapi.net shows it as user:<number>-<letters and digits>",
        )
    return token


def with_token(settings: Settings) -> Settings:
    """Read the token into the settings, so that it is read only once.

    Raises:
        UsageError: as `read_token`.
    """
    sources = {**settings.sources, "token": _ARGUMENT}
    return msgspec.structs.replace(settings, token=read_token(settings), sources=sources)


def exposes_token(settings: Settings) -> bool:
    """Whether other users of this machine can read the token in the config file."""
    if settings.token is None or settings.config_path is None or os.name == "nt":
        return False
    if settings.sources["token"] != str(settings.config_path):
        return False
    return bool(settings.config_path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def example(**chosen: str) -> str:
    """Write the commented config file: every setting, its meaning and its default.

    Args:
        chosen: settings to set, as TOML values; the others stay comments.
    """
    lines = [
        "# Settings of kling-mirror. A line without # is in effect; a commented line shows the",
        "# default, or an example if there is no default. Flags beat environment variables",
        f"# ({ENV_PREFIX}DEST and so on), which beat this file. See `kling-mirror config`.",
    ]
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            lines += ["", f"# ── {GROUPS[group]} " + "─" * (70 - len(GROUPS[group]))]
        unset = setting.default is None or setting.default == ()
        note = " (example)" if unset else ""
        lines += ["", f"# {setting.help.replace('%%', '%')}{note}"]
        mark = "" if setting.name in chosen else "# "
        lines.append(f"{mark}{setting.name} = {chosen.get(setting.name, setting.example_toml)}")
    return "\n".join(lines) + "\n"


def explain(settings: Settings) -> str:
    """Write the effective settings as TOML, each with its source; secrets are masked."""
    lines = []
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        if setting.is_secret and value is not None:
            value = "(set, not shown)"
        source = settings.sources[setting.name]
        mark = "# " if value is None else ""
        lines.append((f"{mark}{setting.name} = {to_toml(value)}", source))
    width = max(len(line) for line, _ in lines)
    return "".join(f"{line.ljust(width)}  # {source}\n" for line, source in lines)


def _is_private(setting: Setting) -> bool:
    """Whether even a wrong value may be a secret, put in the wrong place."""
    return setting.is_secret or setting.group == "token"


def _parsed(setting: Setting, value: object, where: str) -> object:
    try:
        return setting.parse(value)
    except ValueError as error:
        shown = f", not {value!r}" if short(value) and not _is_private(setting) else ""
        raise UsageError(f"{error}{shown}", where=where) from None


def _known(name: str, where: str, *, is_section: bool = False) -> Setting:
    if name in BY_NAME:
        return BY_NAME[name]
    if is_section:
        what = f"the config has no sections, and here is [{name}]"
        hint = f"write its settings above the first line in brackets, without [{name}]"
        raise UsageError(what, where=where, hint=hint)
    near = nearest(name, BY_NAME)
    hint = f"did you mean {near!r}?" if near else "`kling-mirror config` lists all settings"
    raise UsageError(f"unknown setting {name!r}", where=where, hint=hint)


def _check_environ(environ: Mapping[str, str]) -> None:
    """See that each variable with our prefix means something: a misspelt one has no effect."""
    known = {*VARIABLES, *(setting.env for setting in SETTINGS)}
    for name in environ:
        if name.startswith(ENV_PREFIX) and name not in known:
            names = [it.removeprefix(ENV_PREFIX) for it in known]
            near = nearest(name.removeprefix(ENV_PREFIX), names)
            hint = f"did you mean {ENV_PREFIX}{near}?" if near else "unset it"
            raise UsageError(f"unknown variable {name}", where="the environment", hint=hint)


def _line_of(name: str, text: str) -> str:
    """Where a setting or a section begins, to follow the file's path."""
    begins = re.compile(rf"""[\s\["']*{re.escape(name)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if begins.match(line):
            return f", line {number}"
    return ""


def _read_text(path: Path) -> str:
    """All of a small file; a device such as /dev/zero has no end."""
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(_MOST_TEXT)
    if len(text) == _MOST_TEXT:
        raise ValueError("it is too long")
    return text


def _read_toml(path: Path, *, required: bool) -> tuple[dict[str, object] | None, str]:
    """The settings of a file, and its text; None and "" where there is no file."""
    try:
        text = _read_text(path)
        import tomllib  # noqa: PLC0415 - only where there is something to read

        return tomllib.loads(text), text
    except (FileNotFoundError, NotADirectoryError):
        if not required:
            return None, ""
        hint = "check its name; `kling-mirror init` with the same --config writes one"
        raise UsageError("no such config file", where=str(path), hint=hint) from None
    except OSError as error:
        what = f"the config file cannot be read: {error.strerror}"
        raise UsageError(what, where=str(path)) from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number's length
        what = str(error).partition("\n")[0]
        raise UsageError(f"the config file is not TOML: {what}", where=str(path)) from None


def _env_path(environ: Mapping[str, str]) -> Path | None:
    text = environ.get(f"{ENV_PREFIX}CONFIG", "").strip()
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError:
        what = "expected a path; there is no such user"
        raise UsageError(what, where=f"{ENV_PREFIX}CONFIG") from None


def _rank(source: str) -> int:
    if source == _ARGUMENT or source.startswith("--"):
        return 0
    return 1 if source.startswith(ENV_PREFIX) else 2


def _output_of(command: str) -> str:
    """Run the user's own command line, and return what it prints."""
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
