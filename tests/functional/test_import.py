"""`import DIR`: what is here already is adopted once it is proved, and not fetched again."""

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror import config
from mirror.commands.import_ import in_words
from mirror.demo.server import Request, Response
from mirror.demo.service import KlingService
from mirror.errors import ExitCode, MirrorError
from mirror.jobs import adopt
from mirror.jobs.adopted import Adopted
from mirror.stopping import Stop
from tests.conftest import RunProgram
from tests.lib.library import ACCESS, EMAIL, PNG, TOKEN, Library, media
from tests.lib.mirrored import key_of, manifest_of
from tests.lib.runs import Notes, run_sync

BIG = 300_000


class Counting(KlingService):
    """Counts the bytes of files that it serves; `headers` go with each."""

    served = 0
    more: Callable[[bytes], dict[str, str]] = staticmethod(lambda _: {})

    def file(self, request: Request) -> Response:
        """A file, counted."""
        response = super().file(request)
        self.served += len(response.body)
        response.headers |= type(self).more(self.files[request.path].body)
        return response


class Digests(Counting):
    """Gives the SHA-256 of each file, as RFC 9530 has it."""

    more = staticmethod(lambda body: {"Repr-Digest": f"sha-256=:{_base64(body)}:", "ETag": '"7"'})


class TwoDigests(Counting):
    """Gives the right SHA-256, and an ETag that is another file's MD5."""

    more = staticmethod(
        lambda body: {
            "Repr-Digest": f"sha-256=:{_base64(body)}:",
            "ETag": f'"{_md5(body + b"!")}"',
        }
    )


class Sha1Tags(Counting):
    """Has the SHA-1 of each file for its ETag, weak and in capitals."""

    more = staticmethod(
        lambda body: {"ETag": f'W/"{hashlib.sha1(body).hexdigest().upper()}"'}  # noqa: S324
    )


class OpaqueTags(Counting):
    """Has ETags that are no digest, as a store has them for what was uploaded in parts."""

    more = staticmethod(lambda body: {"ETag": f'"{_md5(body)}-2"'})


class WrongTags(Counting):
    """Has the MD5 of another file for each ETag."""

    more = staticmethod(lambda body: {"ETag": f'"{_md5(body + b"!")}"'})


class Whole(Counting):
    """Knows no ranges."""

    def file(self, request: Request) -> Response:
        """The whole file, whatever was asked for."""
        plain = {name: each for name, each in request.headers.items() if name != "range"}
        return super().file(replace(request, headers=plain))


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _base64(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture
def service(library: Library) -> Iterator[Counting]:
    """The service, with a count of what it serves."""
    with library.service(Counting) as running:
        assert isinstance(running, Counting)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What was downloaded otherwise."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def imports(program: RunProgram, service: Counting, dest: Path, folder: Path) -> Callable[..., Any]:
    """Runs `kling-mirror import --json`."""

    def run(*arguments: object) -> Any:  # noqa: ANN401 - it is JSON
        done = program(
            "import", folder, "--json", "--dest", dest, "--api-url", service.api_url, *arguments,
            env=ACCESS,
        )  # fmt: skip
        assert done.code == 0, done.err
        return json.loads(done.out)

    return run


def adopted(
    service: KlingService, dest: Path, folder: Path, *, dry_run: bool = False
) -> tuple[Adopted, list[MirrorError]]:
    """An import in this process."""
    settings = config.load(
        {"dest": str(dest), "api_url": service.api_url, "min_free": 0, "max_attempts": 1},
        environ={},
        config_path=Path(os.devnull),
    )
    return adopt.adopt(
        settings,
        service.token,
        folder,
        state_folder=folder.with_name("state"),
        progress=Notes(),
        stop=Stop(),
        dry_run=dry_run,
    )


def body_of(library: Library, item: dict[str, Any], role: str = "resource") -> bytes:
    """The bytes that Kling has."""
    return library.files[item[role]["resource"].partition("?")[0]].body


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """All that could be changed in a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), *_times(path))
        for path in folder.rglob("*")
        if path.is_file()
    }


def _times(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_nlink


def names_for(item: dict[str, Any]) -> list[str]:
    """Names that people and scripts give to a file."""
    stem, dot, suffix = item["name"].rpartition(".")
    url_name = item["resource"]["resource"].partition("?")[0].rpartition("/")[2]
    return [
        item["name"],
        f"{item['id']}.{suffix}",
        f"deep/er/{stem}-{item['id']}{dot}{suffix}",
        f"2025 kling_{item['id']}_final.{suffix}",
        f"{stem} (1).{suffix}",
        f"{stem.upper()}.bin",
        f"{url_name}.{suffix}",
        f"{item['name']}.download",
        "a name that says nothing.xyz",
    ]


def test_nothing_is_fetched_twice(  # noqa: PLR0917 - pytest's own
    imports: Callable[..., Any],
    sync: RunProgram,
    service: Counting,
    library: Library,
    folder: Path,
    dest: Path,
) -> None:
    """Files under all sorts of names are adopted; `sync` then fetches the others alone."""
    items = [library.add(number, "image", size=BIG + number) for number in range(12)]
    for number, item in enumerate(items[:9]):
        path = folder / names_for(item)[number]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body_of(library, item))
    (folder / "note.txt").write_text("not Kling's")
    before = snapshot(folder)

    shown = imports()

    assert len(shown["adopted"]) == 9
    assert {each["proof"] for each in shown["adopted"]} == {"digest"}
    assert (shown["refused"], shown["left"], len(shown["no_match"])) == ([], 3, 3)
    assert shown["unused"] == [str(folder / "note.txt")]
    assert service.served <= 12, "a byte each"
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
    service.served = 0
    asked = len(service.cdn_requests())
    done = sync()
    assert (done.code, done.summary["files"]) == (
        0,
        {"fetched": 3, "reused": 0, "bytes": sum(BIG + number for number in (9, 10, 11))},
    )
    wanted = {f"/cdn/image/{number}" for number in (9, 10, 11)}
    assert {each.path for each in service.cdn_requests()[asked:]} == wanted
    assert snapshot(folder) == before

    service.served = 0
    again = imports()
    assert (again["adopted"], again["left"], service.served) == ([], 0, 0)
    assert len(again["mirrored"]) == 9
    assert snapshot(folder) == before


def test_covers_are_adopted_beside_their_assets(
    imports: Callable[..., Any], sync: RunProgram, service: Counting, library: Library, folder: Path
) -> None:
    """Covers are found too; an asset without its cover is adopted, and `sync` fetches the cover."""
    for number in range(3):
        item = library.add(number, size=BIG)
        (folder / item["name"]).write_bytes(body_of(library, item))
        name = (f"{item['id']}.cover.jpg", f"clip{number}.jpg", "")[number]
        if name:
            (folder / name).write_bytes(body_of(library, item, "cover"))
    shown = imports()
    roles = [each["role"] for each in shown["adopted"]]
    assert (roles.count("resource"), roles.count("cover"), shown["refused"]) == (3, 2, [])
    asked = len(service.cdn_requests())
    assert sync().code == 0
    assert [each.path for each in service.cdn_requests()[asked:]] == ["/cdn/video/2.cover"]


def test_a_cover_alone_makes_no_entry(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """An asset without its resource is left to `sync`."""
    item = library.add(1, size=BIG)
    (folder / "clip1.cover.jpg").write_bytes(body_of(library, item, "cover"))
    shown, _ = adopted(service, dest, folder)
    assert (shown.adopted, shown.left, manifest_of(dest)["assets"]) == ([], 2, {})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-1],
        lambda body: body + b"\0",
        lambda body: b"\xff" + body[1:],
        lambda body: body[:-1] + b"\xff",
        lambda body: body[: len(body) // 3] + b"\xff" + body[len(body) // 3 + 1 :],
    ],
    ids=["short", "long", "start", "end", "within"],
)
def test_other_bytes_are_never_adopted(
    service: Counting,
    library: Library,
    dest: Path,
    folder: Path,
    spoil: Callable[[bytes], bytes],
) -> None:
    """The name is right and the file is not: it is reported, kept out, and fetched by `sync`."""
    item = library.add(1, "image", size=1_200_000)
    path = folder / item["name"]
    path.write_bytes(spoil(body_of(library, item)))
    shown, errors = adopted(service, dest, folder)
    assert (shown.exit_code, errors, shown.adopted) == (ExitCode.COMPLETE, [], [])
    assert [each.source for each in shown.refused] == [str(path)]
    assert "at Kling" in shown.refused[0].why
    assert in_words(shown)[0].startswith(f"not adopted: {path}: ")
    assert run_sync(service, dest).exit_code is ExitCode.COMPLETE
    (stored,) = manifest_of(dest)["assets"].values()
    assert stored["resource"]["sha256"] == hashlib.sha256(body_of(library, item)).hexdigest()


@pytest.mark.parametrize("kind", [Digests, Counting, Sha1Tags])
def test_a_digest_proves_every_byte(
    library: Library, dest: Path, folder: Path, kind: type[Counting]
) -> None:
    """One request decides: a digest header, or an ETag that is the file's MD5 or SHA-1."""
    items = [library.add(number, "image", size=BIG) for number in range(2)]
    bodies = [body_of(library, item) for item in items]
    (folder / items[0]["name"]).write_bytes(bodies[0])
    spoiled = bodies[1][: BIG // 3] + b"\xff" + bodies[1][BIG // 3 + 1 :]
    (folder / items[1]["name"]).write_bytes(spoiled)
    with library.service(kind) as service:
        shown, _ = adopted(service, dest, folder)
        asked = len([each for each in service.cdn_requests() if each.path == "/cdn/image/0"])
    assert [(each.id, each.proof) for each in shown.adopted] == [(items[0]["id"], "digest")]
    assert [each.id for each in shown.refused] == [items[1]["id"]]
    assert asked == 1
    (stored,) = manifest_of(dest)["assets"].values()
    assert stored["resource"]["etag"] is not None


@pytest.mark.parametrize("kind", [WrongTags, TwoDigests])
def test_a_digest_that_differs_is_a_refusal(
    library: Library, dest: Path, folder: Path, kind: type[Counting]
) -> None:
    """An ETag that is another file's MD5 speaks against a file, whatever speaks for it."""
    item = library.add(1, "image", size=BIG)
    (folder / item["name"]).write_bytes(body_of(library, item))
    with library.service(kind) as service:
        shown, _ = adopted(service, dest, folder)
    assert (shown.exit_code, shown.adopted, shown.left) == (ExitCode.COMPLETE, [], 1)
    assert shown.refused[0].why == "its bytes differ from the file at Kling"


def test_without_a_digest_nothing_is_proved(library: Library, dest: Path, folder: Path) -> None:
    """The same length and the same name are no proof: the file is left to `sync`."""
    item = library.add(1, "image", size=BIG)
    (folder / item["name"]).write_bytes(body_of(library, item))
    with library.service(OpaqueTags) as service:
        shown, _ = adopted(service, dest, folder)
    assert (shown.exit_code, shown.adopted, shown.left) == (ExitCode.COMPLETE, [], 1)
    assert "no digest" in shown.refused[0].why


def test_another_mirror_needs_no_request(
    service: Counting, library: Library, dest: Path, tmp_path: Path
) -> None:
    """The manifest of another mirror is proof, as far as its files are as it says."""
    items = [library.add(number, size=BIG) for number in range(4)]
    old = tmp_path / "old"
    run_sync(service, old)
    paths = {
        key: old / entry["resource"]["path"] for key, entry in manifest_of(old)["assets"].items()
    }
    spoiled = paths[key_of(items[0])]
    spoiled.write_bytes(b"\xff" * BIG)
    (old / "gallery").mkdir()
    (old / "gallery/index.html").write_text("the page of the other mirror")
    before = snapshot(old)
    service.requests.clear()
    shown, _ = adopted(service, dest, old)
    assert {each.proof for each in shown.adopted} == {"manifest"}
    assert (len(shown.adopted), shown.left) == (6, 2), "a cover alone makes no entry"
    assert {each.path for each in service.cdn_requests()} == {"/cdn/video/0"}
    assert "manifest beside it" in shown.refused[0].why
    assert not any("gallery" in path for path in shown.unused)
    assert snapshot(old) == before
    kept = {key: entry["resource"]["etag"] for key, entry in manifest_of(old)["assets"].items()}
    new = {key: entry["resource"]["etag"] for key, entry in manifest_of(dest)["assets"].items()}
    assert new.items() <= kept.items()


def test_a_folder_of_any_name_is_looked_into(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """What is ours in a mirror, such as `gallery`, is anybody's elsewhere."""
    item = library.add(1, "image")
    (folder / "gallery").mkdir()
    (folder / "gallery" / item["name"]).write_bytes(body_of(library, item))
    shown, _ = adopted(service, dest, folder)
    assert [each.id for each in shown.adopted] == [item["id"]]


def test_a_manifest_cannot_point_out_of_its_folder(
    service: Counting, library: Library, dest: Path, tmp_path: Path
) -> None:
    """A path that leads elsewhere is not followed, whatever the manifest says."""
    item = library.add(1, "image", size=BIG)
    old = tmp_path / "old"
    run_sync(service, old)
    manifest = manifest_of(old)
    (entry,) = manifest["assets"].values()
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100)
    (old / entry["resource"]["path"]).unlink()
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    entry["resource"] |= {"path": "../secret", "size": 600, "sha256": digest}
    (old / "manifest.json").write_text(json.dumps(manifest))
    shown, _ = adopted(service, dest, old)
    assert (shown.adopted, [each.id for each in shown.no_match]) == ([], [item["id"]])


def test_a_damaged_manifest_is_reported_and_names_are_used(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """A mirror that lost its manifest is a folder like any other."""
    item = library.add(1, "image", size=BIG)
    (folder / "manifest.json").write_text("{")
    (folder / item["name"]).write_bytes(body_of(library, item))
    shown, _ = adopted(service, dest, folder)
    assert [each.proof for each in shown.adopted] == ["digest"]
    assert shown.unused == []


def test_a_changed_asset_is_adopted_over_the_old_one(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """The version before goes to history, as when it is fetched."""
    item = library.add(1, "image", size=BIG)
    run_sync(service, dest)
    library.change(item, media("image", "new", BIG))
    (folder / item["name"]).write_bytes(body_of(library, item))
    shown, _ = adopted(service, dest, folder)
    assert len(shown.adopted) == 1
    states = {entry["state"] for entry in manifest_of(dest)["assets"].values()}
    assert states == {"superseded", "current"}
    assert len(list((dest / ".kling-mirror/history").rglob("*.png"))) == 1


def test_a_broken_file_is_mended(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """What is mirrored and missing on the disk is taken from the folder."""
    item = library.add(1, size=BIG)
    run_sync(service, dest)
    (entry,) = manifest_of(dest)["assets"].values()
    (dest / entry["resource"]["path"]).unlink()
    (folder / item["name"]).write_bytes(body_of(library, item))
    shown, _ = adopted(service, dest, folder)
    assert [each.path for each in shown.adopted] == [entry["resource"]["path"]]
    assert (dest / entry["resource"]["path"]).read_bytes() == body_of(library, item)


def test_a_dry_run_writes_nothing(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """It compares, and reports what would be adopted."""
    item = library.add(1, "image", size=BIG)
    (folder / item["name"]).write_bytes(body_of(library, item))
    shown, _ = adopted(service, dest, folder, dry_run=True)
    assert [(each.id, each.path) for each in shown.adopted] == [(item["id"], "")]
    assert not dest.exists()


def test_links_hidden_files_and_those_of_a_nas_are_left_alone(
    service: Counting, library: Library, folder: Path, tmp_path: Path
) -> None:
    """Only plain files are read; a mirror within the folder is not looked into."""
    item = library.add(1, "image", size=BIG)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(body_of(library, item))
    (folder / item["name"]).symlink_to(elsewhere)
    (folder / f".{item['name']}").write_bytes(body_of(library, item))
    (folder / "empty.png").touch()
    (folder / "@eaDir" / item["name"]).mkdir(parents=True)
    (folder / "@eaDir" / item["name"] / "SYNOFILE_THUMB_M.png").write_bytes(PNG + b"thumb")
    shown, _ = adopted(service, folder / "mirror", folder)
    assert (shown.adopted, shown.unused, shown.left) == ([], [], 1)
    assert not service.cdn_requests()


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_may_be_no_text(imports: Callable[..., Any], library: Library, folder: Path) -> None:
    """File names are bytes: what is not UTF-8 is adopted and named like any other."""
    item = library.add(1, "image", size=BIG)
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(body_of(library, item))
    (folder / os.fsdecode(b"t\xe9.txt")).write_bytes(b"tea")
    shown = imports()
    assert [Path(each["source"]).name for each in shown["adopted"]] == ["caf\ufffd.png"]
    assert [Path(each).name for each in shown["unused"]] == ["t\ufffd.txt"]


def test_two_assets_may_have_one_file(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """Kling may list one id and one name twice: each asset gets the bytes that are its own."""
    video = library.add(1, cover=False, size=BIG)
    image = library.add(2, "image", name=video["name"], size=BIG)
    image["id"] = video["id"]
    (folder / f"{video['id']}.mp4").write_bytes(body_of(library, video))
    (folder / f"{video['id']} (1).mp4").write_bytes(body_of(library, image))
    shown, _ = adopted(service, dest, folder)
    assert (len(shown.adopted), shown.refused, shown.left) == (2, [], 0)


def test_a_server_without_ranges_is_cut_off(library: Library, dest: Path, folder: Path) -> None:
    """It begins to send the whole file: its headers are enough."""
    item = library.add(1, "image", size=3_000_000)
    (folder / item["name"]).write_bytes(body_of(library, item))
    with library.service(Whole) as service:
        shown, _ = adopted(service, dest, folder)
    assert [each.proof for each in shown.adopted] == ["digest"]


def test_a_saved_error_page_is_no_file(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """What was saved in place of a file is not adopted, though the CDN still sends the same."""
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    item = library.add(1, "image", body=page)
    (folder / item["name"]).write_bytes(page)
    shown, _ = adopted(service, dest, folder)
    assert shown.adopted == []
    assert "error page" in shown.refused[0].why


def test_a_rebuilt_manifest_proves_nothing(
    service: Counting, library: Library, dest: Path, tmp_path: Path
) -> None:
    """An entry that was made of a file alone says what the file is, not what Kling has."""
    item = library.add(1, "image", size=BIG)
    old = tmp_path / "old"
    run_sync(service, old)
    manifest = manifest_of(old)
    (entry,) = manifest["assets"].values()
    rotten = b"\xff" * BIG
    (old / entry["resource"]["path"]).write_bytes(rotten)
    entry["resource"] |= {"url": "", "sha256": hashlib.sha256(rotten).hexdigest()}
    (old / "manifest.json").write_text(json.dumps(manifest))
    shown, _ = adopted(service, dest, old)
    assert (shown.adopted, shown.left) == ([], 1)
    assert [each.id for each in shown.refused] == [item["id"]]


def test_an_expired_url_is_left_to_sync(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """What the CDN refuses cannot be compared; the others are adopted all the same."""
    items = [library.add(number, "image", size=BIG) for number in range(2)]
    for item in items:
        (folder / item["name"]).write_bytes(body_of(library, item))
    del library.files["/cdn/image/0"]
    shown, _ = adopted(service, dest, folder)
    assert (shown.exit_code, len(shown.adopted), shown.left) == (ExitCode.SOME_FAILED, 1, 1)
    assert [each.id for each in shown.failures] == [items[0]["id"]]


def test_the_reserve_of_the_disk_is_kept(
    program: RunProgram, service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """Copies need room: below the reserve nothing is adopted, exit 6."""
    item = library.add(1, "image", size=BIG)
    (folder / item["name"]).write_bytes(body_of(library, item))
    done = program(
        "import", folder, "--dest", dest, "--api-url", service.api_url, "--min-free", "900T",
        env=ACCESS,
    )  # fmt: skip
    assert (done.code, "nearly full" in done.err) == (6, True)
    assert manifest_of(dest)["assets"] == {}


def test_what_was_adopted_is_said_beside_an_error(
    program: RunProgram, service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """An account that is refused takes nothing from the others, nor from what is said of them."""
    item = library.add(1, "image")
    (folder / item["name"]).write_bytes(body_of(library, item))
    done = program(
        "import", folder, "--dest", dest, "--api-url", service.api_url, "--min-free", "0",
        "--email", EMAIL, "--email", "nobody@example.com",
        env=ACCESS,
    )  # fmt: skip
    assert (done.code, done.out) == (4, "")
    assert "1 file adopted (" in done.err
    assert "nobody@example.com" in done.err
    first = program("status", "--dest", dest).out.splitlines()[0]
    assert first.endswith("Run `kling-mirror sync`."), "nothing proves yet that this is all"


def test_what_cannot_be_imported_is_said(
    program: RunProgram, service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """No such folder, the mirror itself, a refused token: the usual codes, and no traceback."""
    library.add(1, "image")
    run_sync(service, dest)

    def run(path: Path, token: str = TOKEN) -> tuple[int, str]:
        done = program(
            "import", path, "--dest", dest, "--api-url", service.api_url,
            env={"KLING_MIRROR_TOKEN": token},
        )  # fmt: skip
        assert done.out == ""
        return done.code, done.err

    code, said = run(folder / "absent")
    assert (code, "no such folder" in said) == (2, True)
    code, said = run(dest)
    assert (code, "the mirror itself" in said) == (2, True)
    code, said = run(folder, "user:0-wrong")
    assert (code, "token" in said) == (4, True)
    code, said = run(folder)
    assert (code, said) == (0, "nothing adopted\n")


def test_a_stop_keeps_what_is_committed(
    service: Counting, library: Library, dest: Path, folder: Path
) -> None:
    """A stop on the way ends with its code; the next import goes on."""
    for number in range(70):
        item = library.add(number, "image", size=3000 + number)
        (folder / item["name"]).write_bytes(body_of(library, item))
    stop = Stop()

    class Stopper(Notes):
        def done(self, *_: object) -> None:
            stop.set()

    settings = config.load(
        {"dest": str(dest), "api_url": service.api_url, "min_free": 0},
        environ={},
        config_path=Path(os.devnull),
    )
    shown, _ = adopt.adopt(
        settings, TOKEN, folder, state_folder=dest.parent / "state", progress=Stopper(), stop=stop
    )
    assert shown.exit_code == ExitCode.SIGINT
    first = len(shown.adopted)
    assert 0 < first < 70
    shown, _ = adopted(service, dest, folder)
    assert (len(shown.adopted), shown.left) == (70 - first, 0)
