"""Settings: which source wins, what is refused and how, and that no token is ever shown."""

import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.config import default_path, example, explain, exposes_token, load, read_token
from mirror.errors import ExitCode, UsageError
from mirror.settings import ENV_PREFIX, SETTINGS, Setting, Settings

SOME = settings(max_examples=200, deadline=None, database=None)
NAMES = [setting.name for setting in SETTINGS]
SECRET = "user:1234-TheSecretOfAll"  # noqa: S105 - opens nothing
EXAMPLE_FILE = Path(__file__).parents[2] / "config.example.toml"

SOURCES: Mapping[str, tuple[str, str, object]] = {
    "dest": ('"/toml"', "/env", "/flag"),
    "api_url": ('"https://toml.example"', "https://env.example", "https://flag.example"),
    "token": ('"user:1-toml"', "user:1-env", None),
    "token_file": ('"/toml"', "/env", "/flag"),
    "token_command": ('"toml"', "env", None),
    "email": ('["toml@example.com"]', "env@example.com,b@example.com", ["flag@example.com"]),
    "all_accounts": ("true", "no", True),
    "content_type": ('["video"]', "image, audio", ["audio"]),
    "file_name": ('"toml"', "env", "flag"),
    "since": ('"2026-01-31"', "2026-02-01", "2026-02-02"),
    "until": ("2026-01-31", "2026-02-01T10:00", "2026-02-02"),
    "exclude": ('["1"]', "2,3", ["4"]),
    "no_covers": ("true", "0", True),
    "no_create": ("true", "0", True),
    "page_size": ("11", "12", "13"),
    "jobs": ("11", "12", "13"),
    "limit_rate": ('"1M"', "2M", "3M"),
    "max_attempts": ("11", "12", "13"),
    "max_wait": ("11", "12.5", "13"),
    "stall_timeout": ("11.5", "12", "13"),
    "max_gone": ('"11%"', "12", "13%"),
    "min_free": ('"1G"', "2G", "0"),
    "max_file_size": ('"1G"', "2G", "3G"),
    "max_answer_size": ('"1M"', "2M", "3M"),
    "allowed_hosts": ('["toml.example"]', "env.example,b.example", ["flag.example"]),
    "allow_private_hosts": ("true", "no", True),
    "gallery": ("true", "no", True),
    "progress": ('"never"', "always", "auto"),
    "log_file": ('"/toml"', "/env", "/flag"),
    "log_format": ('"json"', "text", "json"),
    "log_size": ('"1M"', "2M", "0"),
    "log_keep": ("11", "12", "13"),
    "ping_url": ('"https://toml.example/a"', "https://env.example/b", None),
    "on_finish": ('"toml"', "env", None),
}
"""Of each setting: a TOML value, the environment's, and a flag's (None where there is no flag)."""


def by_name(name: str) -> Setting:
    """One of the settings."""
    return next(setting for setting in SETTINGS if setting.name == name)


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """Where the test's config goes."""
    return tmp_path / "config.toml"


def loaded(
    path: Path,
    text: str | bytes = "",
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """What comes of a config with this text."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(flags or {}, environ=environ or {}, config_path=path)


def refused(path: Path, text: str | bytes, **sources: Mapping[str, str]) -> UsageError:
    """The error of a config that is refused."""
    with pytest.raises(UsageError) as caught:
        loaded(path, text, **sources)
    return caught.value


def test_every_setting_is_tried_below() -> None:
    """The table of sources names each setting once, so that no new one is forgotten."""
    assert sorted(SOURCES) == sorted(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_flags_beat_environment_beats_file_beats_default(name: str, config_path: Path) -> None:
    """Of each setting the highest source wins, and is named as the source."""
    setting, (toml, env, flag) = by_name(name), SOURCES[name]
    text, environ = f"{name} = {toml}\n", {setting.env: env}
    found = loaded(config_path)
    assert (getattr(found, name), found.sources[name]) == (setting.default, "default")
    found = loaded(config_path, text)
    from_file = getattr(found, name)
    assert (from_file, found.sources[name]) == (
        setting.parse(tomllib.loads(text)[name]),
        str(config_path),
    )
    found = loaded(config_path, text, environ=environ)
    from_environment = getattr(found, name)
    assert (from_environment, found.sources[name]) == (setting.parse(env), setting.env)
    assert from_environment != from_file
    if flag is not None:
        found = loaded(config_path, text, environ=environ, flags={name: flag})
        assert (getattr(found, name), found.sources[name]) == (setting.parse(flag), setting.flag)
        assert getattr(found, name) != from_environment


def test_an_empty_variable_says_nothing(config_path: Path) -> None:
    """`KLING_MIRROR_JOBS= kling-mirror …` is as if it were not set."""
    environ = dict.fromkeys((setting.env for setting in SETTINGS), " ")
    assert loaded(config_path, "jobs = 3", environ=environ).jobs == 3


def test_other_variables_are_not_ours(config_path: Path) -> None:
    """Only variables with our prefix are looked at."""
    assert loaded(config_path, environ={"JOBS": "3", "KLING": "x"}) == loaded(config_path)


@pytest.mark.parametrize(("name", "meant"), [("DSET", "DEST"), ("JOB", "JOBS"), ("QXQ", "")])
def test_a_misspelt_variable_is_refused(name: str, meant: str, config_path: Path) -> None:
    """It would have no effect; the nearest is named only if it is near."""
    error = refused(config_path, "", environ={ENV_PREFIX + name: "x"})
    assert ENV_PREFIX + name in error.what
    assert (f"{ENV_PREFIX}{meant}?" in error.hint) == bool(meant)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jobs = 0", "whole number from 1 to 64"),
        ("page_size = 1001", "from 1 to 1000"),
        ('dest = "~nobody-of-this-name/x"', "nobody-of-this-name"),
        ('dest = "a\\u0000b"', "NUL"),
        ("dest = 1979-05-27", "text"),
        ("email = { a = 1 }", "list of texts"),
        ("max_wait = nan", "above 0"),
        ("min_free = 1e400", "500K"),
        (f"jobs = {'9' * 5000}", ""),
        (f"jobs = 0x{'f' * 5000}", "whole number"),
    ],
    ids=lambda text: text[:50],
)
def test_a_wrong_value_is_refused(line: str, said: str, config_path: Path) -> None:
    """The error names the file and the setting, and says what was expected."""
    error = refused(config_path, line)
    assert error.exit_code is ExitCode.USAGE
    assert said in error.what
    assert str(config_path) in error.where
    if not line.startswith("jobs = 99"):
        assert line.partition(" ")[0] in error.where


@pytest.mark.parametrize(
    ("variable", "text"),
    [("JOBS", "many"), ("CONTENT_TYPE", "gif"), ("MIN_FREE", "-5"), ("API_URL", "x")],
)
def test_a_wrong_variable_is_named(variable: str, text: str, config_path: Path) -> None:
    """An error from the environment says which variable."""
    error = refused(config_path, "", environ={ENV_PREFIX + variable: text})
    assert ENV_PREFIX + variable in error.where
    assert text in error.what


def test_a_wrong_flag_is_named(config_path: Path) -> None:
    """An error from the command line says which flag."""
    with pytest.raises(UsageError) as caught:
        loaded(config_path, flags={"page_size": "0"})
    assert caught.value.where == "--page-size"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("job", "jobs"),
        ("jbos", "jobs"),
        ("Dest", "dest"),
        ("content-type", "content_type"),
        ("emails", "email"),
        ("max_retries", "max_attempts"),
        ("limitrate", "limit_rate"),
        ("no_cover", "no_covers"),
        ("token_fiel", "token_file"),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, nearest: str, config_path: Path) -> None:
    """A misspelt key is an error that names it and the one that was meant."""
    error = refused(config_path, f"jobs = 3\n{key} = 5\n")
    assert repr(key) in error.what
    assert repr(nearest) in error.hint
    assert error.where == f"{config_path}, line 2"


@pytest.mark.parametrize("text", ['"" = 1', '"\u00fc" = 1', "a.b = 1"])
def test_odd_keys_are_unknown_keys(text: str, config_path: Path) -> None:
    """Nothing is like them, and nothing is guessed."""
    error = refused(config_path, text)
    assert "unknown setting" in error.what
    assert "did you mean" not in error.hint


def test_a_section_is_refused_as_one(config_path: Path) -> None:
    """The config is flat: a key below a line in brackets is no setting."""
    error = refused(config_path, "jobs = 3\n\n[sync]\ndest = '/x'")
    assert "no sections" in error.what
    assert "[sync]" in error.what
    assert error.where == f"{config_path}, line 3"


def test_a_share_is_of_all_at_most(config_path: Path) -> None:
    """More than 100 % of the assets cannot vanish."""
    assert "100%" in refused(config_path, 'max_gone = "150%"').what
    assert loaded(config_path, flags={"max_gone": "100%"}).max_gone == "100%"


@pytest.mark.parametrize(
    "text",
    [
        "jobs",
        "jobs = ",
        "jobs = 3\njobs = 4",
        "= 3",
        "dest = ~/mirror",
        b"\xff\xfe",
        "jobs = 3".encode("utf-16"),
        b"file_name = '\xe9'",
        "email = " + "[" * 5000 + "]" * 5000,
        "a." * 5000 + "b = 1",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_what_is_no_toml_is_refused(text: str | bytes, config_path: Path) -> None:
    """A file that cannot be read as TOML is an error that names it."""
    assert refused(config_path, text).where.startswith(str(config_path))


def test_a_byte_order_mark_is_no_key(config_path: Path) -> None:
    """Windows editors put one before the text."""
    assert loaded(config_path, b"\xef\xbb\xbfjobs = 3\r\n").jobs == 3


def test_relative_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in the config means the same wherever the program is started."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "config.toml"
    text = 'dest = "mirror"\ntoken_file = "../token"\n'
    found = loaded(path, text)
    assert (found.dest, found.token_file) == (tmp_path / "etc/mirror", tmp_path / "etc/../token")
    monkeypatch.chdir(tmp_path)
    assert load({}, environ={}, config_path=Path("etc/config.toml")).dest == found.dest
    assert loaded(path, text, environ={"KLING_MIRROR_DEST": "here"}).dest == Path("here")


def test_a_home_is_expanded(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the user's home, in every source."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert loaded(config_path, 'dest = "~/m"').dest == tmp_path / "m"
    assert loaded(config_path, environ={"KLING_MIRROR_DEST": "~/m"}).dest == tmp_path / "m"
    assert loaded(config_path, flags={"dest": "~/m"}).dest == tmp_path / "m"


def test_a_named_config_must_exist(tmp_path: Path) -> None:
    """`--config` and KLING_MIRROR_CONFIG must name a file that can be read; `--config` wins."""
    for path in (tmp_path / "none.toml", tmp_path):
        for environ, named in (({}, path), ({"KLING_MIRROR_CONFIG": str(path)}, None)):
            with pytest.raises(UsageError) as caught:
                load({}, environ=environ, config_path=named)
            assert caught.value.where == str(path)
    (tmp_path / "config.toml").write_text("jobs = 3")
    environ = {"KLING_MIRROR_CONFIG": str(tmp_path / "config.toml")}
    assert load({}, environ=environ).jobs == 3
    assert load({}, environ=environ, config_path=Path(os.devnull)).jobs == 8
    with pytest.raises(UsageError):
        load({}, environ={"KLING_MIRROR_CONFIG": "~nobody-of-this-name/config.toml"})


def test_the_default_config_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a config everything has its default; with one in its usual place, that is read."""
    for variable in ("HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    if tmp_path not in default_path().parents:
        pytest.skip("the config folder cannot be moved on this system")
    found = load({}, environ={})
    assert (found.jobs, found.config_path) == (8, None)
    default_path().parent.mkdir(parents=True, exist_ok=True)
    default_path().write_text("jobs = 3")
    found = load({}, environ={})
    assert (found.jobs, found.config_path) == (3, default_path())


def _uncommented(text: str) -> str:
    """The example with every setting in force."""
    lines = []
    for line in text.splitlines():
        key = line.removeprefix("# ").partition(" = ")[0]
        lines.append(line.removeprefix("# ") if key in NAMES else line)
    return "\n".join(lines)


def test_the_example_changes_nothing_as_it_is(config_path: Path) -> None:
    """All settings stand in it as comments: it loads, and every default holds."""
    found = loaded(config_path, example())
    assert set(found.sources.values()) == {"default"}


def test_the_example_names_every_setting(config_path: Path) -> None:
    """Without its comment signs it loads, and sets everything; what has a default, to that."""
    found = loaded(config_path, _uncommented(example()))
    assert set(found.sources.values()) == {str(config_path)}
    for setting in SETTINGS:
        assert setting.help.replace("%%", "%") in example()
        if setting.default not in (None, ()):
            assert getattr(found, setting.name) == setting.default


def test_the_example_file_is_the_example() -> None:
    """config.example.toml is what `init` writes."""
    assert EXAMPLE_FILE.read_text(encoding="utf-8") == example()


def test_chosen_settings_are_in_force(config_path: Path) -> None:
    """What `init` was given stands in the file without a comment sign, and nothing else does."""
    found = loaded(config_path, example(dest='"/m"', jobs="3"))
    assert (found.dest, found.jobs) == (Path("/m"), 3)
    in_force = {name for name, source in found.sources.items() if source != "default"}
    assert in_force == {"dest", "jobs"}


@pytest.mark.parametrize("name", NAMES)
def test_explain_shows_value_and_source(name: str, config_path: Path) -> None:
    """`config` prints TOML that means the same settings, each with where it came from."""
    setting, (toml, env, _) = by_name(name), SOURCES[name]
    for text, environ in ((f"{name} = {toml}", {}), ("", {setting.env: env})):
        found = loaded(config_path, text, environ=environ)
        shown = explain(found)
        (line,) = (line for line in shown.splitlines() if line.startswith(f"{name} = "))
        assert line.endswith(f"# {setting.env if environ else config_path}")
        if name in ("token", "ping_url"):
            assert str(getattr(found, name)) not in shown
        else:
            assert getattr(loaded(config_path, shown), name) == getattr(found, name)


def test_explain_shows_every_setting(config_path: Path) -> None:
    """One line each, the unset ones as comments."""
    lines = explain(loaded(config_path)).splitlines()
    assert [line.removeprefix("# ").partition(" = ")[0] for line in lines] == NAMES
    assert all(line.endswith("# default") for line in lines)


# The token.


@pytest.mark.parametrize("environ", [{}, {"KLING_MIRROR_TOKEN": SECRET}])
def test_explain_masks_the_token(environ: Mapping[str, str], config_path: Path) -> None:
    """That it is set is shown; no part of it is."""
    shown = explain(loaded(config_path, f'token = "{SECRET}"', environ=environ))
    assert "token = " in shown
    assert "Secret" not in shown
    assert "1234" not in shown


@pytest.mark.parametrize(
    "text",
    [
        f'token = "{SECRET}"\njobs = 0',
        f'token = "{SECRET}"\nx = 1',
        f'token = "{SECRET}" x',
        f'token = "{SECRET}',
        f"token = {SECRET}",
        f'token = ["{SECRET}"]',
        f'token = {{ a = "{SECRET}" }}',
        f'token = "{SECRET}"\ntoken = "{SECRET}"',
        f'tokn = "{SECRET}"',
        f'[token]\na = "{SECRET}"',
        f'token_command = ["echo", "{SECRET}"]',
        f'token_file = ["{SECRET}"]',
    ],
)
def test_no_error_shows_the_token(text: str, config_path: Path) -> None:
    """However the config is broken, what it says of the token is not repeated."""
    error = refused(config_path, text)
    assert "Secret" not in f"{error.what} {error.where} {error.hint} {error}"


@pytest.mark.parametrize(
    "token",
    [
        f"{SECRET} {SECRET}",
        f"{SECRET}\n{SECRET}",
        f"{SECRET}\u00e9",
        f"{SECRET}\x00",
        f"\ufeff{SECRET}",
    ],
)
def test_a_token_that_is_none_is_not_shown(token: str, config_path: Path) -> None:
    """A token must be one word of plain characters; the error does not repeat it."""
    found = loaded(config_path, environ={"KLING_MIRROR_TOKEN": token})
    with pytest.raises(UsageError) as caught:
        read_token(found)
    error = caught.value
    assert "Secret" not in f"{error.what} {error.where} {error.hint} {error}"
    assert "KLING_MIRROR_TOKEN" in error.where


@pytest.mark.parametrize(
    ("toml", "environ", "flags", "token"),
    [
        ('token = "a"', {}, {}, "a"),
        ('token_file = "file"', {}, {}, "from-file"),
        ('token_command = "echo ran-b"', {}, {}, "ran-b"),
        # Within one source: token, then file, then command.
        ('token = "a"\ntoken_file = "file"\ntoken_command = "echo ran-b"', {}, {}, "a"),
        ('token_file = "file"\ntoken_command = "echo ran-b"', {}, {}, "from-file"),
        # Between sources: the higher one, whatever it names.
        ('token = "a"', {"TOKEN_FILE": "{}/file"}, {}, "from-file"),
        ('token = "a"', {"TOKEN_COMMAND": "echo ran-c"}, {}, "ran-c"),
        ('token = "a"', {"TOKEN": "c"}, {}, "c"),
        ('token = "a"', {"TOKEN": "c"}, {"token_file": "{}/file"}, "from-file"),
        ('token_file = "none"', {"TOKEN": "c"}, {}, "c"),
        # White space around it is not its own.
        ('token = " a "', {}, {}, "a"),
    ],
)
def test_which_token_counts(  # noqa: PLR0917 - every source is one
    toml: str,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    token: str,
    config_path: Path,
    tmp_path: Path,
) -> None:
    """The highest source that names a token in any way decides."""
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbffrom-file\r\n")
    found = loaded(
        config_path,
        toml,
        environ={ENV_PREFIX + name: text.format(tmp_path) for name, text in environ.items()},
        flags={name: text.format(tmp_path) for name, text in flags.items()},
    )
    assert read_token(found) == token


def test_no_token_says_how_to_give_one(config_path: Path) -> None:
    """The first error that most people see names every next step."""
    with pytest.raises(UsageError) as caught:
        read_token(loaded(config_path))
    assert "--token-file" in caught.value.hint
    assert "kling-mirror init" in caught.value.hint
    assert "KLING_MIRROR_TOKEN" in caught.value.hint


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00", b"two words", b"a\nb"])
def test_a_token_file_without_a_token(
    content: bytes | None, config_path: Path, tmp_path: Path
) -> None:
    """A token file that is missing, empty or something else is named."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    found = loaded(config_path, flags={"token_file": str(path)})
    with pytest.raises(UsageError) as caught:
        read_token(found)
    assert caught.value.where == str(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_readable_token_is_noticed(*, mode: int, exposed: bool, config_path: Path) -> None:
    """A token in a config that other users can read is worth a warning; one elsewhere is not."""
    text = f'token = "{SECRET}"'
    loaded(config_path, text)
    config_path.chmod(mode)
    assert exposes_token(load({}, environ={}, config_path=config_path)) == exposed
    assert not exposes_token(loaded(config_path, text, environ={"KLING_MIRROR_TOKEN": "x"}))
    assert not exposes_token(loaded(config_path, "jobs = 3"))


# Anything at all.

values = st.sampled_from(
    (
        "1",
        "-1",
        "1e400",
        "nan",
        "0xff",
        "true",
        '""',
        '"x"',
        "[]",
        "[1]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "07:32:00",
        "1979-05-27T07:32:00Z",
        '"""',
        "'",
        '"\\u0000"',
        '"~"',
        '"https://"',
        '"5%"',
        "\x00",
    )
)
lines = st.builds("{} = {}".format, st.sampled_from(NAMES) | st.text(max_size=5), values)
texts = st.lists(lines | st.text(max_size=20), max_size=4).map("\n".join)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One folder for all that Hypothesis tries."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@SOME
@given(text=texts.map(str.encode) | st.binary())
def test_any_config_is_settings_or_a_usage_error(folder: Path, text: bytes) -> None:
    """Whatever stands in the file, nothing but settings or a `UsageError` comes of it."""
    try:
        found = loaded(folder / "config.toml", text)
    except UsageError as error:
        assert error.where  # noqa: PT017 - both ways are right
    else:
        assert explain(found)
        assert found.config_path == folder / "config.toml"


@SOME
@given(data=st.data())
def test_any_variable_is_a_setting_or_a_usage_error(folder: Path, data: st.DataObject) -> None:
    """The same holds for the environment and for flags, whose values are all text."""
    texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])) | values
    setting = data.draw(st.sampled_from(SETTINGS))
    text = data.draw(texts.filter(lambda text: "\x00" not in text))
    try:
        loaded(folder / "config.toml", environ={setting.env: text})
        loaded(folder / "config.toml", flags={setting.name: text})
    except UsageError as error:
        assert error.where  # noqa: PT017 - both ways are right


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero here")
def test_a_file_without_an_end_is_refused() -> None:
    """As a config and as a token's file: neither is read for ever."""
    endless = Path("/dev/zero")
    with pytest.raises(UsageError, match="not TOML: it is too long"):
        load({}, environ={}, config_path=endless)
    with pytest.raises(UsageError, match="the token file cannot be read"):
        read_token(load({"token_file": str(endless)}, environ={}, config_path=Path(os.devnull)))
