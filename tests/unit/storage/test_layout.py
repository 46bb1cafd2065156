"""Paths: whatever the service calls an asset, its files land where every system takes them."""

import itertools
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mirror.models import Asset, Role, key_of
from mirror.storage import layout
from mirror.storage.layout import account_folder, choose_paths, fold, history_path, safe_component

SOME = settings(max_examples=150, deadline=None, database=None)
VIDEO: Mapping[Role, str] = {"resource": ".mp4", "cover": ".jpg"}

FORBIDDEN = frozenset('/\\<>:"|?*')
BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
DEVICES = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$")) | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"
}
ROOT_NAMES = (
    "video",
    "image",
    "audio",
    "other",
    ".kling-mirror",
    "manifest.json",
    "manifest.json.bak",
    "SHA256SUMS",
    "gallery",
)

NASTY = (
    "",
    ".",
    "..",
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "C:\\boot.ini",
    "C:relative",
    "\\\\server\\share",
    "~/.ssh/id_rsa",
    "a/../../b",
    "CON",
    "con.txt",
    "con .txt",
    "con. .mp4",
    "Aux.tar.gz",
    "nul",
    "COM1",
    "com0.mp4",
    "LPT\u00b9",
    "lpt\u00b3.mp4",
    "CONIN$",
    "conout$.mp4",
    "-rf",
    "--help.mp4",
    ".hidden",
    "...hidden.mp4",
    ". -.mp4",
    "trailing.",
    "trailing ",
    "trailing. . .mp4",
    " leading.mp4",
    "a\x00b.mp4",
    "line\nbreak\r.mp4",
    "\x1b[31mred\x07.mp4",
    "del\x7f\x9b.mp4",
    "stream.mp4:hidden:$DATA",
    'what?*<>|".mp4',
    "gpj.\u202eexe.mp4",
    "\u200fmark\u200e.mp4",
    "\u2066isolate\u2069.mp4",
    "\ufeffbom.mp4",
    "soft\u00adhyphen.mp4",
    "line\u2028separator\u2029.mp4",
    "private\ue000use.mp4",
    "lone\ud800surrogate.mp4",
    "\udfff",
    "e\u0301cole.mp4",
    "\u212bngstro\u0308m.mp4",
    "\u0301leading mark.mp4",
    "\u1100\u1161\u11a8.mp4",
    "\u0958\u0959.mp4",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466.mp4",
    "\U0001f3f3\ufe0f\u200d\U0001f308.mp4",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.mp4",
    "STRASSE.mp4",
    "stra\u00dfe.mp4",
    "\u0130stanbul.mp4",
    "\ufb01le.mp4",
    "n" * 4096,
    "\u00e9" * 2048 + ".mp4",
    "\U0001f3ac" * 1024 + ".mp4",
    "a." * 2048,
    "con" + "." * 4096,
    "name.toolongforasuffix",
    "name.mp4/../../../x",
    "%2e%2e%2fetc",
    "$(reboot)`id`;&.mp4",
)
NASTY_IDS = (
    "../../etc",
    "..",
    "/",
    "a/b",
    "a\\b",
    "con",
    "NUL",
    "1 ",
    "1.",
    "1.mp4",
    "-1",
    "-",
    "---",
    "_",
    "\x00",
    "\u202e1",
    "\u0661\u0662",
    "\uff11",
    "9" * 5000,
    "id" * 2000,
    "a\u0301",
    "1@2",
    "\U0001f3ac",
)
NASTY_EMAILS = (
    *NASTY,
    "me@example.com",
    "Me@Example.COM",
    "../me@example.com",
    "con@example.com",
    "con.@example.com",
    "a/b@example.com",
    '"quoted text"@example.com',
    "me@[127.0.0.1]",
    "me@b\u00fccher.example",
    "_video",
    "con." + "x" * 144 + ".y",
    "con." + "x" * 144 + " y",
)


def an_asset(
    name: str | None = "abcdef12345.mp4",
    *,
    asset_id: str = "1234567890",
    update_time_ms: int = 1754630473303,
    content_type: str | None = "video",
    account: str | None = None,
) -> Asset:
    """An asset as the API's own example lists it, but for what is named."""
    return Asset(
        key=key_of(asset_id, update_time_ms),
        id=asset_id,
        update_time_ms=update_time_ms,
        create_time_ms=None,
        name=name,
        content_type=content_type,
        urls={},
        account=account,
        raw=Raw(b"{}"),
    )


class Tree:
    """A mirror's tree as far as paths go: who owns which, by `fold`."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def choose(
        self, asset: Asset, suffixes: Mapping[Role, str] = VIDEO, *, by_account: bool = False
    ) -> dict[Role, str]:
        """The paths that are free, or the asset's own already."""
        return choose_paths(
            asset,
            suffixes,
            is_free=lambda path: self.owners.get(fold(path)) in (None, asset.key),
            by_account=by_account,
        )

    def place(
        self, asset: Asset, suffixes: Mapping[Role, str] = VIDEO, *, by_account: bool = False
    ) -> dict[Role, str]:
        """The same, taken; fails where another asset has been."""
        paths = self.choose(asset, suffixes, by_account=by_account)
        for path in paths.values():
            assert self.owners.setdefault(fold(path), asset.key) == asset.key, path
        assert len(set(map(fold, paths.values()))) == len(paths)
        return paths


def assert_portable(path: str) -> None:
    """Fail unless Linux, macOS and Windows all take the path, and take it for the same one."""
    parts = path.split("/")
    assert PureWindowsPath(path).parts == tuple(parts)
    assert PureWindowsPath(path).drive == ""
    for part in parts:
        assert part not in ("", ".", "..")
        assert len(part.encode()) <= 150
        assert unicodedata.is_normalized("NFC", part)
        assert not FORBIDDEN & set(part)
        assert not BIDI & set(part)
        assert not {unicodedata.category(char) for char in part} & {"Cc", "Cs", "Co", "Zl", "Zp"}
        assert part[-1] not in " ."
        assert part[0] not in " -"
        assert part[0] != "." or part == ".kling-mirror"
        assert part.partition(".")[0].rstrip(" ").casefold() not in DEVICES


anything = st.text(st.characters(), max_size=300)  # lone surrogates and all
pieces = st.lists(st.sampled_from([text[:120] for text in NASTY]), max_size=4).map("".join)
names = st.none() | anything | pieces
ids = (
    st.integers(0, 2**70).map(str)
    | st.text(min_size=1, max_size=100)
    | st.sampled_from([text[:120] for text in (*NASTY, *NASTY_IDS) if text and text.isascii()])
)
suffixes = st.from_regex(r"\.[A-Za-z0-9]{1,10}", fullmatch=True)
times = st.integers(-(2**63), 2**63 - 1)


@SOME
@given(
    name=names,
    asset_id=ids,
    update_time_ms=times,
    content_type=st.none() | st.sampled_from(("video", "image", "audio", "../x")) | anything,
    account=st.none() | anything | pieces,
    resource=suffixes,
    cover=suffixes,
    by_account=st.booleans(),
)
def test_any_asset_has_a_portable_path(
    *,
    name: str | None,
    asset_id: str,
    update_time_ms: int,
    content_type: str | None,
    account: str | None,
    resource: str,
    cover: str,
    by_account: bool,
) -> None:
    """Every path stays in the root and is valid everywhere, at the first and the last try."""
    asset = an_asset(
        name,
        asset_id=asset_id,
        update_time_ms=update_time_ms,
        content_type=content_type,
        account=account,
    )
    wanted: Mapping[Role, str] = {"resource": resource, "cover": cover}
    for taken in range(3):
        answers = itertools.chain(itertools.repeat(False, taken), itertools.repeat(True))
        paths = choose_paths(
            asset,
            wanted,
            is_free=lambda _, answers=answers: next(answers),  # type: ignore[misc]
            by_account=by_account,
        )
        for role, path in paths.items():
            assert_portable(path)
            assert path.endswith(wanted[role])
        assert paths["cover"] == paths["resource"].removesuffix(resource) + f".cover{cover}"


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_nasty_names_make_plain_files(name: str, tmp_path: Path) -> None:
    """A hostile name becomes one file inside the root, under exactly the path that was chosen."""
    for path in Tree().place(an_asset(name)).values():
        assert_portable(path)
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
        assert (tmp_path / path).resolve() == tmp_path.resolve() / path
        assert path.partition("/")[2] in [child.name for child in (tmp_path / "video").iterdir()]


@pytest.mark.parametrize("name", ["clip.mp4", None])
@pytest.mark.parametrize("asset_id", [*NASTY_IDS, "\ud800"], ids=lambda text: ascii(text)[:30])
def test_nasty_ids_make_plain_files(asset_id: str, name: str | None) -> None:
    """An id that is no number cannot leave the folder, and stays apart from what it looks like."""
    tree = Tree()
    one = tree.place(an_asset(name, asset_id=asset_id))
    other = tree.place(an_asset(name, asset_id=asset_id + "_"))
    for path in (*one.values(), *other.values()):
        assert_portable(path)
        assert path.count("/") == 1
    assert set(one.values()).isdisjoint(other.values())


@pytest.mark.parametrize("email", NASTY_EMAILS, ids=lambda text: ascii(text)[:40])
def test_nasty_accounts_make_plain_folders(email: str) -> None:
    """An account's folder is one portable component, apart from what the root itself uses."""
    assert_portable(account_folder(email))
    assert account_folder(email).casefold() not in {name.casefold() for name in ROOT_NAMES}


@pytest.mark.parametrize("name", ROOT_NAMES)
@pytest.mark.parametrize("form", ["{}", " {} ", "{}.", "-{}", "..{}", "../{}", "{}/", "{}\u0000"])
def test_no_account_takes_a_folder_of_the_root(name: str, form: str) -> None:
    """No email ends up as `video`, `.kling-mirror`, `manifest.json` and the like, in any case."""
    for text in (name, name.upper(), name.title()):
        folder = account_folder(form.format(text))
        assert fold(folder) not in {fold(taken) for taken in ROOT_NAMES}
        assert_portable(folder)


def test_the_contract_s_examples() -> None:
    """The name's stem, the id, the true suffix; the cover beside it."""
    assert Tree().place(an_asset()) == {
        "resource": "video/abcdef12345-1234567890.mp4",
        "cover": "video/abcdef12345-1234567890.cover.jpg",
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("clip.mp4", "video/clip-7.mp4"),
        ("clip", "video/clip-7.mp4"),
        ("clip.v2.mov", "video/clip.v2-7.mp4"),
        ("my clip.mp4", "video/my clip-7.mp4"),
        ("e\u0301t\u00e9.mp4", "video/\u00e9t\u00e9-7.mp4"),
        ("a/b:c.mp4", "video/a_b_c-7.mp4"),
        ("con.mp4", "video/_con-7.mp4"),
        ("-rf.mp4", "video/rf-7.mp4"),
        ("clip ..mp4", "video/clip-7.mp4"),
        ("", "video/7.mp4"),
        (None, "video/7.mp4"),
        ("..", "video/7.mp4"),
        ("\U0001f468\u200d\U0001f469.mp4", "video/\U0001f468\u200d\U0001f469-7.mp4"),
    ],
    ids=ascii,
)
def test_names_keep_what_can_be_kept(name: str | None, path: str) -> None:
    """A name stays readable; only what some system refuses is replaced."""
    assert Tree().place(an_asset(name, asset_id="7"))["resource"] == path


@pytest.mark.parametrize(
    ("content_type", "folder"),
    [
        ("video", "video"),
        ("image", "image"),
        ("audio", "audio"),
        ("other", "other"),
        ("model", "other"),
        ("Video", "other"),
        ("../video", "other"),
        (".kling-mirror", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_one_folder_per_content_type(content_type: str | None, folder: str) -> None:
    """The three known types have a folder each; everything else is under `other/`."""
    path = Tree().place(an_asset(content_type=content_type))["resource"]
    assert path == f"{folder}/abcdef12345-1234567890.mp4"


@pytest.mark.parametrize(
    ("account", "by_account", "path"),
    [
        ("me@example.com", True, "me@example.com/video/abcdef12345-1234567890.mp4"),
        ("me@example.com", False, "video/abcdef12345-1234567890.mp4"),
        (None, True, "video/abcdef12345-1234567890.mp4"),
        ("../../x", True, "_.._x/video/abcdef12345-1234567890.mp4"),
        ("...", True, "_/video/abcdef12345-1234567890.mp4"),
    ],
)
def test_type_folders_sit_under_the_account(
    *, account: str | None, by_account: bool, path: str
) -> None:
    """With accounts kept apart, the type folders are under the email."""
    assert Tree().place(an_asset(account=account), by_account=by_account)["resource"] == path


def test_a_collision_is_settled_by_the_update_time() -> None:
    """The second asset of one id, name and type bears its updateTime, its cover as well."""
    tree = Tree()
    tree.place(an_asset())
    assert tree.place(an_asset(update_time_ms=1754630473304)) == {
        "resource": "video/abcdef12345-1234567890-1754630473304.mp4",
        "cover": "video/abcdef12345-1234567890-1754630473304.cover.jpg",
    }


def test_case_and_unicode_twins_are_kept_apart() -> None:
    """What a Mac or Windows would take for one name is not given to two assets."""
    tree = Tree()
    first = tree.place(an_asset("Cafe\u0301.mp4"))
    second = tree.place(an_asset("CAF\u00c9.mp4", update_time_ms=2))
    third = tree.place(an_asset("caf\u00e9.MP4", update_time_ms=3))
    assert first["resource"] == "video/Caf\u00e9-1234567890.mp4"
    assert second["resource"] == "video/CAF\u00c9-1234567890-2.mp4"
    assert third["resource"] == "video/caf\u00e9-1234567890-3.mp4"


def test_a_taken_cover_moves_the_resource_too() -> None:
    """A resource and its cover always share their stem."""
    tree = Tree()
    tree.owners[fold("video/abcdef12345-1234567890.cover.jpg")] = "somebody"
    assert tree.place(an_asset())["resource"] == "video/abcdef12345-1234567890-1754630473303.mp4"


def test_ids_that_imitate_our_own_tails_take_nobody_s_place() -> None:
    """Even ids made from our collision marks cannot make two assets share a path."""
    tree = Tree()
    target = an_asset("x.mp4", asset_id="1", update_time_ms=5)
    tree.place(an_asset("x.mp4", asset_id="1", update_time_ms=4))
    tree.place(an_asset("x.mp4", asset_id="1-5"))
    tree.place(an_asset("x.mp4", asset_id=f"1-{layout.short_hash(target.key)}"))
    for path in tree.place(target).values():
        assert_portable(path)


crowded = st.lists(
    st.builds(
        an_asset,
        st.sampled_from((None, "", "x.mp4", "X.mp4", "x", "x-1", "e\u0301", "\u00c9", "x.cover")),
        asset_id=st.sampled_from(("1", "1-5", "1-5-5", "x-1", "a", "A", "1_", "1/", "-5")),
        update_time_ms=st.sampled_from((5, -5, 55)),
        content_type=st.sampled_from(("video", "image", "model", None)),
        account=st.sampled_from((None, "me", "Me", "m/e", "m_e", "video", "_video")),
    ),
    max_size=40,
    unique_by=lambda asset: asset.key,
)


@SOME
@given(assets=crowded, by_account=st.booleans())
def test_assets_never_collide_and_stay_where_they_are(
    *, assets: Iterable[Asset], by_account: bool
) -> None:
    """Each asset of a growing tree has paths of its own, and is given the same ones again."""
    tree = Tree()
    placed = [(asset, tree.place(asset, by_account=by_account)) for asset in assets]
    for asset, paths in placed:
        assert tree.choose(asset, by_account=by_account) == paths
        for path in paths.values():
            assert_portable(path)


@SOME
@given(text=anything | pieces, max_bytes=st.integers(1, 200))
def test_a_component_is_clean_at_any_length(text: str, max_bytes: int) -> None:
    """Cutting a component never makes it invalid or too long; cleaning it again is no change."""
    component = safe_component(text, max_bytes=max_bytes)
    assert len(component.encode()) <= max_bytes
    if component and max_bytes <= 150:
        assert_portable(component)
        assert safe_component(component, max_bytes=max_bytes) == component


@pytest.mark.parametrize("code_point", [0xFFFF, 0xFFFE, 0xFDD0, 0x1FFFE, 0x0378, 0xE0080])
def test_unassigned_characters_are_replaced(code_point: int) -> None:
    """APFS refuses names with code points that Unicode has not assigned (EILSEQ)."""
    assert safe_component(f"a{chr(code_point)}b") == "a_b"


@SOME
@given(text=anything)
def test_fold_sees_what_file_systems_take_for_one(text: str) -> None:
    """Names that Unicode's canonical caseless matching (D145) calls equal fold to the same."""
    for twin in (
        unicodedata.normalize("NFD", text),
        text.upper(),
        text.lower(),
        text.swapcase(),
        text.casefold(),
    ):
        if _caseless(twin) == _caseless(text):
            assert fold(twin) == fold(text)


def _caseless(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", decomposed).casefold())


@SOME
@given(
    name=names,
    asset_id=ids,
    account=st.none() | pieces,
    times=st.tuples(st.integers(0, 2**43), st.integers(0, 2**43)),
)
def test_history_keeps_every_version_apart(
    name: str | None, asset_id: str, account: str | None, times: tuple[int, int]
) -> None:
    """A replaced file's place is under `history/`, portable as any, and its version's own."""
    asset = an_asset(name, asset_id=asset_id, account=account)
    for path in Tree().place(asset, by_account=True).values():
        kept = [history_path(path, str(time_ms)) for time_ms in times]
        assert (kept[0] == kept[1]) == (times[0] == times[1])
        for place in kept:
            assert place.startswith(".kling-mirror/history/")
            assert_portable(place)


@pytest.mark.parametrize("name", ["n" * 4096, "\U0001f3ac" * 1024 + ".mp4", "con" + "." * 4096])
@pytest.mark.parametrize("version", ["1754630473303", "replaced-1754630473303-2"])
def test_history_has_room_for_long_names(name: str, version: str) -> None:
    """A name that is as long as names may be is not longer in history."""
    for path in Tree().place(an_asset(name, asset_id="9" * 19)).values():
        assert_portable(history_path(path, version))


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("video/a-1.mp4", ".kling-mirror/history/video/a-1@5.mp4"),
        ("video/a-1.cover.jpg", ".kling-mirror/history/video/a-1.cover@5.jpg"),
        ("a.b/video/1", ".kling-mirror/history/a.b/video/1@5"),
    ],
)
def test_history_marks_the_version_before_the_suffix(path: str, kept: str) -> None:
    """A file in history opens with the same program as before."""
    assert history_path(path, "5") == kept


@pytest.mark.parametrize("suffix", [".mp4", ".JPEG", ".bin"])
def test_a_path_has_its_suffix(suffix: str) -> None:
    """The suffix of one of our paths is read back as it was given."""
    paths = Tree().place(an_asset("a.b.c"), {"resource": suffix, "cover": suffix})
    assert {layout.suffix_in(path) for path in paths.values()} == {suffix}


@SOME
@given(text=anything | pieces | st.text("\u0390\u1f82\uac01\ufb2c\u00fc", min_size=70))
def test_a_name_fits_macos_and_windows_in_their_own_units(text: str) -> None:
    """HFS+ counts 255 UTF-16 units of the decomposed name, NTFS of the composed one."""
    name = safe_component(text)
    assert len(unicodedata.normalize("NFD", name).encode("utf-16-le")) // 2 <= 255
    assert len(name.encode("utf-16-le")) // 2 <= 255


@pytest.mark.parametrize("account", [None, "someone.with.a.name@example.com"])
def test_the_longest_path_fits_windows_limit(account: str | None) -> None:
    r"""Below `C:\Users\SomebodyWithAName\kling-mirror`, in history and while it is being copied.

    Windows takes 259 characters where long paths are not switched on.
    """
    root = r"C:\Users\SomebodyWithAName\kling-mirror"
    asset = an_asset("n" * 4096, asset_id="9" * 19, account=account)
    for path in choose_paths(
        asset, VIDEO, is_free=lambda _: True, by_account=account is not None
    ).values():
        place = history_path(path, "replaced-1754630473303-99")
        assert len(f"{root}\\{place}") + len("..tmp") <= 259
