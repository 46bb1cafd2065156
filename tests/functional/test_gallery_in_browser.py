"""The gallery's page in a real browser, opened from `file://`."""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from msgspec.structs import asdict, replace

from mirror.models import Failure, TwinEntry
from mirror.storage.journal import PutEntry, PutFailure
from tests.lib.browser import chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement
from tests.lib.small_mirror import EVIL, LONG, RIGHT_TO_LEFT, T0, Mirror, facts, small_mirror

pytestmark = pytest.mark.soak


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """The small mirror, of the test's own."""
    return small_mirror(tmp_path / "mirror")


class Page:
    """The page as a person at a keyboard has it."""

    def __init__(self, browser: "Chrome", path: Path) -> None:
        self.browser = browser
        self.url = path.as_uri()

    def open(self, key: str = "") -> None:
        """Load the page anew."""
        self.browser.get("about:blank")
        self.complaints()  # those of the page before; reading them empties the console
        self.browser.get(f"{self.url}#{key}" if key else self.url)

    def find(self, selector: str) -> "WebElement":
        """One element by a CSS selector."""
        return self.browser.find_element("css selector", selector)

    def js(self, code: str, *arguments: object) -> Any:  # noqa: ANN401 - JavaScript's values
        """Run code in the page."""
        return self.browser.execute_script(code, *arguments)

    def names(self) -> list[str]:
        """The names on the tiles, in their order."""
        names = self.js("return [...document.querySelectorAll('.name')].map(n => n.textContent)")
        assert isinstance(names, list)
        return names

    def count(self) -> str:
        """What the page says that it shows."""
        return self.find("#count").text

    def choose(self, name: str, value: str) -> None:
        """Set a filter as a user's choice does."""
        self.js(
            """const control = document.querySelector('#tools').elements[arguments[0]];
            if (control.type === 'checkbox') control.checked = true;
            else control.value = arguments[1];
            document.querySelector('#tools').dispatchEvent(new Event('input', {bubbles: true}));""",
            name,
            value,
        )

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        from selenium.webdriver import ActionChains  # noqa: PLC0415 - it may not be installed

        ActionChains(self.browser).send_keys(*keys).perform()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the page does by itself."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "it did not happen within 30 s"
            time.sleep(0.02)

    def is_playing(self, selector: str) -> bool:
        """Whether a player's time advances."""
        return bool(
            self.js("return document.querySelector(arguments[0])?.currentTime > 0.1", selector)
        )

    @contextmanager
    def emulating(self, *, width: int = 1280, **features: str) -> Iterator[None]:
        """A window's width, and what a user prefers (`color_scheme="dark"`), for a while."""
        run = self.browser.execute_cdp_cmd
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        wishes = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        run("Emulation.setDeviceMetricsOverride", size)
        run("Emulation.setEmulatedMedia", {"features": wishes})
        try:
            yield
        finally:
            run("Emulation.clearDeviceMetricsOverride", {})
            run("Emulation.setEmulatedMedia", {"features": []})

    def complaints(self) -> list[str]:
        """What the console holds."""
        return [line["message"] for line in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    """One browser for all tests."""
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small mirror's page, at a path that needs escaping itself."""
    return small_mirror(tmp_path_factory.mktemp("mirrors") / "100% #1 Bücher").write()


@pytest.fixture
def page(browser: "Chrome", written: Path) -> Iterator[Page]:
    """The small mirror's page, freshly loaded; at the end the console must be empty."""
    page = Page(browser, written)
    page.open()
    yield page
    assert page.complaints() == []
    assert page.js("return window.evil") is None


ESCAPE, ENTER, TAB = "\ue00c\ue007\ue004"  # as WebDriver names them
LEFT, UP, RIGHT, DOWN, HOME, END = "\ue012\ue013\ue014\ue015\ue011\ue010"


def test_the_page_loads_from_a_file(page: Page) -> None:
    """It opens without a server: its name, the count, and all pictures are there."""
    assert page.find("h1").text == "100% #1 Bücher"
    assert page.count().startswith("10 assets · ")
    assert len(page.names()) == 10
    page.until(lambda: page.js("return document.querySelectorAll('.tile.seen').length") == 8)
    assert page.js(
        "return performance.getEntriesByType('resource').every(e => e.name.startsWith('file:'))"
    )


def test_search_finds_names_and_ids(page: Page) -> None:
    """Words in any order, any case and without accents; or an id; and a way back from nothing."""
    search = page.find("input[type=search]")
    search.send_keys("№1 закат")
    assert page.names() == ["Закат №1.jpg"]
    assert page.count().startswith("1 of 10 · ")
    search.clear()
    search.send_keys("9100000000000000003")
    assert page.names() == ["bell-3.wav"]
    search.send_keys("x")
    assert page.names() == []
    assert "No asset matches" in page.find("#message").text
    page.find("#message button").click()
    page.until(lambda: len(page.names()) == 10)
    assert page.js("return document.activeElement.name") == "text"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("type", "video", 3),
        ("type", "image", 5),
        ("type", "other", 1),
        ("state", "gone", 1),
        ("state", "superseded", 1),
        ("account", "=you@example.com", 1),
        ("favored", "on", 1),
    ],
)
def test_filters(page: Page, name: str, value: str, expected: int) -> None:
    """Each filter leaves what it says, and the count says how many."""
    page.choose(name, value)
    assert len(page.names()) == expected
    assert page.count().startswith(f"{expected} of 10 · ")


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("-date", "Nr 9", "northern-lights.mp4"),
        ("date", "northern-lights-1.mp4", "Nr 9"),
        ("-size", "pinwheels-2.mp4", RIGHT_TO_LEFT),
        ("size", LONG[:300], "northern-lights.mp4"),
        ("-duration", "pinwheels-2.mp4", "northern-lights.mp4"),
        ("duration", "bell-3.wav", "northern-lights.mp4"),
        ("name", EVIL, LONG[:300]),
        ("-name", LONG[:300], EVIL),
    ],
)
def test_sorting(page: Page, sort: str, first: str, last: str) -> None:
    """Each order, the newer first among equals; what has no duration comes last both ways."""
    page.choose("sort", sort)
    names = page.names()
    assert (names[0], names[-1]) == (first, last)


def test_numbers_in_names_count_as_such(page: Page) -> None:
    """9 comes before 10."""
    page.choose("sort", "name")
    names = page.names()
    assert names.index("Nr 9") + 1 == names.index("Nr 10")


def test_a_video_and_a_sound_play_in_their_tiles(page: Page) -> None:
    """Play starts the file itself, one at a time; Escape stops it and leaves the keyboard there."""
    page.find("[aria-label='Play bell-3.wav']").click()
    page.until(lambda: page.is_playing("audio.player"))
    page.find("[aria-label='Play pinwheels-2.mp4']").click()
    page.until(lambda: page.is_playing("video.player"))
    assert page.js("return document.querySelectorAll('.player').length") == 1
    page.press(ESCAPE)
    page.until(lambda: not page.js("return document.querySelectorAll('.player').length"))
    assert (
        page.js("return document.activeElement.querySelector('.name').textContent")
        == "pinwheels-2.mp4"
    )


def test_an_asset_by_keyboard(page: Page) -> None:
    """Enter opens an asset, arrows go on, Escape closes and the keyboard is where one was last."""
    page.press("/")
    assert page.js("return document.activeElement.name") == "text"
    page.js("document.querySelector('.tile a').focus()")
    page.press(RIGHT, ENTER)
    page.until(lambda: page.find("dialog").is_displayed())
    assert page.find("h2").text == "Nr 10"
    assert page.js("return document.activeElement.id") == "detail-name"
    page.press(RIGHT, RIGHT, LEFT)
    assert page.find(".position").text == "3 of 10"
    assert page.js("return document.querySelector('h2').textContent") == LONG
    page.press(ESCAPE)
    page.until(lambda: not page.find("dialog").is_displayed())
    assert page.js("return document.activeElement.querySelector('.name').textContent") == LONG[:300]
    assert page.browser.current_url == page.url


def test_back_closes_an_asset_and_its_address_opens_it(page: Page) -> None:
    """The address names the asset: it can be kept, and Back leads to the grid."""
    page.find(".tile a").click()
    page.until(lambda: page.find("dialog").is_displayed())
    address = page.browser.current_url
    assert address.endswith(f"#{9_100_000_000_000_000_009}%40{T0 + 9000}")
    page.browser.back()
    page.until(lambda: not page.find("dialog").is_displayed())
    page.open(address.partition("#")[2])
    assert page.find("h2").text == "Nr 9"
    page.find(".close").click()
    page.until(lambda: not page.find("dialog").is_displayed())


def test_the_address_keeps_search_filters_and_order(page: Page) -> None:
    """They survive a reload, an asset that was looked at, and an address that nobody wrote."""
    page.open()
    page.choose("sort", "-size")
    page.choose("text", "clip no")
    assert page.js("return location.hash") == "#text=clip+no&sort=-size"
    page.choose("text", "")
    page.choose("type", "image")
    assert page.js("return location.hash") == "#type=image&sort=-size"
    shown = page.names()
    page.browser.refresh()
    page.until(lambda: page.names() == shown)
    page.js("document.querySelector('.tile a').click()")
    page.until(lambda: page.find("dialog").is_displayed())
    page.browser.back()
    page.until(lambda: not page.find("dialog").is_displayed())
    assert (page.names(), page.js("return location.hash")) == (shown, "#type=image&sort=-size")
    page.open("type=nonsense&sort=-size&__proto__=1&text=")
    assert page.count().startswith("10 assets")


def test_letters_with_strokes_are_found_without_them(tmp_path: Path, browser: "Chrome") -> None:
    """As people type them on another keyboard."""
    mirror = Mirror(tmp_path / "mirror")
    for number, name in enumerate(("Łódź.png", "smørrebrød.png", "Straße.png", "œuvre.png"), 1):
        mirror.add(number, "embers.png", f"image/{number}.png", name=name)
    page = Page(browser, mirror.write())
    page.open()
    for typed in ("lodz", "smorrebrod", "strasse", "oeuvre", "ŁÓDŹ", "STRASSE"):
        page.choose("text", typed)
        assert len(page.names()) == 1, typed


def test_the_counts_of_types_follow_the_search(page: Page) -> None:
    """Each says how many would be left if it were chosen."""
    page.open()
    page.choose("text", "northern")
    counts = page.js(
        "return Object.fromEntries([...document.querySelectorAll('[data-type] small')]"
        ".map(small => [small.closest('[data-type]').dataset.type, small.textContent]))"
    )
    assert (counts["video"], counts["image"]) == ("2", "0")


def test_a_film_plays_under_the_mouse(page: Page) -> None:
    """Without sound, after a moment; it ends when the mouse leaves, and needs no click."""
    from selenium.webdriver import ActionChains  # noqa: PLC0415 - it may not be installed

    page.open()
    tile = page.js("return [...document.querySelectorAll('.tile.video')].at(-1)")
    ActionChains(page.browser).move_to_element(tile).perform()
    page.until(lambda: page.is_playing(".preview"))
    assert page.js("return document.querySelector('.preview').muted")
    ActionChains(page.browser).move_to_element(page.find("#mirror")).perform()
    page.until(lambda: not page.browser.find_elements("css selector", ".preview"))


def test_space_and_k_play_an_asset(page: Page) -> None:
    """And pause it; the arrows lead to the next."""
    page.open(f"9100000000000000002@{T0 + 2000}")
    page.js("document.querySelector('.shown video').muted = true")
    page.press("k")
    page.until(lambda: page.is_playing(".shown video"))
    page.press(" ")
    page.until(lambda: page.js("return document.querySelector('.shown video').paused"))


def test_an_asset_shows_what_is_known(page: Page, written: Path) -> None:
    """Metadata, path and hash; both versions of one id; its video plays there."""
    page.open(f"9100000000000000001@{T0 + 1000}")
    assert not page.find(".files dl").is_displayed()
    page.find(".files summary").click()
    text = page.find(".panel").text
    sha = hashlib.sha256((written.parents[1] / "video/northern-lights-1.mp4").read_bytes())
    for said in (
        "0:03",
        "320 × 180",  # noqa: RUF001 - as the page writes it
        "37 kB",
        "me@example.com",
        sha.hexdigest(),
        "video/northern-lights-1.mp4",
    ):
        assert said in text
    links = page.browser.find_elements("css selector", ".versions a")
    assert ["Superseded" in link.text for link in links] == [False, True]
    links[1].click()
    assert "history" in page.find(".note").text
    page.until(lambda: page.js("return document.querySelector('.shown video').readyState >= 1"))
    page.js("const v = document.querySelector('.shown video'); v.muted = true; v.play()")
    page.until(lambda: page.is_playing(".shown video"))


def test_two_assets_of_one_id_and_time(tmp_path: Path, browser: "Chrome") -> None:
    """They differ in type alone, and each has a page of its own."""
    mirror = small_mirror(tmp_path / "mirror")
    key = f"9100000000000000002@{T0 + 2000}"
    image: dict[str, Any] = {"content_type": "image", "name": "2.jpg", "cover": None}
    image["resource"] = mirror.put("sunset.jpg", "image/2.jpg")
    twin = TwinEntry(**asdict(mirror.manifest.entries[key]) | image)
    mirror.manifest.record([PutEntry(twin)])
    page = Page(browser, mirror.write())
    for address, name in ((key, "pinwheels-2.mp4"), (f"{key}@image", "2.jpg")):
        page.open(address)
        assert page.find("h2").text == name
        links = page.browser.find_elements("css selector", ".versions a")
        assert {link.get_attribute("hash") for link in links} == {
            f"#{quote(each, safe='')}" for each in (key, f"{key}@image")
        }


def test_hostile_names_are_text(page: Page) -> None:
    """A name that looks like HTML is shown as it is, in the grid and on its own page."""
    assert EVIL in page.names()
    page.open(f"9100000000000000005@{T0 + 5000}")
    assert page.find("h2").text == EVIL
    page.find("summary").click()
    assert page.js("return document.querySelector('.more dt').textContent") == EVIL
    assert page.js("return document.querySelectorAll('[onerror]').length") == 0


def test_html_is_never_interpreted(page: Page) -> None:
    """Even code of the page's own could make no HTML of a text: the browser refuses."""
    refused = page.js("try { document.body.innerHTML = '<i>'; } catch (e) { return e.name }")
    assert refused == "TypeError"
    assert any("TrustedHTML" in line for line in page.complaints())


def test_a_tricky_path_is_shown(page: Page) -> None:
    """A path with #, %, ?, quotes, Cyrillic and an emoji leads to its file."""
    page.open(f"9100000000000000004@{T0 + 4000}")
    page.until(lambda: page.js("return document.querySelector('.shown img')?.naturalWidth") == 640)
    page.find(".open").click()
    here, there = page.browser.window_handles
    page.browser.switch_to.window(there)
    page.until(lambda: page.js("return document.querySelector('img')?.naturalWidth") == 640)
    page.browser.close()
    page.browser.switch_to.window(here)


@pytest.mark.parametrize("width", [360, 820, 2560])
def test_every_width_fits(page: Page, width: int) -> None:
    """From a phone to a wide screen nothing sticks out sideways, neither grid nor asset."""
    with page.emulating(width=width):
        for key in ("", f"9100000000000000007@{T0 + 7000}"):
            page.open(key)
            wide = page.js(
                """return [document.documentElement, document.querySelector('dialog')]
                .map(part => part.scrollWidth - part.clientWidth)"""
            )
            assert wide == [0, 0]


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_rows_fill_the_width(page: Page, width: int) -> None:
    """Each row but the last ends at the right edge, its tiles side by side, of one height."""
    with page.emulating(width=width):
        page.open()
        rows = page.js(
            """const rows = {};
            for (const tile of document.querySelectorAll('.tile')) {
              const {left, right, top} = tile.getBoundingClientRect();
              (rows[top] ??= []).push([left, right, tile.querySelector('.picture').clientHeight]);
            }
            return Object.values(rows)"""
        )
        left, right = page.js(
            "const {left, right} = grid.getBoundingClientRect(); return [left, right]"
        )
    assert sum(map(len, rows)) >= 9  # what is far below is not there
    for row in rows:
        assert row[0][0] == left
        assert all(after[0] - before[1] in (13, 14, 15) for before, after in pairwise(row))
        assert len({height for _, _, height in row}) == 1
        assert abs(row[-1][1] - right) < 1 or (row is rows[-1] and row[-1][1] < right)


def test_a_picture_keeps_its_proportions(page: Page) -> None:
    """What Kling calls 320 wide and 180 high is shown so, uncropped."""
    wide = page.js(
        """const {width, height} = document.querySelector('[aria-posinset="8"] .picture')
        .getBoundingClientRect(); return width / height"""
    )
    assert page.names()[7] == "pinwheels-2.mp4"
    assert abs(wide - 320 / 180) < 0.02


def test_the_arrows_go_by_rows(page: Page) -> None:
    """Down and up lead to the tile below and above, and stop at the edges; End goes to the last."""
    where = "return Number(document.activeElement.closest('.tile').ariaPosInSet)"
    with page.emulating(width=700):
        page.open()
        page.js("document.querySelector('.tile a').focus()")
        page.press(UP)
        assert page.js(where) == 1
        page.press(DOWN)
        assert 1 < page.js(where) < 10
        page.press(UP)
        assert page.js(where) == 1
        page.press(END, DOWN, RIGHT)
        assert page.js(where) == 10


def test_typing_loads_no_picture_again(page: Page) -> None:
    """A tile that a search leaves is the very one that was there, its picture in it."""
    page.until(lambda: page.js("return document.querySelectorAll('.tile.seen').length") == 8)
    page.js("window.before = document.querySelector('[title=\"Закат №1.jpg\"] img')")
    page.find("input[type=search]").send_keys("закат")
    assert page.names() == ["Закат №1.jpg"]
    assert page.js("return window.before === document.querySelector('.tile img')")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_in_both_themes(page: Page, theme: str) -> None:
    """Every text has the contrast to its ground that WCAG asks for (AA: 4.5 to 1)."""
    with page.emulating(color_scheme=theme):
        grounds = set()
        for key in ("", f"9100000000000000006@{T0 + 6000}", "9100000000000000001@5"):
            page.open(key)
            grounds.add(page.js("return getComputedStyle(document.body).backgroundColor"))
            assert page.js(CONTRAST) == {}
        assert grounds == {"rgb(246, 245, 242)" if theme == "light" else "rgb(19, 20, 22)"}


CONTRAST = """
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const wrong = {};
const root = document.querySelector('dialog[open]') ?? document.body;
for (const part of root.querySelectorAll('*')) {
  const says = [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!says || !part.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
  let ground = part;
  let opacity = 1;
  while (parse(getComputedStyle(ground).backgroundColor)[3] === 0) {
    opacity *= getComputedStyle(ground).opacity;
    ground = ground.parentElement;
  }
  const back = parse(getComputedStyle(ground).backgroundColor);
  if (back.length > 3) continue; // over a picture
  const mixed = (c, at) => back[at] + (c - back[at]) * opacity;
  const ink = parse(getComputedStyle(part).color).map(mixed);
  const lights = [light(ink), light(back)];
  const ratio = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
  if (ratio < 4.5) wrong[part.textContent.slice(0, 30)] = ratio;
}
return wrong"""
"""Texts on a plain ground with too little contrast, by what they say."""


def test_the_keyboard_is_always_seen(page: Page) -> None:
    """Whatever Tab reaches is outlined, by itself or by the label that stands for it."""
    outlined = """const at = document.activeElement;
        return [at, at.nextElementSibling].filter(Boolean).map((part) => getComputedStyle(part))
          .some((style) => style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2)"""
    for key, stops in (("", 9), (f"9100000000000000001@{T0 + 1000}", 8)):
        page.open(key)
        for _ in range(stops):
            page.press(TAB)
            tag = page.js("return document.activeElement.tagName")
            assert tag in ("VIDEO", "BODY") or page.js(outlined), page.js(
                "return document.activeElement.outerHTML"
            )


def test_whatever_can_be_used_has_a_name(page: Page) -> None:
    """A screen reader says what each control is, and what each asset is beside its name."""
    # A tile's moving picture is hidden from it: the link around it has the name.
    controls = ":is(a, button, input, select, video:not([aria-hidden=true]))"
    for key, place in (("", "body > :not(dialog)"), (f"9100000000000000001@{T0 + 1000}", "dialog")):
        page.open(key)
        found = page.browser.find_elements("css selector", f"{place} {controls}")
        shown = [control for control in found if control.is_displayed()]
        assert len(shown) > 7
        for control in shown:
            assert control.accessible_name, control.get_attribute("outerHTML")
    page.open()
    gone = page.find(".tile:has(.gone) a").accessible_name
    assert "Image" in gone
    assert "Exists only here" in gone


def test_motion_can_be_done_without(page: Page) -> None:
    """Who prefers reduced motion sees none."""
    moves = """return [...document.querySelectorAll('*')]
        .some((part) => parseFloat(getComputedStyle(part).transitionDuration) > 0)"""
    assert page.js(moves)
    with page.emulating(reduced_motion="reduce"):
        assert not page.js(moves)


def test_a_lost_cover_gives_way_to_the_film(tmp_path: Path, browser: "Chrome") -> None:
    """Without its cover a film shows its first frame; what cannot be shown says so in the grid."""
    mirror = small_mirror(tmp_path / "mirror")
    page = Page(browser, mirror.write())
    (mirror.dest / "video/northern-lights-1.cover.jpg").unlink()
    (mirror.dest / "image/8.jpg").write_bytes(b"no picture")
    page.open()
    page.until(lambda: page.js("return document.querySelectorAll('.tile.seen').length") == 7)
    films = page.browser.find_elements("css selector", ".tile.seen .picture video")
    assert len(films) == 3
    page.until(lambda: page.find(".lost").text == "Cannot be shown: run kling-mirror verify")
    assert page.js("return document.querySelector('.tile:has(.lost) .name').textContent") == "Nr 10"


def test_a_missing_file_and_a_type_that_no_browser_shows(tmp_path: Path, browser: "Chrome") -> None:
    """Neither leaves a broken picture; both are described in words."""
    mirror = small_mirror(tmp_path / "mirror")
    page = Page(browser, mirror.write())
    (mirror.dest / "image/8.jpg").unlink()
    page.open(f"9100000000000000008@{T0 + 8000}")
    page.until(lambda: "is missing" in page.find(".shown").text)
    page.open(f"9100000000000000009@{T0 + 9000}")
    assert "cannot show this kind" in page.find(".shown").text
    assert not page.find(".open").is_displayed()


def test_an_empty_mirror_and_missing_data(tmp_path: Path, browser: "Chrome") -> None:
    """A page with nothing to show says why, and what to do."""
    written = Mirror(tmp_path / "empty").write()
    page = Page(browser, written)
    page.open()
    assert page.count() == "0 assets · 0 B"
    assert "Nothing here yet" in page.find("#message").text
    shutil.move(written.with_name("data.js"), tmp_path / "data.js")
    page.open()
    assert "data.js must be beside this page" in page.find("#message").text


def test_a_large_mirror_keeps_the_document_small(tmp_path: Path, browser: "Chrome") -> None:
    """Of 20,000 assets only those in sight are in the document, wherever one scrolls or jumps."""
    mirror = Mirror(tmp_path / "mirror")
    first = mirror.add(0, "sunset.jpg", "image/0.jpg", said=facts())
    mirror.manifest.record(
        PutEntry(replace(first, id=str(10**18 + at), update_time_ms=T0 + at, name=f"asset {at}"))
        for at in range(1, 20_000)
    )
    page = Page(browser, mirror.write())
    page.open()
    nodes = "return document.getElementsByTagName('*').length"
    assert page.count().startswith("20,000 assets · ")
    assert page.js(nodes) < 1500
    for share in (0.1, 0.5, 0.9, 1):
        page.js("scrollTo(0, document.body.scrollHeight * arguments[0])", share)
        page.until(
            lambda: page.js(
                "return document.querySelector('.tile').getBoundingClientRect().bottom > -900"
            )
        )
        assert page.js(nodes) < 1500
    assert page.js("return document.querySelector('.tile:last-child').ariaPosInSet") == "20000"
    assert page.find("#waymark").text == "June 2025"
    in_sight = """return [...document.querySelectorAll('.tile')]
        .find((tile) => tile.getBoundingClientRect().top > 0)?.ariaPosInSet ?? 0"""
    page.js("scrollTo(0, document.body.scrollHeight / 2)")
    page.until(lambda: 9000 < int(page.js(in_sight)) < 11000)
    before = int(page.js(in_sight))
    with page.emulating(width=500):
        page.until(lambda: abs(int(page.js(in_sight)) - before) < 30)
    page.js("document.querySelector('.tile a').focus()")
    page.press(HOME)
    page.until(
        lambda: page.js("return document.activeElement.closest('.tile')?.ariaPosInSet") == "1"
    )
    page.find("input[type=search]").send_keys("asset 1999")
    assert page.count().startswith("12 of 20,000 · ")
    assert page.complaints() == []


def test_months_have_headings_and_a_scrubber_leads_to_them(
    tmp_path: Path, browser: "Chrome"
) -> None:
    """By date alone: ordered by name, there are none."""
    mirror = Mirror(tmp_path / "mirror")
    first = mirror.add(0, "sunset.jpg", "image/0.jpg", said=facts())
    times = {str(10**18 + at): T0 - at * 15 * 86_400_000 for at in range(1, 200)}
    mirror.manifest.record(
        PutEntry(replace(first, id=id_, update_time_ms=time_ms, create_time_ms=time_ms))
        for id_, time_ms in times.items()
    )
    page = Page(browser, mirror.write())
    page.open()
    shown = "return [...document.querySelectorAll('.month')].map(it => it.textContent).join()"
    assert "2025" in page.js(shown)
    assert "2017" not in page.js(shown)
    page.js("document.querySelector('#scrubber').focus()")
    page.press(END)
    page.until(lambda: "2017" in page.js(shown))
    page.choose("sort", "name")
    assert page.js(shown) == ""
    assert not page.find("#scrubber").is_displayed()


def test_the_size_of_tiles_survives_a_reload(page: Page) -> None:
    """It is a matter of the screen and the eyes, not of one visit."""
    height = "return document.querySelector('.tile .picture').clientHeight"
    before = page.js(height)
    try:
        page.js(
            "const size = document.querySelector('#tools').elements.size; size.value = size.max;"
            "size.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        larger = page.js(height)
        assert larger > before
        page.open()
        assert page.js(height) == larger
    finally:
        page.js("localStorage.clear()")


def test_the_arrows_leave_a_player(page: Page) -> None:
    """A film that has the focus keeps Space, and steps to the next asset like anything else."""
    page.open(f"9100000000000000002@{T0 + 2000}")
    page.js("document.querySelector('.shown video').focus()")
    before = page.js("return location.hash")
    page.press(RIGHT)
    page.until(lambda: page.js("return location.hash") != before)


def test_what_was_never_fetched_has_a_tile(tmp_path: Path, browser: "Chrome") -> None:
    """It says so, and what to run; its page says why."""
    mirror = small_mirror(tmp_path / "mirror")
    when = "2025-11-20T01:17:09Z"
    lost = Failure("77", T0, None, "resource", "gave 404", 1, when, when, "lost.mp4", "video")
    mirror.manifest.record([PutFailure(lost)])
    page = Page(browser, mirror.write())
    page.open()
    tile = page.js("return document.querySelector('.tile.missing').textContent")
    assert "lost.mp4" in tile
    with page.emulating(width=360):
        page.open()
        assert page.js("return document.body.scrollWidth - document.body.clientWidth") == 0
    assert "run kling-mirror sync" in tile
    page.open(f"77@{T0}")
    page.until(lambda: "gave 404" in page.find(".shown").text)
