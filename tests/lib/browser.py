"""A real browser for tests of the gallery's page: headless Chromium, driven by selenium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--lang=en-GB",
    "--window-size=1280,900",
)


@contextmanager
def chromium(profile: Path) -> Iterator["Chrome"]:
    """A browser with an empty profile; the test is skipped where there is none.

    Args:
        profile: an empty folder.
    """
    try:
        from selenium import webdriver  # noqa: PLC0415 - it may not be installed
    except ImportError:
        pytest.skip("selenium is not installed: pip install selenium")
    program = _first("chromium", "chromium-browser", "google-chrome")
    driver = _first("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium, or no chromedriver, on this system")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if hasattr(os, "getuid") and os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own sandbox does not start as root
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def _first(*names: str) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)
