"""The first hour: `init` at a real terminal and without one, and `sync` before it."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mirror import config
from mirror.commands.interview import as_token
from mirror.demo.service import ACCOUNTS_PATH, ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import error, is_page
from tests.lib.library import ACCESS, OTHER, TOKEN, Library
from tests.lib.mirrored import check_output, manifest_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.terminal import CTRL_C, CTRL_D, Terminal

DEST, SECRET, ACCOUNTS = "Which folder", "The API token", "Which accounts"
TYPES, COVERS = "What to mirror", "cover images, too"
PAGE = "Keep a page"
CLOSED_API = "http://127.0.0.1:1/v1/kling"  # tcpmux: nothing listens there

Init = Callable[..., Terminal]


@pytest.fixture
def service(library: Library) -> Iterator[Misbehaving]:
    """The service over a small library, faults to be switched on."""
    for number in range(3):
        library.add(number, ("video", "image", "audio")[number])
    with library.service(Misbehaving) as running:
        yield running


@pytest.fixture
def init(environ: Mapping[str, str], tmp_path: Path, service: Misbehaving) -> Init:
    """Starts `kling-mirror init` at a terminal."""

    def start(*arguments: object, api_url: str = service.api_url) -> Terminal:
        command = [sys.executable, "-m", "mirror", "init", "--api-url", api_url, *arguments]
        return Terminal(command, env=environ, cwd=tmp_path)

    return start


@pytest.fixture
def folder(home: Path) -> Path:
    """Where the config goes."""
    return home / ".config/kling-mirror"


def _ended_well(terminal: Terminal) -> None:
    """See that it ended with exit 0, showed no token and left the terminal as it was."""
    assert terminal.end() == 0, terminal.seen
    _is_clean(terminal)
    assert "kling-mirror sync" in terminal.seen
    assert "kling-mirror schedule" in terminal.seen


def _is_clean(terminal: Terminal) -> None:
    assert "Traceback" not in terminal.seen
    assert TOKEN.partition(":")[2] not in terminal.seen
    assert terminal.modes_are_restored


def _chosen(folder: Path) -> dict[str, object]:
    """What the config sets, but for the API's address."""
    settings = config.load({}, environ={}, config_path=folder / "config.toml")
    return {
        name: getattr(settings, name)
        for name, source in settings.sources.items()
        if source != "default" and name != "api_url"
    }


# At a terminal.


def test_four_answers_make_a_mirror(
    init: Init, program: RunProgram, service: Misbehaving, home: Path, folder: Path
) -> None:
    """Folder, token, types, covers; then `sync` needs no flag, and does what was chosen."""
    with init() as terminal:
        terminal.answer(DEST, "")
        terminal.expect("kling-mirror")
        terminal.answer(SECRET, TOKEN)
        terminal.expect("The token works. Kling lists 3 assets.")
        terminal.answer(TYPES, "videos, image")
        terminal.answer(COVERS, "n")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
    assert len(service.asked(ASSETS_PATH)) == 1
    assert (folder / "token").read_text() == f"{TOKEN}\n"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert _chosen(folder) == {
        "dest": home / "kling-mirror",
        "token_file": folder / "token",
        "content_type": ("video", "image"),
        "no_covers": True,
    }
    done = program("sync")
    assert done.code == 0, done.err
    entries = manifest_of(home / "kling-mirror")["assets"].values()
    assert sorted((entry["contentType"], entry["cover"]) for entry in entries) == [
        ("image", None),
        ("video", None),
    ]


def test_enter_takes_what_is_in_brackets(init: Init, folder: Path, dest: Path) -> None:
    """A flag is not asked for; of the rest, Enter keeps everything."""
    with init("--dest", dest) as terminal:
        terminal.answer(SECRET, TOKEN)
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
        assert DEST not in terminal.seen
    assert _chosen(folder) == {"dest": dest, "token_file": folder / "token"}


def test_a_wrong_token_is_asked_for_again(init: Init, service: Misbehaving, dest: Path) -> None:
    """One request decides; the wrong token is not shown, and the right one is kept."""
    with init("--dest", dest) as terminal:
        terminal.answer(SECRET, "user:1-mistyped")
        terminal.expect("The token was refused")
        terminal.answer(SECRET, TOKEN)
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
        assert "mistyped" not in terminal.seen
    assert len(service.asked(ASSETS_PATH)) == 2


@pytest.mark.parametrize(
    "pasted",
    [
        f"Bearer {TOKEN}",
        f"Authorization: Bearer {TOKEN}",
        f' "{TOKEN}"\t',
        f"\u201c{TOKEN}\u201d",
        f"`{TOKEN}`\r\n",
        f"\ufeff{TOKEN}\u200b",
        f"\x1b[200~{TOKEN}\x1b[201~",
        f"{TOKEN[:7]}\n  {TOKEN[7:]}",
    ],
)
def test_what_comes_with_a_paste_is_taken_off(pasted: str) -> None:
    """The token alone is left."""
    assert as_token(pasted) == TOKEN


def test_a_paste_of_several_lines_is_one_token(init: Init, folder: Path, dest: Path) -> None:
    """No line of it is shown, or taken for the answer to another question."""
    with init("--dest", dest) as terminal:
        terminal.expect(SECRET)
        terminal.type(f"\n  Bearer {TOKEN[:7]}\n{TOKEN[7:]}\n\n")
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
    assert (folder / "token").read_text() == f"{TOKEN}\n"


def test_no_token_yet(init: Init, program: RunProgram, folder: Path, dest: Path) -> None:
    """Whoever has it elsewhere can put it into its file later; `sync` says the same."""
    with init("--dest", dest) as terminal:
        terminal.answer(SECRET, "")
        terminal.answer("yourself, later", "")
        terminal.answer(SECRET, "")
        terminal.answer("yourself, later", "y")
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
        assert f"put your useapi.net API token into {folder / 'token'}" in terminal.seen
    assert (folder / "token").read_text() == ""
    assert str(folder / "token") in program("sync").err


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ([""], {"all_accounts": True}),
        (["0", "3", "x", "2"], {"email": (OTHER,)}),
        (["2, 1"], {"email": (OTHER, "me@example.com")}),
    ],
    ids=["all", "one", "both"],
)
def test_several_accounts_are_offered(
    init: Init, library: Library, folder: Path, answers: list[str], chosen: dict[str, object]
) -> None:
    """Where the listing wants an account named, a person picks from those that there are."""
    library.add(7, email=OTHER)
    with init() as terminal:
        terminal.answer(DEST, "here")
        terminal.answer(SECRET, TOKEN)
        terminal.expect("opens 2 Kling accounts")
        for answer in answers:
            terminal.answer(ACCOUNTS, answer)
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
    found = _chosen(folder)
    assert {name: found[name] for name in found.keys() - {"dest", "token_file"}} == chosen


def test_accounts_that_cannot_be_asked_for_are_not_missed(
    init: Init, service: Misbehaving, dest: Path
) -> None:
    """The listing's own answer is what makes a token good."""
    service.fail(error(500), ACCOUNTS_PATH)
    with init("--dest", dest) as terminal:
        terminal.answer(SECRET, TOKEN)
        terminal.expect("The token works. Kling lists 3 assets.")
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)


def test_hostile_answers_are_harmless(init: Init, service: Misbehaving, dest: Path) -> None:
    """What the service says never reaches the terminal as a control sequence."""
    service.fail(error(402, "\x1b[2Jgone\x07"), ASSETS_PATH, when=is_page(1), times=1)
    with init("--dest", dest) as terminal:
        terminal.answer(SECRET, TOKEN)
        terminal.expect("subscription has expired")
        terminal.expect(r"\x1b[2J")
        terminal.answer("Keep this token", "n")
        terminal.expect(SECRET)
        assert "\x07" not in terminal.seen
        terminal.type(CTRL_C)
        assert terminal.end() == 130


def test_a_token_can_be_kept_unchecked(init: Init, folder: Path, dest: Path) -> None:
    """Without a network the rest can be set up all the same; it says what went wrong."""
    with init("--dest", dest, api_url=CLOSED_API) as terminal:
        terminal.answer(SECRET, TOKEN)
        terminal.expect("The API could not be reached")
        terminal.answer("Keep this token", "maybe")
        terminal.expect("y or n")
        terminal.answer("Keep this token", "y")
        terminal.answer(TYPES, "gif")
        terminal.answer(TYPES, "AUDIO")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
    assert (folder / "token").read_text() == f"{TOKEN}\n"
    assert _chosen(folder)["content_type"] == ("audio",)


def test_a_folder_that_cannot_be_is_asked_for_again(
    init: Init, folder: Path, tmp_path: Path
) -> None:
    """A file in the way is reported at once, not after all other questions."""
    (tmp_path / "file").touch()
    with init() as terminal:
        terminal.answer(DEST, "file/below")
        terminal.expect("is a file, not a folder")
        terminal.answer(DEST, "~nobody-of-this-name/x")
        terminal.expect("no such home folder")
        terminal.answer(DEST, "x" * 300)
        terminal.expect("too long")
        terminal.answer(DEST, "a\x1b[Db")
        terminal.expect("cannot be read")
        terminal.answer(DEST, "wo/ist's \u1f3ac")
        terminal.answer(SECRET, TOKEN)
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
    assert _chosen(folder)["dest"] == tmp_path / "wo/ist's \u1f3ac"
    assert (tmp_path / "wo/ist's \u1f3ac/manifest.json").exists()


def test_a_token_that_is_there_already_is_used(init: Init, folder: Path, dest: Path) -> None:
    """After an `init` for later, or with `--token-file`, nobody is asked for it again."""
    folder.mkdir(parents=True)
    (folder / "token").write_text(f"{TOKEN}\n")
    with init("--dest", dest) as terminal:
        terminal.expect("already")
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "")
        _ended_well(terminal)
        assert SECRET not in terminal.seen


@pytest.mark.parametrize(
    ("question", "key"),
    [(SECRET, CTRL_D), (COVERS, CTRL_D)]
    + [(question, CTRL_C) for question in (DEST, SECRET, ACCOUNTS, TYPES)],
)
def test_it_can_be_left_at_every_question(
    init: Init, library: Library, home: Path, question: str, key: str
) -> None:
    """Exit 130, a word, no traceback; no file or folder was made, and the terminal echoes."""
    library.add(7, email=OTHER)
    answers = {DEST: "", SECRET: TOKEN, ACCOUNTS: "", TYPES: "", COVERS: ""}
    with init() as terminal:
        for each, answer in answers.items():
            if each == question:
                break
            terminal.answer(each, answer)
        terminal.expect(question)
        terminal.type(key)
        assert terminal.end() == 130
        assert "nothing was written" in terminal.seen
        _is_clean(terminal)
    assert [*home.iterdir()] == []


def test_a_signal_leaves_the_terminal_as_it_was(init: Init, home: Path, dest: Path) -> None:
    """SIGTERM at the question for the token, which is not echoed, restores the echo."""
    with init("--dest", dest) as terminal:
        terminal.expect(SECRET)
        assert not terminal.modes_are_restored
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.end() == 143
        _is_clean(terminal)
    assert [*home.iterdir()] == []


def test_a_second_init_asks_nothing(init: Init, folder: Path) -> None:
    """A config that is there is never overwritten."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("jobs = 3\n")
    with init() as terminal:
        assert terminal.end() == 2
        assert "there is a config already" in terminal.seen
        assert DEST not in terminal.seen
    assert (folder / "config.toml").read_text() == "jobs = 3\n"


# Without one.


def test_without_a_terminal_flags_say_it_all(
    program: RunProgram, folder: Path, tmp_path: Path
) -> None:
    """Nothing is asked: what is not given is left to be set, and the next steps say so."""
    dest = tmp_path / "mirror \U0001f3ac \x7f"
    done = program("init", "--dest", dest, "--content-type", "video", "--no-covers")
    assert (done.code, done.out) == (0, "")
    for step in (f"put your useapi.net API token into {folder / 'token'}", "sync", "schedule"):
        assert step in done.err
    assert _chosen(folder) == {
        "dest": dest,
        "token_file": folder / "token",
        "content_type": ("video",),
        "no_covers": True,
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert json.loads((dest / "manifest.json").read_text())["assets"] == {}


def test_a_folder_that_no_config_can_hold(program: RunProgram, folder: Path) -> None:
    """A name that is no Unicode is a usage error, before anything is written."""
    done = program("init", "--dest", os.fsdecode(b"m\xff"))
    assert done.code == 2
    assert "--dest" in done.err
    assert "Traceback" not in done.err
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_leaves_no_config(
    program: RunProgram, folder: Path, tmp_path: Path
) -> None:
    """Exit 6; once it is repaired, the same `init` works."""
    (tmp_path / "file").touch()
    assert program("init", "--dest", tmp_path / "file/below").code == 6
    assert not (folder / "config.toml").exists()
    (tmp_path / "file").unlink()
    assert program("init", "--dest", tmp_path / "file/below").code == 0


def test_a_mirror_that_was_removed_on_purpose_can_begin_anew(
    program: RunProgram, service: Misbehaving, folder: Path, dest: Path
) -> None:
    """What `sync` says of a mirror that is missing works, though there is a config."""
    program("init", "--dest", dest, "--api-url", service.api_url)
    (folder / "token").write_text(TOKEN)
    text = (folder / "config.toml").read_text()
    assert program("sync").code == 0
    assert program("init", "--dest", dest).code == 2, "it is there"
    shutil.rmtree(dest)
    lost = program("sync")
    assert lost.code == 6
    assert f"`kling-mirror init --dest {dest}`" in lost.err
    assert program("init", "--dest", dest.parent / "other").code == 2, "it never was one"
    done = program("init", "--dest", dest)
    assert done.code == 0, done.err
    assert (folder / "config.toml").read_text() == text
    assert program("sync").code == 0
    assert len(manifest_of(dest)["assets"]) == 3


@pytest.mark.parametrize("given", ["a flag", "the environment", "the config"])
def test_only_init_may_create_a_mirror(
    program: RunProgram, service: Misbehaving, tmp_path: Path, given: str
) -> None:
    """With `no_create`, however it is set, an empty mount point stays empty; `init` fills it."""
    folder, dest = tmp_path / "etc", tmp_path / "volume"
    folder.mkdir()
    dest.mkdir()
    (folder / "token").write_text(TOKEN)
    setting = "no_create = true\n" if given == "the config" else ""
    (folder / "config.toml").write_text(
        f'dest = "{dest}"\napi_url = "{service.api_url}"\ntoken_file = "token"\n{setting}'
    )
    environ = {"KLING_MIRROR_CONFIG": str(folder / "config.toml")}
    if given == "the environment":
        environ["KLING_MIRROR_NO_CREATE"] = "1"
    flags = ("--no-create",) if given == "a flag" else ()
    for arguments in (("sync",), ("sync", "--dry-run"), ("sync", "--dest", dest / "below")):
        refused = program(*arguments, *flags, env=environ)
        assert refused.code == 6, refused.err
        assert "the mirror is missing: is its disk mounted?" in refused.err
        assert "`kling-mirror init --dest " in refused.err
    assert [*dest.iterdir()] == []
    assert program("import", folder, env={**environ, "KLING_MIRROR_NO_CREATE": "1"}).code == 6
    started = program("init", "--dest", dest, env=environ)
    assert started.code == 0, started.err
    done = program("sync", *flags, env=environ)
    assert done.code == 0, done.err
    assert len(manifest_of(dest)["assets"]) == 3


# Before it.


def test_sync_before_init_names_the_two_commands(program: RunProgram, home: Path) -> None:
    """Exit 2 in three lines: where a config was looked for, what to run, and what to try."""
    done = program("sync")
    check_output(done.out, done.err)
    assert done.code == 2
    for words in (
        "nothing is set up yet",
        str(home / ".config/kling-mirror/config.toml"),
        "`kling-mirror init`, then `kling-mirror sync`",
        "`kling-mirror demo`",
    ):
        assert words in done.err
    assert [*home.iterdir()] == []


def test_half_a_setup_names_the_other_half(program: RunProgram, dest: Path) -> None:
    """A folder without a token, a token without a folder, a config that is not there."""
    for arguments, env, what in (
        (["sync", "--dest", dest], {}, "no API token"),
        (["sync"], ACCESS, "no mirror folder is set"),
        (["status"], {}, "no mirror folder is set"),
        (["--config", dest, "sync"], {}, "no such config file"),
    ):
        done = program(*arguments, env=env)
        check_output(done.out, done.err)
        assert (done.code, done.out) == (2, "")
        assert f"kling-mirror: {what}\n" in done.err
        assert "kling-mirror init" in done.err


def test_the_next_steps_name_a_config_of_its_own(
    program: RunProgram, tmp_path: Path, dest: Path
) -> None:
    """What `init --config` prints can be typed as it is; it says where the token is."""
    chosen = tmp_path / "my configs" / "one.toml"
    done = program("--config", chosen, "init", "--dest", dest)
    assert done.code == 0, done.err
    assert f"kling-mirror --config '{chosen}' sync" in done.err
    assert f"put your useapi.net API token into {chosen.with_name('token')}" in done.err


def test_the_gallery_is_offered_and_the_token_is_tried_only_if_it_can_be_one(
    init: Init, service: Misbehaving, folder: Path
) -> None:
    """A password that is pasted by mistake is not sent anywhere."""
    with init("--dest", "here") as terminal:
        terminal.answer(SECRET, "my-mail-password")
        terminal.expect("That is not an API token")
        assert not service.requests
        terminal.answer(SECRET, TOKEN)
        terminal.answer(TYPES, "")
        terminal.answer(COVERS, "")
        terminal.answer(PAGE, "y")
        _ended_well(terminal)
    assert _chosen(folder)["gallery"] is True
    assert f"The token is in {folder / 'token'}." in terminal.seen
