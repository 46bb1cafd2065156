"""`man`: the manual page, made from the parser, the settings and the exit codes.

It is roff with the `man` macros, as groff and mandoc read them; man-pages(7) has the sections.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator

from mirror import __version__
from mirror.commands.parser import EXAMPLES, actions_of, full_parser
from mirror.commands.registry import COMMANDS, Command
from mirror.errors import ExitCode
from mirror.settings import BY_NAME, ENV_PREFIX, GROUPS, SETTINGS, Setting

_SUMMARY = "a provable, crash-proof copy of what you uploaded to Kling"
_DESCRIPTION = """\
kling-mirror makes a folder an exact copy of every video, image and sound that you uploaded to
Kling, through the API of useapi.net. A run is complete only once the listing is proven. A file gets
its name only when it is complete, checked and on the disk. Nothing is deleted automatically.

Messages go to stderr, data goes to stdout. Without a terminal, a run that changed nothing prints
nothing.
"""
_FILES = (
    (
        "~/.config/kling-mirror/config.toml",
        "The config that init writes. On macOS and Windows, init prints its path.",
    ),
    ("DEST/manifest.json", "What each file is, where it is from, and since when."),
    ("DEST/SHA256SUMS", "Checks every file without this program: sha256sum -c SHA256SUMS."),
    ("DEST/.kling-mirror/", "The journal, unfinished downloads, history and trash."),
)
_SHARED = ("help", "version", "config", "verbose", "quiet")
_LONGEST_LINE = 80


def _run(_: argparse.Namespace) -> int:
    sys.stdout.write(page())
    return ExitCode.COMPLETE


def page() -> str:
    """The whole page."""
    parser, commands = full_parser()
    lines = [
        f'.TH KLING\\-MIRROR 1 "" "kling\\-mirror {_text(__version__)}" "User Commands"',
        ".nh",
        ".ad l",
        *_section("NAME", f"kling\\-mirror \\- {_text(_SUMMARY)}"),
        *_section("SYNOPSIS", *_synopsis(parser)),
        *_section("DESCRIPTION", *_paragraphs(_DESCRIPTION)),
        *_section("COMMANDS", *_commands(commands)),
        *_section("OPTIONS", "Before or behind any command:", *_flags(parser)),
        *_section("SETTINGS", *_settings()),
        *_section("ENVIRONMENT", *_environment()),
        *_section("FILES", *(line for name, text in _FILES for line in _item(_bold(name), text))),
        *_section("EXIT STATUS", *_exit_status()),
        *_section("EXAMPLES", *_examples()),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, *lines: str) -> Iterator[str]:
    yield f'.SH "{title}"'
    yield from lines


def _synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    words = parser.format_usage().removeprefix("usage: ").split()
    yield f"{_bold(words[0])} {_text(' '.join(words[1:]))}"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield _prose(_text(" ".join(paragraph.split())))


def _commands(commands: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Each command with the flags that are its own, and the settings that are its flags too."""
    for name, row in COMMANDS.items():
        parser = commands[name]
        yield from _item(_bold(name), _sentence(row.text))
        settings = [action for action in actions_of(parser) if _is_setting(action)]
        if settings:
            named = ", ".join(_bold(action.option_strings[0]) for action in settings)
            takes_all = len(settings) == sum(setting.flag is not None for setting in SETTINGS)
            yield ".IP"
            yield "Takes every setting." if takes_all else _prose(f"Settings: {named}.")
        flags = list(_flags(parser, without=_SHARED))
        if flags:
            yield from (".RS", *flags, ".RE")


def _flags(parser: argparse.ArgumentParser, *, without: tuple[str, ...] = ()) -> Iterator[str]:
    """The arguments and flags that are no settings."""
    for action in actions_of(parser):
        is_shown = action.help != argparse.SUPPRESS and action.nargs != argparse.PARSER
        if is_shown and action.dest not in without and not _is_setting(action):
            yield from _item(_names_of(action), _help_of(action))


def _names_of(action: argparse.Action) -> str:
    value = _italic(action.metavar) if isinstance(action.metavar, str) else ""
    if not action.option_strings:
        return value or " | ".join(map(_bold, action.choices or ())) or _italic(action.dest)
    return " ".join((", ".join(map(_bold, action.option_strings)), value)).rstrip()


def _is_setting(action: argparse.Action) -> bool:
    """Whether a flag is a setting; a command may have a flag of its own by the same name."""
    is_shown = action.option_strings != [] and action.help != argparse.SUPPRESS
    return is_shown and action.dest in BY_NAME and action.type is None


def _help_of(action: argparse.Action) -> str:
    text = action.help or ""
    return _sentence(text.replace("%(default)s", str(action.default)).replace("%%", "%"))


def _settings() -> Iterator[str]:
    yield _prose(
        "Each is a flag of the commands that name it above, an environment variable, and a key of "
        "the config. Flags beat the environment, which beats the config."
    )
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            yield f'.SS "{_text(GROUPS[group])}"'
        yield from _item(_setting_names(setting), _setting_text(setting))


def _setting_names(setting: Setting) -> str:
    value = f" {_italic(setting.metavar)}" if setting.metavar else ""
    flag = f"{_bold(setting.flag)}{value}, " if setting.flag else ""
    return f"{flag}{_bold(setting.env)}, {_bold(setting.name)}"


def _setting_text(setting: Setting) -> str:
    note = " (repeatable)" if setting.is_list else ""
    if setting.metavar and setting.default not in (None, ()):
        note = f" (default: {setting.shown_default})"
    return _sentence(setting.help.replace("%%", "%") + note)


def _environment() -> Iterator[str]:
    yield from _item(_bold(f"{ENV_PREFIX}CONFIG"), "The config file, as --config.")
    yield from _item(
        _bold(f"{ENV_PREFIX}TOKEN"), "The API token; the other settings have theirs above."
    )
    yield from _item(
        ", ".join(map(_bold, ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"))),
        "The proxy, for the API and for files.",
    )


def _exit_status() -> Iterator[str]:
    for code in ExitCode:
        yield from _item(_bold(str(int(code))), _sentence(code.meaning))


def _examples() -> Iterator[str]:
    for command, meaning in EXAMPLES:
        yield from _item(_bold(command), _sentence(meaning))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


def _item(name: str, text: str) -> Iterator[str]:
    yield from (".TP", name, _prose(_text(text)))


def _prose(text: str) -> str:
    """Text in short lines, none of which roff takes for a macro."""
    lines = textwrap.wrap(
        text, _LONGEST_LINE - len(r"\&"), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)


def _bold(text: str) -> str:
    return rf"\fB{_text(text)}\fR"


def _italic(text: str) -> str:
    return rf"\fI{_text(text)}\fR"


def _text(text: str) -> str:
    """Literal text: escapes and hyphens are quoted for roff."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti")
    return escaped.replace("`", r"\(ga").replace('"', r"\(dq").replace("'", r"\(aq")


COMMAND = Command(_run)
