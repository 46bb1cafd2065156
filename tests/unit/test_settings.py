"""Each setting is declared once: its names, its default, and what a run makes of it."""

import pytest

from mirror.models import Scope
from mirror.settings import (
    BY_NAME,
    DEFAULT_API_URL,
    ENV_PREFIX,
    GROUPS,
    SETTINGS,
    Options,
    Setting,
    Settings,
)

NAMES = [setting.name for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_every_setting_has_its_names(setting: Setting) -> None:
    """The TOML key has underscores, the variable is the same in capitals, the flag has dashes."""
    assert setting.name == setting.name.lower()
    assert setting.name.replace("_", "").isalpha()
    assert setting.env == ENV_PREFIX + setting.name.upper()
    is_secret = setting.name in ("token", "token_command", "ping_url", "on_finish")
    assert setting.flag == (None if is_secret else "--" + setting.name.replace("_", "-"))
    assert setting.help


def test_the_contract_s_defaults() -> None:
    """What holds where nobody said anything."""
    found = Settings()
    assert found.api_url == DEFAULT_API_URL == "https://api.useapi.net/v1/kling"
    assert (found.page_size, found.stall_timeout, found.progress) == (100, 30, "auto")
    assert (found.min_free, found.max_gone, found.limit_rate) == (500_000_000, None, None)
    assert (found.dest, found.token, found.email, found.all_accounts) == (None, None, (), False)


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_a_setting_reads_its_own_example_and_default(setting: Setting) -> None:
    """What the documents show can be written, and the default is what its parser would say."""
    assert setting.group in GROUPS
    if setting.example is not None:
        setting.parse(setting.example)
    if setting.default is not None:
        assert setting.parse(setting.default) == setting.default


def test_a_secret_is_no_flag() -> None:
    """Arguments are visible to other users; so is a command that may hold a secret."""
    assert [name for name, setting in BY_NAME.items() if not setting.has_flag] == [
        "token",
        "token_command",
        "ping_url",
        "on_finish",
    ]
    assert [name for name, setting in BY_NAME.items() if setting.is_secret] == ["token", "ping_url"]


def test_python_callers_know_what_a_run_looks_at() -> None:
    """Every option is a setting; what is left out is the command line's own."""
    options = set(Options.__annotations__)
    assert options <= set(NAMES)
    left_out = {BY_NAME[name].group for name in set(NAMES) - options}
    assert left_out == {"output", "unattended"}


def test_the_scope_is_what_part_of_the_library_is_meant() -> None:
    """Nothing else of the settings has a say in it."""
    found = Settings(email=("a@x",), content_type=("video",), no_covers=True, jobs=3)
    assert found.scope == Scope(email=("a@x",), content_type=("video",), no_covers=True)
