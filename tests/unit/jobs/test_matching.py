"""Which names may be which asset's: guesses that are cheap, but not wild."""

from pathlib import Path

import msgspec
import pytest

from mirror.jobs.matching import ByName
from mirror.models import Asset, Role
from mirror.net.decode import decode_item
from tests.lib.library import Library


def asset_of(**changes: object) -> Asset:
    """An asset as Kling lists it."""
    item = Library().add(1, name="Café au lait.mp4")
    item["resource"]["resource"] = "https://cdn.example/a/b/origin%20file.mp4?x=1"
    item["cover"]["resource"] = "https://cdn.example/a/b/thumb_1?x=1"
    return decode_item(msgspec.Raw(msgspec.json.encode(item | changes)), account=None)


def found(name: str, role: Role, /, **changes: object) -> bool:
    """Whether a file of this name may be it."""
    return bool(ByName([Path("/d") / name]).candidates(asset_of(**changes), role))


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Café au lait.mp4", "resource"),
        ("Cafe\u0301 AU lait.MOV", "resource"),
        ("Café au lait (2).mp4", "resource"),
        ("Café au lait - Copy.mp4", "resource"),
        ("Café au lait.mp4.part", "resource"),
        ("9100000000000000001.bin", "resource"),
        ("x_9100000000000000001_y.mp4", "resource"),
        ("Café au lait-9100000000000000001.mp4", "resource"),
        ("origin file.mp4", "resource"),
        ("Café au lait-9100000000000000001.cover.jpg", "cover"),
        ("Café au lait.cover.png", "cover"),
        ("Café au lait.webp", "cover"),
        ("thumb_1", "cover"),
        ("thumb_1.dat", "cover"),
    ],
)
def test_likely_names_are_found(name: str, role: Role) -> None:
    """By name, by id, by the URL's last part; each for its own role alone."""
    assert found(name, role)
    assert not found(name, "cover" if role == "resource" else "resource")


@pytest.mark.parametrize("name", ["other.mp4", "9100000000000000002.mp4", "910.mp4", "lait.mp4"])
def test_other_names_are_not(name: str) -> None:
    """A part of a name, or of an id, is nothing."""
    assert not found(name, "resource")


def test_an_image_may_have_any_suffix() -> None:
    """Kling calls images `.mp4`: what an image's name says of its kind is worth nothing."""
    assert found("Café au lait.png", "resource", contentType="image")
    assert found("Café au lait.mp4", "resource", contentType="image")


def test_an_asset_without_name_or_url_is_found_by_its_id() -> None:
    """Every field may be missing."""
    assert found("9100000000000000001.mp4", "resource", name=None, resource=None)
    assert not found("None.mp4", "resource", name=None, resource=None)
