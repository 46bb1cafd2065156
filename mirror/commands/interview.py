"""The questions of `init`: which folder, which token, which accounts, which types.

Nothing is written before the last answer, so a person can leave at any time.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from mirror import config
from mirror.commands import terminal
from mirror.errors import AccessError, ApiError, MirrorError, UsageError
from mirror.net import statuses
from mirror.net.kling import KlingApi
from mirror.net.listing import DOCUMENTED_PAGE_SIZE, Shape
from mirror.places import BucketUrl, Place
from mirror.settings import BY_NAME, CONTENT_TYPES, Settings
from mirror.storage.root import Root
from mirror.text import counted

_DEFAULT_DEST = "~/kling-mirror"
_PATIENCE_S = 15.0
_SEVERAL = 2
_AROUND_A_TOKEN = re.compile(
    r"\x1b\[20[01]~|authorization:|bearer\s|\s|[\"'`\u2018-\u201f\u200b\ufeff]", re.IGNORECASE
)
"""Text that comes with a pasted token: the terminal's paste marks, the header, spaces, quotes."""
_TOKEN = re.compile(r"user:\d+-[!-~]+")
_NO_CONFIG = Path(os.devnull)


class Answers(Struct, frozen=True):
    """The answers.

    Attributes:
        settings: by name, as flags would give them.
        token: the API token to write; None if its file has it, or if the user adds it later.
    """

    settings: dict[str, object]
    token: str | None


class _Found(Struct, frozen=True):
    """The accounts and assets that a working token can read.

    Attributes:
        assets: how many the first page has; None if an account must be named first.
        accounts: their emails, as far as the service names them.
    """

    assets: int | None
    accounts: list[str]


def interview(flags: Mapping[str, object], *, token_file: Path) -> Answers:
    """Ask for every answer that the flags do not give.

    Args:
        flags: the settings that were given as such.
        token_file: the file for the token; it may exist already.

    Raises:
        UsageError: a flag's value is wrong or leads nowhere, or the token file holds no token.
        EOFError, KeyboardInterrupt, Interrupted: the person left.
    """
    settings = config.load(flags, environ={}, config_path=_NO_CONFIG)
    terminal.say(
        "This sets up kling-mirror. Press Enter to accept what is in brackets, Ctrl-C to leave; "
        "nothing is written before the last answer.\n"
    )
    answers = dict(flags)
    if settings.dest is None:
        answers["dest"] = _ask_dest()
    elif trouble := _trouble_with(settings.dest.absolute()):
        raise UsageError(trouble, where="--dest", hint="give another folder")
    token, found = _ask_token(settings, token_file)
    if found is not None and not (settings.email or settings.all_accounts):
        answers |= _ask_accounts(found.accounts)
    if not settings.content_type:
        answers |= _ask_types()
    if not settings.no_covers and not terminal.ask_yes_or_no(
        "Mirror the cover images, too", default=True
    ):
        answers["no_covers"] = True
    if not settings.gallery and terminal.ask_yes_or_no(
        "Keep a page to look through the mirror in a browser", default=False
    ):
        answers["gallery"] = True
    return Answers(answers, token)


def _ask_dest() -> str:
    while True:
        answer = terminal.ask("Which folder for the mirror", default=_DEFAULT_DEST)
        try:
            path: Place = BY_NAME["dest"].parse(answer).absolute()
        except ValueError as error:
            terminal.say(f"  {error}")
            continue
        trouble = _trouble_with(path)
        terminal.say(f"  {trouble or path}")
        if not trouble:
            return str(path)


def _trouble_with(dest: Place) -> str:
    """Say why a folder cannot be created or written there, or a bucket used; "" if it can."""
    if isinstance(dest, BucketUrl):
        try:
            _ = Root(dest).storage.is_prepared
        except MirrorError as error:
            return f"{dest}: {error.what}"
        return ""
    try:
        there = next(path for path in (dest, *dest.parents) if path.exists())
        if not there.is_dir():
            return f"{there} is a file, not a folder"
    except OSError as error:
        return f"{dest}: {error.strerror}"
    return "" if os.access(there, os.W_OK) else f"you may not write in {there}"


def _ask_token(settings: Settings, token_file: Path) -> tuple[str | None, _Found | None]:
    """Ask for the token, and try it; each of the two is None if it is not known."""
    if token_file.exists() and token_file.read_bytes().strip():
        at = config.load({"token_file": str(token_file)}, environ={}, config_path=_NO_CONFIG)
        terminal.say(f"There is a token in {token_file} already.")
        is_kept, found = _try(settings, config.read_token(at))
        if is_kept:
            return None, found
    while True:
        token = as_token(
            terminal.ask_secret(
                "The API token from useapi.net: user:<number>-<letters> (it is not shown)"
            )
        )
        if not token:
            if terminal.ask_yes_or_no(f"Put it into {token_file} yourself, later", default=False):
                return None, None
        elif not _TOKEN.fullmatch(token):
            terminal.say("  That is not an API token: one looks like user:1234-abcdefgh.")
        else:
            is_kept, found = _try(settings, token)
            if is_kept:
                return token, found


def as_token(pasted: str) -> str:
    """Extract the token from what a person pastes: a header, quotes, spaces, two lines."""
    return _AROUND_A_TOKEN.sub("", pasted)


def _try(settings: Settings, token: str) -> tuple[bool, _Found | None]:
    """Try the token: whether to keep it, and what it gives access to."""
    terminal.say("  Asking Kling for the first page …")
    try:
        found = _look(settings, token)
    except MirrorError as error:
        terminal.say(f"  {error.what[0].upper()}{error.what[1:]}.")
        if isinstance(error, AccessError) and error.status == statuses.UNAUTHORIZED:
            return False, None
        if error.hint:
            terminal.say(f"  {error.hint[0].upper()}{error.hint[1:]}.")
        return terminal.ask_yes_or_no("Keep this token anyway", default=False), None
    terminal.say(f"  The token works. {_in_words(found)}")
    return True, found


def _look(settings: Settings, token: str) -> _Found:
    """Ask for one page of the listing, and for the accounts if none is named.

    Raises:
        MirrorError: the token is refused, or the service does not answer.
    """
    account = settings.email[0] if settings.email else None
    with KlingApi(
        settings.api_url,
        token,
        max_attempts=1,
        max_wait_s=_PATIENCE_S,
        stall_timeout_s=_PATIENCE_S,
        max_answer_bytes=settings.max_answer_size,
    ) as api:
        assets, refusal = None, None
        try:
            page = api.page(1, Shape(DOCUMENTED_PAGE_SIZE), account=account, filters={})
            assets = len(page.assets) + len(page.unreadable)
        except ApiError as error:  # with several accounts, one must be named
            if error.status != statuses.BAD_REQUEST or account is not None:
                raise
            refusal = error
        accounts: list[str] = []
        if account is None:
            with contextlib.suppress(MirrorError):  # only the answer of the listing counts
                accounts = api.accounts()
        if refusal is not None and len(accounts) < _SEVERAL:
            raise refusal
        return _Found(assets, accounts)


def _in_words(found: _Found) -> str:
    if len(found.accounts) >= _SEVERAL:
        return f"It opens {len(found.accounts)} Kling accounts."
    if not found.assets:
        return "Kling lists no asset yet."
    more = " or more" if found.assets >= DOCUMENTED_PAGE_SIZE else ""
    return f"Kling lists {counted(found.assets, 'asset')}{more}."


def _ask_accounts(accounts: list[str]) -> dict[str, object]:
    """Ask which of several accounts to mirror; ask nothing if there is one."""
    if len(accounts) < _SEVERAL:
        return {}
    terminal.say("")
    terminal.say("\n".join(f"  {number}  {email}" for number, email in enumerate(accounts, 1)))
    while True:
        answer = terminal.ask("Which accounts: numbers, or all", default="all")
        if answer.lower() == "all":
            return {"all_accounts": True}
        numbers = re.split(r"[\s,]+", answer)
        if all(re.fullmatch(r"[0-9]{1,6}", number) for number in numbers):
            chosen = dict.fromkeys(map(int, numbers))
            if all(1 <= number <= len(accounts) for number in chosen):
                return {"email": [accounts[number - 1] for number in chosen]}
        terminal.say(f"  Enter numbers from 1 to {len(accounts)}, for example 1,2; or all.")


def _ask_types() -> dict[str, object]:
    while True:
        answer = terminal.ask(f"What to mirror: {', '.join(CONTENT_TYPES)}, or all", default="all")
        chosen = dict.fromkeys(
            word.removesuffix("s") for word in re.split(r"[\s,]+", answer.lower())
        )
        if [*chosen] == ["all"]:
            return {}
        if chosen.keys() <= set(CONTENT_TYPES):
            return {"content_type": [*chosen]}
        terminal.say(f"  Enter some of {', '.join(CONTENT_TYPES)}; or all.")
