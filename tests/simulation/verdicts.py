"""What each job promises, held against what became of it."""

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from mirror.models import ROLES, Role
from tests.lib.invariant import PRIVATE
from tests.simulation.scene import Step
from tests.simulation.truth import ABSENT, Asset
from tests.simulation.weather import DATED_WRONGLY

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle


def judge(oracle: "Oracle", step: Step) -> None:
    """Hold one job against its own promises."""
    if step.is_dry:
        is_same = step.before.folder.everything() == step.after.folder.everything()
        assert is_same, f"a dry run of {step.job} wrote"
        return
    _JUDGES[step.job](oracle, step)


# sync


def _sync(oracle: "Oracle", step: Step) -> None:
    assert step.code != 1, f"unexpected error: {step.outcome.said}"
    wanted = _wanted(oracle, step)
    if step.is_whole and step.code is not None:
        oracle.owed = {asset: step.before.listed[asset] for asset in wanted}
    if step.code == 0:
        _is_complete(oracle, step, wanted)
        if step.is_whole:
            _all_is_owned(oracle, step)
    if step.is_calm and step.code is not None:
        hindered = set(_obstacles(oracle, step))
        assert step.code in {0, *hindered}, (
            f"exit {step.code}, though nothing stood in the way: {step.outcome.said} "
            f"{step.outcome.report.get('failures')}"
        )
        if step.is_whole and not hindered:
            _nothing_lingers(oracle, step)


def users_of(oracle: "Oracle", step: Step) -> set[int]:
    """Whose assets a job is about."""
    emails = oracle.world.kling.tokens[step.order["token"]]
    return {emails[it] for it in step.settings.get("email") or emails if it in emails}


def _wanted(oracle: "Oracle", step: Step) -> list[Asset]:
    """What a run has to mirror: listed from its start to its end, and not hidden."""
    settings, users = step.settings, users_of(oracle, step)
    hidden = _hidden(oracle, step)
    keyword = str(settings.get("file_name", "")).casefold()
    return [
        asset
        for asset, version in step.before.listed.items()
        if step.after.listed.get(asset) == version
        and asset.user in users
        and asset.listed_kind in (settings.get("content_type") or (asset.listed_kind,))
        and keyword in asset.listed_name.casefold()
        and asset not in hidden
    ]


def _hidden(oracle: "Oracle", step: Step) -> Collection[Asset]:
    """What no client could know: no page in any order shows it.

    A listing that shows all that is on record, and nothing else, is believed at once: what it
    hides then is new, and for the next run to find.
    """
    if step.weather.listing is None:
        return ()
    token, size = step.order["token"], int(step.settings.get("page_size", 100))
    sizes = size, max(1, size // 2), 20
    hidden = oracle.world.hidden(step.weather, token, sorts=("asc", "desc"), sizes=sizes)
    one_way = oracle.world.hidden(step.weather, token, sorts=("asc",), sizes=(size,))
    current = {it.key for it in step.before.all_entries().values() if it.state == "current"}
    new = {it for it in step.before.listed if f"{it.id}@{it.now.update_ms}" not in current}
    return hidden | (one_way if one_way <= new else set())


def _is_complete(oracle: "Oracle", step: Step, wanted: list[Asset]) -> None:
    """Exit 0: all that is listed is here, once, in the version that is listed."""
    assert step.after.entries is not None
    wrong = {path for path, _ in step.after.wrong()}
    sky = step.weather.listing
    for asset in wanted:
        current = [
            entry
            for entry in step.after.entries.values()
            if entry.state == "current" and oracle.asset(entry) is asset
        ]
        assert current, f"exit 0, and {asset} is not on record"
        assert len(current) == 1, f"{asset} is here {len(current)} times: {current}"
        for role in ROLES[: 1 if step.settings.get("no_covers") else 2]:
            stored, right = current[0].file(role), getattr(step.before.listed[asset], role)
            if right is None:
                continue
            assert stored is not None, f"exit 0, and the {role} of {asset} is not here"
            is_dated = sky is None or sky[0] not in DATED_WRONGLY
            if asset.odd.get("updateTime") != ABSENT and is_dated:  # else it is what is mirrored
                assert stored.sha256 == right, f"exit 0, and the {role} of {asset} is an old one"
            path = oracle.dest / stored.path
            if stored.path in wrong:  # only `verify` reads the bytes of what has its size
                is_here = path.is_file() and path.stat().st_size == stored.size
                assert is_here, f"exit 0 without {stored.path}"


def _all_is_owned(oracle: "Oracle", step: Step) -> None:
    """Every file belongs to an entry, or to somebody else; what is damaged waits for `prune`."""
    named = step.after.named()
    for path, sha256 in step.after.folder.tree.items():
        assert path in named or sha256 in oracle.foreign, f"no entry names {path}"
    nobodys = oracle.foreign | oracle.worthless
    for path, sha256 in step.after.folder.history.items():
        assert path in named or sha256 in nobodys, f"no entry names {path}"


def _nothing_lingers(oracle: "Oracle", step: Step) -> None:
    """What is deleted at Kling does not stay current for ever."""
    users = users_of(oracle, step)
    for key, entry in step.after.all_entries().items():
        asset = oracle.asset(entry)
        if entry.state == "current" and asset is not None and asset.user in users:
            assert asset in step.before.listed, f"{key} is called current, and Kling has it no more"
    assert not step.after.failures, (
        f"nothing is amiss, and failures are on record: {step.after.failures}"
    )


def _obstacles(oracle: "Oracle", step: Step) -> Iterator[int]:
    """The exit codes that the state of things explains, in calm weather."""
    users = users_of(oracle, step)
    emails = oracle.world.kling.tokens[step.order["token"]]
    chosen = step.settings.get("email")
    if not chosen and not step.settings.get("all_accounts") and len(emails) > 1:
        yield 2
    if any(email not in emails for email in chosen or ()) or not emails:
        yield 4
    yield from _of_the_records(oracle, step)
    if step.weather.listing is not None and step.weather.listing[0] == "item listed twice":
        yield 5  # on pages of one item it looks like pages that overlap
    files = oracle.world.kling.files
    for asset in (it for it in step.before.listed if it.user in users):
        now = asset.now
        in_the_way = (
            it.file(role) for it in oracle.entries_of(step.before, asset) for role in ROLES
        )
        if any(it is not None and (oracle.dest / it.path).is_dir() for it in in_the_way):
            yield 3
        if now.path not in files or (now.cover and now.cover_path not in files):
            yield 3
        if asset.odd:
            yield from (3, 5)
    current = [it for it in step.before.all_entries().values() if it.state == "current"]
    assets = [oracle.asset(entry) for entry in current]
    vanished = [it for it in assets if it not in step.before.listed or it.user not in users]
    if len(vanished) > max(5, len(current) // 10) or (vanished and len(vanished) == len(current)):
        yield 5


def _of_the_records(oracle: "Oracle", step: Step) -> Iterator[int]:
    if step.before.entries is None:
        yield 8
    if not (oracle.dest / PRIVATE / "root.json").exists():
        yield 6  # an older copy, of before its first run came to anything


# verify and what it mends


def _verify(oracle: "Oracle", step: Step) -> None:
    assert step.before.folder.everything() == step.after.folder.everything(), "verify wrote"
    if step.before.entries is None:
        assert step.code == 8, f"exit {step.code} over a damaged manifest"
    if step.code not in (0, 1) or not step.is_undisturbed:
        return
    found = {it["path"] for it in step.outcome.report["wrong"]}
    wrong = step.before.wrong()
    assert found == {path for path, _ in wrong}, f"verify finds {found}, and wrong are {wrong}"
    assert (step.code == 0) == (not wrong), f"exit {step.code}, and wrong are {wrong}"
    oracle.known_damage = wrong


def _repair(oracle: "Oracle", step: Step) -> None:
    wrong = step.before.wrong()
    here = step.before.folder.hashes()
    served = _served(oracle, step)
    can_be_had = {sha256 for path, sha256 in wrong if sha256 in here or path in served}
    left = step.after.wrong() & wrong
    if step.code in (0, 1):
        lost = set(step.outcome.report["lost"])
        for path, sha256 in wrong:
            assert path not in lost or sha256 not in can_be_had, f"{path} is called lost"
        assert (step.code == 0) == (not left), f"exit {step.code}, and wrong are {left}"
        if step.code == 0 and step.is_undisturbed:
            oracle.known_damage = set()
    blocked = {path for path, _ in left if (oracle.dest / path).is_dir()}
    if step.is_undisturbed and step.before.entries is not None:
        unused = {path for path, sha256 in left if sha256 in here} - blocked
        assert not unused, f"--repair leaves what is here: {unused}, {step.outcome}"
    if step.is_calm and step.before.entries is not None:
        mendable = {path for path, sha256 in left if sha256 in can_be_had} - blocked
        assert not mendable, f"--repair leaves what it could mend: {mendable}, {step.outcome}"


def _served(oracle: "Oracle", step: Step) -> set[str]:
    """The paths whose recorded bytes Kling lists under the entry's own key, and serves."""
    kling, users = oracle.world.kling, users_of(oracle, step)
    served = set()
    for entry in step.before.all_entries().values():
        asset = oracle.asset(entry)
        if asset is None or not asset.is_listed or asset.odd or asset.user not in users:
            continue
        now = asset.now
        places: tuple[tuple[Role, str], ...] = (("resource", now.path), ("cover", now.cover_path))
        for role, place in places:
            stored = entry.file(role)
            is_now = now.update_ms == entry.update_time_ms and place in kling.files
            if stored is not None and is_now and getattr(now, role) == stored.sha256:
                served.add(stored.path)
    return served


def _rebuild(oracle: "Oracle", step: Step) -> None:
    if step.code == 0:
        assert step.after.entries is not None, "rebuilt, and it cannot be read"
        named = step.after.named()
        files = {**step.after.folder.tree, **step.after.folder.history}
        oracle.foreign |= {sha256 for path, sha256 in files.items() if path not in named}
    elif step.is_calm:
        raise AssertionError(f"exit {step.code} of --rebuild: {step.outcome.said}")


# prune and import


def _prune(_: "Oracle", step: Step) -> None:
    if step.code == 0:
        left = [it.key for it in step.after.all_entries().values() if it.state != "current"]
        assert not left, f"pruned, and {left} are still on record"
    elif step.is_calm:
        expected = 8 if step.before.entries is None else 0
        assert step.code == expected, f"exit {step.code} of prune: {step.outcome.said}"


def _import(_: "Oracle", step: Step) -> None:
    assert step.code != 1, f"unexpected error: {step.outcome.said}"


_JUDGES: dict[str, Callable[["Oracle", Step], None]] = {
    "sync": _sync,
    "verify": _verify,
    "repair": _repair,
    "rebuild": _rebuild,
    "prune": _prune,
    "import": _import,
}
