"""What a person gets wrong: the exit code of the contract, and a message that says what to do."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mirror.cli import main
from mirror.demo.server import HOST
from tests.conftest import Finished, RunProgram
from tests.lib.effects import HTML, error, replies
from tests.lib.library import ACCESS, EMAIL, OTHER, TOKEN, Library
from tests.lib.mirrored import check_output, check_records, snapshot
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync

CLOSED_PORT = 1  # tcpmux: nothing listens there


@pytest.fixture
def here(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunProgram:
    """Runs the command line in this process: for what ends before anything has started."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        with monkeypatch.context() as context:
            for name, value in {**environ, **(env or {})}.items():
                context.setenv(name, value)
            try:
                code: object = main([*map(str, arguments)])
            except SystemExit as ended:
                code = ended.code
        shown = capsys.readouterr()
        assert isinstance(code, int)
        return Finished(code, shown.out, shown.err)

    return run


@pytest.fixture
def sync_here(here: RunProgram, service: Misbehaving, dest: Path) -> RunProgram:
    """`sync` against the service, in this process."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        return here(
            "sync", "--dest", dest, "--api-url", service.api_url, *arguments,
            env={**ACCESS, **(env or {})},
        )  # fmt: skip

    return run


def _refused(done: Finished, code: int, *words: str) -> None:
    """See that a run ended so, and that stderr says so in at most three lines."""
    assert done.code == code, done.err
    check_output(done.out, done.err)
    assert done.err.startswith("kling-mirror: ")
    assert len(done.err.splitlines()) <= 3, done.err
    for word in words:
        assert word in done.err, done.err


# The token.


def test_no_token(program: RunProgram, service: Misbehaving, dest: Path) -> None:
    """Exit 2, three ways to give one are named, and neither network nor disk is touched."""
    done = program("sync", "--dest", dest, "--api-url", service.api_url)
    _refused(done, 2, "no API token", "--token-file", "init", "KLING_MIRROR_TOKEN")
    assert service.requests == []
    assert not dest.exists()


def test_a_wrong_token(sync_here: RunProgram, service: Misbehaving) -> None:
    """401 is exit 4, at the first request, and the wrong token is not shown either."""
    wrong = "user:1-" + "wrong"
    done = sync_here(env={"KLING_MIRROR_TOKEN": wrong})
    _refused(done, 4, "token was refused", "init")
    assert wrong not in done.out + done.err
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "text",
    ["", " \n", "two words", f"Bearer {TOKEN}", "user:1-t\x00est", "usér:1-test", "a\nb"],
    ids=["empty", "blank", "words", "bearer", "nul", "accent", "lines"],
)
def test_a_token_file_without_a_token(
    here: RunProgram, dest: Path, tmp_path: Path, text: str
) -> None:
    """Exit 2 that names the file; what is in it is not shown."""
    path = tmp_path / "token"
    path.write_text(text)
    done = here("sync", "--dest", dest, "--token-file", path)
    _refused(done, 2, str(path), "user:<number>")
    assert not text.strip() or text.strip() not in done.err
    assert not dest.exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_token_file_that_cannot_be_read(
    here: RunProgram, dest: Path, tmp_path: Path, kind: str
) -> None:
    """Exit 2 that names the file and says why."""
    path = tmp_path / "token"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\xff")
    _refused(here("sync", "--dest", dest, "--token-file", path), 2, str(path), "cannot be read")


@pytest.mark.parametrize("text", [TOKEN, f"\n {TOKEN} \r\n\n", f"\ufeff{TOKEN}\n"])
def test_a_token_file_may_have_white_space(
    here: RunProgram, service: Misbehaving, dest: Path, tmp_path: Path, text: str
) -> None:
    """Line ends, blanks and a byte order mark around the token are no part of it."""
    path = tmp_path / "token"
    path.write_bytes(text.encode())
    done = here("sync", "--dest", dest, "--api-url", service.api_url, "--token-file", path)
    assert (done.code, service.requests[0].headers["authorization"]) == (0, f"Bearer {TOKEN}")


@pytest.mark.parametrize("command", ["exit 3", "true", "no-such-command-here", "echo two words"])
def test_a_token_command_that_fails(
    here: RunProgram, dest: Path, tmp_path: Path, command: str
) -> None:
    """Exit 2 that names `token_command`."""
    config = tmp_path / "config.toml"
    config.write_text(f'token_command = "{command}"\n')
    done = here("--config", config, "sync", "--dest", dest)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert "token_command" in done.err
    assert not dest.exists()


def test_a_token_command_gives_the_token(
    here: RunProgram, service: Misbehaving, dest: Path, tmp_path: Path
) -> None:
    """What it prints is the token; it is run by a shell."""
    config = tmp_path / "config.toml"
    config.write_text(f"token_command = \"printf '%s' {TOKEN} | cat\"\n")
    done = here("--config", config, "sync", "--dest", dest, "--api-url", service.api_url)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("arguments", [("--token", TOKEN), (f"--token={TOKEN}",)])
def test_there_is_no_token_flag(here: RunProgram, dest: Path, arguments: tuple[str, ...]) -> None:
    """`--token` is refused, also as a short form of `--token-file`, and the token is not shown."""
    done = here("sync", "--dest", dest, *arguments)
    assert done.code == 2
    assert TOKEN not in done.out + done.err
    assert "--token-file" in done.err
    assert not dest.exists()


# Accounts and subscription.


@pytest.mark.parametrize(
    ("status", "words"),
    [(402, ("subscription", "expired", "renew")), (596, ("session", "delete the account"))],
)
def test_a_subscription_that_is_refused(
    sync_here: RunProgram, service: Misbehaving, status: int, words: tuple[str, ...]
) -> None:
    """402 and 596 are exit 4 at once, and say what to do."""
    service.fail(error(status, "Refused"))
    _refused(sync_here(), 4, *words)
    assert len(service.requests) == 1


def test_an_unknown_account(sync_here: RunProgram) -> None:
    """404 is exit 4 that names the account."""
    _refused(sync_here("--email", "nobody@example.com"), 4, "nobody@example.com", "--email")


def test_several_accounts_and_no_email(
    sync_here: RunProgram, library: Library, service: Misbehaving
) -> None:
    """Exit 2 that names the accounts, and the two flags that help."""
    library.add(1)
    library.add(2, email=OTHER)
    _refused(sync_here(), 2, EMAIL, OTHER, "--email", "--all-accounts")
    assert service.cdn_requests() == []


def test_no_account_at_all(sync_here: RunProgram, library: Library) -> None:
    """A subscription without a Kling account is exit 4."""
    library.accounts.clear()
    _refused(sync_here(), 4, "not configured", "useapi.net")
    _refused(sync_here("--all-accounts"), 4, "useapi.net")


# The config.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("page_sise = 50", ("'page_sise'", "'page_size'")),
        ('e-mail = ["me@example.com"]', ("'e-mail'", "'email'")),
        ("[sync]\njobs = 2", ("[sync]",)),
        ("dest = [", ("not TOML",)),
        ("dest = unquoted", ("not TOML", "line 1")),
        ("page_size = 0", ("page_size", "1 to 1000", "0")),
        ("page_size = true", ("page_size", "whole number")),
        ("jobs = 65", ("jobs", "1 to 64")),
        ("jobs = 1.5", ("jobs", "whole number")),
        ("no_covers = 2", ("no_covers", "true or false")),
        ("max_wait = -1", ("max_wait", "above 0")),
        ("stall_timeout = nan", ("stall_timeout", "above 0")),
        ("dest = 5", ("dest", "text")),
        ('dest = " "', ("dest", "empty")),
        ('email = "a@example.com,b@example.com"\njobs = "many"', ("jobs",)),
        ('content_type = ["gif"]', ("content_type", "video, image or audio")),
        ('api_url = "api.useapi.net"', ("api_url", "https://")),
        ('limit_rate = "fast"', ("limit_rate", "5M")),
        ('max_gone = "a few"', ("max_gone", "10%")),
        ('progress = "maybe"', ("progress", "always")),
        ("token = 5", ("token", "text")),
    ],
)
def test_a_config_that_is_wrong(
    here: RunProgram, dest: Path, tmp_path: Path, line: str, words: tuple[str, ...]
) -> None:
    """Exit 2 that names file, key and what was expected; a misspelt key's nearest neighbour."""
    config = tmp_path / "config.toml"
    config.write_text(line + "\n")
    done = here("--config", config, "sync", "--dest", dest, env=ACCESS)
    _refused(done, 2, str(config), *words)
    assert not dest.exists()


def test_a_config_that_is_missing(here: RunProgram, tmp_path: Path) -> None:
    """A named config must be there: exit 2; the default one need not be."""
    path = tmp_path / "nowhere.toml"
    _refused(here("--config", path, "sync"), 2, str(path))
    _refused(here("sync", env={"KLING_MIRROR_CONFIG": str(path)}), 2, str(path))
    _refused(here("--config", tmp_path, "sync"), 2, str(tmp_path))


def test_a_config_that_others_may_read(
    program: RunProgram, service: Misbehaving, dest: Path, tmp_path: Path
) -> None:
    """A token in a config that is open to all is used, with a warning; not in a private one."""
    config = tmp_path / "config.toml"
    config.write_text(f'token = "{TOKEN}"\n')
    arguments = ("--config", config, "sync", "--dest", dest, "--api-url", service.api_url)
    config.chmod(0o644)
    done = program(*arguments)
    assert done.code == 0
    assert "chmod 600" in done.err
    check_output(done.out, done.err)
    config.chmod(0o600)
    assert program(*arguments).err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--page-size", "0"), ("--page-size", "1 to 1000", "0")),
        (("--page-size", "1001"), ("--page-size", "1001")),
        (("--page-size", "ten"), ("--page-size", "ten")),
        (("--jobs", "0"), ("--jobs", "1 to 64")),
        (("--limit-rate", "-1"), ("--limit-rate",)),
        (("--max-attempts", "0"), ("--max-attempts",)),
        (("--max-wait", "0"), ("--max-wait",)),
        (("--max-wait", "soon"), ("--max-wait", "seconds")),
        (("--stall-timeout", "inf"), ("--stall-timeout",)),
        (("--max-gone", "-1"), ("--max-gone",)),
        (("--min-free", "much"), ("--min-free", "500K")),
        (("--content-type", "gif"), ("--content-type", "gif")),
        (("--api-url", "ftp://example.com/v1"), ("--api-url", "https://")),
        (("--dest", ""), ("--dest", "empty")),
        (("--file-name", " "), ("--file-name",)),
    ],
)
def test_a_flag_that_is_wrong(
    sync_here: RunProgram,
    service: Misbehaving,
    dest: Path,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    """Exit 2 that names the flag and what was expected; nothing is asked, nothing written."""
    done = sync_here(*arguments)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
    assert service.requests == []
    assert not dest.exists()


@pytest.mark.parametrize(("name", "value"), [("PAGE_SIZE", "0"), ("NO_COVERS", "perhaps")])
def test_an_environment_variable_that_is_wrong(
    sync_here: RunProgram, name: str, value: str
) -> None:
    """Exit 2 that names the variable."""
    _refused(sync_here(env={f"KLING_MIRROR_{name}": value}), 2, f"KLING_MIRROR_{name}", value)


def test_no_destination(program: RunProgram, service: Misbehaving, tmp_path: Path) -> None:
    """Exit 2, and the current folder is not taken for one."""
    done = program("sync", "--api-url", service.api_url, env=ACCESS)
    _refused(done, 2, "--dest", "dest")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert service.requests == []


@pytest.mark.parametrize("command", ["status", "list"])
def test_a_folder_that_is_no_mirror(here: RunProgram, tmp_path: Path, command: str) -> None:
    """Exit 2 that says where a mirror comes from; the folder is left as it is."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    _refused(here(command, "--dest", folder), 2, str(folder), "kling-mirror sync")
    assert list(folder.iterdir()) == []


# The destination.


@pytest.mark.parametrize("below", [".", "below", "far/below"])
def test_a_file_where_the_destination_should_be(
    sync_here: RunProgram, service: Misbehaving, tmp_path: Path, below: str
) -> None:
    """Exit 6 that names it, before anything is asked for; the file is left as it is."""
    file = tmp_path / "file"
    file.write_text("mine")
    _refused(sync_here("--dest", file / below), 6, str(file), "in the way")
    assert file.read_text() == "mine"
    assert service.cdn_requests() == []


@pytest.mark.parametrize("name", [".kling-mirror", ".kling-mirror/partial"])
def test_a_file_where_our_own_folder_should_be(
    sync_here: RunProgram, dest: Path, name: str
) -> None:
    """Exit 6, and the file is left as it is."""
    (dest / name).parent.mkdir(parents=True)
    (dest / name).write_text("mine")
    _refused(sync_here(), 6, "in the way")
    assert (dest / name).read_text() == "mine"


def test_a_file_where_a_type_folder_should_be(
    sync_here: RunProgram, library: Library, dest: Path
) -> None:
    """Exit 3, the file is left as it is, and the run after it is moved away completes."""
    library.add(1, "image")
    library.add(2, "audio")
    assert sync_here("--content-type", "audio").code == 0
    (dest / "image").write_text("mine")
    _refused(sync_here(), 3, "in the way", str(dest / "image"))
    assert (dest / "image").read_text() == "mine"
    (dest / "image").unlink()
    assert sync_here().code == 0
    check_records(dest)


def test_a_destination_that_cannot_be_made(sync_here: RunProgram) -> None:
    """Exit 6 where the system refuses the folder: /proc takes none, not even from root."""
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    _refused(sync_here("--dest", "/proc/mirror"), 6, "/proc/mirror")


def test_a_destination_without_permission(sync_here: RunProgram, tmp_path: Path) -> None:
    """Exit 6 that says so, where permissions bind."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    _refused(sync_here("--dest", locked / "mirror"), 6, "no permission", str(locked))


def test_a_destination_that_is_missing_is_made(
    sync_here: RunProgram, library: Library, tmp_path: Path
) -> None:
    """An unknown folder is created, its parents too."""
    library.add(1, "image")
    dest = tmp_path / "far" / "away" / "mirror"
    assert sync_here("--dest", dest).code == 0
    check_records(dest)


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["sync", "dry-run"])
def test_a_volume_that_is_not_mounted(
    sync_here: RunProgram,
    service: Misbehaving,
    library: Library,
    dest: Path,
    arguments: tuple[str, ...],
) -> None:
    """A mirror that was here and is not: exit 6, and nothing is written to the mount point."""
    library.add(1, "image")
    assert sync_here().code == 0
    away = dest.with_name("away")
    dest.rename(away)
    service.forget()
    for is_there in (False, True):
        if is_there:
            dest.mkdir()
        _refused(sync_here(*arguments), 6, "mounted", str(dest))
        assert dest.exists() == is_there
        assert not is_there or list(dest.iterdir()) == []
    assert service.requests == []
    dest.rmdir()
    away.rename(dest)
    assert sync_here().code == 0


# The API.


def test_an_api_that_cannot_be_reached(sync_here: RunProgram, library: Library, dest: Path) -> None:
    """Exit 7 that names host and port; what is mirrored is untouched."""
    library.add(1, "image")
    assert sync_here().code == 0
    before = snapshot(dest)
    url = f"http://{HOST}:{CLOSED_PORT}/v1/kling"
    done = sync_here("--api-url", url, "--max-attempts", "2")
    _refused(done, 7, f"{HOST}:{CLOSED_PORT}", "--api-url")
    assert snapshot(dest) == before


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid/v1", "http://[::1", "http://127.0.0.1:99999/v1"]
)
def test_an_api_url_that_leads_nowhere(sync_here: RunProgram, url: str) -> None:
    """Exit 7, or 2 where the URL itself cannot be right, and a message."""
    done = sync_here("--api-url", url, "--max-attempts", "1")
    assert done.code in {2, 7}
    check_output(done.out, done.err)
    assert done.err.startswith("kling-mirror: ")


def test_an_api_url_that_is_a_web_site(sync_here: RunProgram, service: Misbehaving) -> None:
    """Exit 7 that says what came instead, and doubts the URL."""
    service.fail(replies(200, HTML, Content_Type="text/html"))
    _refused(sync_here("--max-attempts", "1"), 7, "a web page", "--api-url")


def test_an_api_url_with_a_slash_is_the_same(
    sync_here: RunProgram, service: Misbehaving, library: Library
) -> None:
    """A slash at its end is no other URL."""
    library.add(1, "image")
    assert sync_here("--api-url", f"{service.api_url}/").code == 0
    assert {request.path for request in service.api_requests()} == {"/v1/kling/assets/uploaded/"}


# The command line itself.


@pytest.mark.parametrize(
    "arguments", [(), ("sink",), ("sync", "--frobnicate"), ("-q", "-v", "sync")]
)
def test_arguments_that_make_no_sense(here: RunProgram, arguments: tuple[str, ...]) -> None:
    """Exit 2 with a line of usage."""
    done = here(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "usage: kling-mirror" in done.err


def test_a_home_that_cannot_be_written_is_no_hindrance(
    sync_here: RunProgram, library: Library, home: Path, dest: Path
) -> None:
    """A state folder that cannot be made costs only the memory of roots."""
    library.add(1, "image")
    (home / ".local").write_text("in the way")
    assert sync_here().code == 0
    assert sync_here().code == 0
    check_records(dest)


def test_dest_with_a_home_sign(sync_here: RunProgram, library: Library, home: Path) -> None:
    """`~` in a setting is the user's home."""
    library.add(1, "image")
    assert sync_here("--dest", "~/my mirror").code == 0
    check_records(home / "my mirror")


def test_a_run_in_this_process_meets_the_same_errors(service: Misbehaving, tmp_path: Path) -> None:
    """`sync` itself returns errors, it does not raise them."""
    (tmp_path / "file").write_text("mine")
    result = run_sync(service, tmp_path / "file")
    assert result.summary.exit_code == 6
    assert [error.exit_code for error in result.errors] == [6]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("snyc",), "did you mean sync?"),
        (("wibble",), "lists all commands"),
        (("sync", "--jbos", "3"), "did you mean --jobs?"),
        (("list", "--wibble"), "unrecognized arguments: --wibble\n"),
    ],
)
def test_a_misspelt_word_of_the_command_line(
    program: RunProgram, words: tuple[str, ...], meant: str
) -> None:
    """Exit 2; what is near is named, and nothing that is not."""
    done = program(*words)
    assert (done.code, meant in done.err) == (2, True), done.err
