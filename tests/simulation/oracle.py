"""The judge: it knows what is at Kling, what lay in the folder before, and what was asked for.

Here is what holds after every step, whatever was done; `verdicts` has what each job promises. Each
check asserts one promise over one step, and says in its message how it was broken.
"""

import datetime as dt
import json
from pathlib import Path

from mirror.models import ROLES, Entry
from tests.lib.invariant import PRIVATE
from tests.simulation import program, verdicts
from tests.simulation.program import Order
from tests.simulation.scene import Scene, Step
from tests.simulation.truth import Asset, Version
from tests.simulation.weather import DATED_WRONGLY
from tests.simulation.world import World

_A_NIGHT_S = 26 * 3600


class Oracle:
    """Holds a mirror against the truth.

    Args:
        world: the service.
        dest: the mirror's root.

    Attributes:
        worthless: hashes that nobody is promised: of files that rotted or were cut.
        foreign: hashes of files that nobody has to name: people put them there.
        by_hand: the paths of these files, and their hashes.
        known_damage: what the last `verify` found wrong and nothing has mended since.
        owed: what the last run over everything had to mirror.
        memory: the files that were on record when that could be read last.
    """

    def __init__(self, world: World, dest: Path) -> None:
        self.world = world
        self.dest = dest
        self.worthless: set[str] = set()
        self.foreign: set[str] = set()
        self.by_hand: dict[str, str] = {}
        self.known_damage: set[tuple[str, str]] = set()
        self.owed: dict[Asset, Version] = {}
        self.memory: set[tuple[str, str]] = set()

    def scene(self) -> Scene:
        """How things are now."""
        return Scene.of(self.dest, self.world)

    def asset(self, entry: Entry) -> Asset | None:
        """The asset that an entry is of, by its bytes."""
        stored = entry.resource or entry.cover
        return self.world.kling.owners.get(stored.sha256, (None, ""))[0] if stored else None

    def entries_of(self, scene: Scene, asset: Asset) -> list[Entry]:
        """The entries of an asset."""
        return [it for it in scene.all_entries().values() if self.asset(it) is asset]

    def judge(self, step: Step) -> None:
        """Hold one step against every promise."""
        assert not self.world.has_overrun, "the run asks without end"
        assert not step.outcome.trouble, step.outcome.trouble
        self._entries_are_true(step)
        self._hashes_are_right(step)
        self._nothing_is_lost(step)
        self._nothing_is_forgotten(step)
        self._states_are_so(step)
        verdicts.judge(self, step)
        if step.order.get("locks_are_local"):
            self._let_go_unnamed(step.after)
        self._remember(step.after)

    def hands_off(self, before: Scene) -> None:
        """Somebody has done something in the folder by hand: take it down.

        What no entry names from now on is nobody's fault.
        """
        after = self.scene()
        known = self.world.kling.owners
        self.worthless |= after.folder.hashes() - before.folder.hashes() - known.keys()
        files = {**after.folder.tree, **after.folder.history}
        self._let_go_unnamed(after)
        self.by_hand = {path: it for path, it in self.by_hand.items() if files.get(path) == it}
        self._remember(after)

    def adopt_by_hand(self, path: str) -> None:
        """Take down a file that a person put there: it is to be left alone."""
        folder = self.scene().folder
        sha256 = {**folder.tree, **folder.history}.get(path)
        if sha256 is not None:
            self.by_hand[path] = sha256
            self.foreign.add(sha256)

    def status_is_so(self, order: Order) -> None:
        """`status` says that all is safe only if it is."""
        said = program.status_of(order)
        now = self.scene()
        if said is None or now.entries is None:
            return
        assert said.at_work is None, "status says that a run is at work, and there is none"
        if said.last_complete is not None and program.is_fresh(said, _A_NIGHT_S):
            then = dt.datetime.fromisoformat(said.last_complete)
            assert then < dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), "fresh, from the future"
        if not said.is_complete:
            return
        for entry in now.entries.values():
            for stored in entry.files():
                path = self.dest / stored.path
                assert path.is_file(), f"safe, and {stored.path} is not there"
                assert path.stat().st_size == stored.size, f"safe, and {stored.path} is cut"
        assert not self.known_damage, f"safe, though verify found {self.known_damage}"
        for asset, version in self.owed.items():
            if asset.is_listed and asset.now == version:
                here = [it for it in now.entries.values() if self.asset(it) is asset]
                assert any(it.state == "current" for it in here), f"safe, and {asset} is not here"

    def _let_go_unnamed(self, after: Scene) -> None:
        """Nobody has to name any more what no entry names now."""
        if after.entries is not None:
            files, named = {**after.folder.tree, **after.folder.history}, after.named()
            self.foreign |= {sha256 for path, sha256 in files.items() if path not in named}

    def _remember(self, after: Scene) -> None:
        if after.entries is not None:
            self.memory = after.recorded()
            self.known_damage &= after.wrong()

    # What holds after every step.

    def _entries_are_true(self, step: Step) -> None:
        """An entry's files are at its paths, unless they were harmed step.before."""
        harmed = step.before.folder.lacking(self.memory)
        for path, sha256 in step.after.wrong() - harmed:
            if path.startswith(f"{PRIVATE}/history/") and sha256 in {it for _, it in harmed}:
                continue  # a damaged file that was kept, with the hash that it should have
            elsewhere = step.after.folder.places(sha256)
            if step.job == "rebuild" and not elsewhere:
                continue  # an older record of what was deleted since
            here = {**step.after.folder.tree, **step.after.folder.history}.get(path, "nothing")
            raise AssertionError(
                f"recorded, and not so: {path} is {here[:8]}, not {sha256[:8]}, which is at "
                f"{elsewhere}"
            )

    def _hashes_are_right(self, step: Step) -> None:
        """What is recorded of an asset are bytes that it really had, in that version."""
        is_dated = step.weather.listing is None or step.weather.listing[0] not in DATED_WRONGLY
        for key, entry in step.after.all_entries().items():
            was = step.before.all_entries().get(key)
            for role in ROLES:
                stored = entry.file(role)
                if stored is None or (was is not None and was.file(role) == stored):
                    continue
                is_kept = entry.state == "superseded" and stored.sha256 in self.worthless
                if step.job == "rebuild" and "SHA256SUMS" not in step.before.folder.own:
                    is_kept = stored.sha256 in self.worthless  # nothing knows any hash
                if is_kept or stored.sha256 in self.foreign:
                    continue  # damaged bytes that were set aside, and are on record as such
                asset, is_role = self.world.kling.owners.get(stored.sha256, (None, ""))
                assert asset is not None, f"{key}: {role} has bytes that Kling never had"
                assert (asset.id, is_role) == (entry.id, role), f"{key}: {role} is of {asset}"
                times = {it.update_ms: getattr(it, role) for it in asset.versions}
                right = times.get(entry.update_time_ms, stored.sha256)
                is_new = was is None and step.job == "sync" and step.is_undisturbed and is_dated
                assert right == stored.sha256 or not is_new, f"{key}: {role} is of another version"

    def _nothing_is_lost(self, step: Step) -> None:
        """No step loses bytes, but emptying the trash, which loses what was there alone."""
        empties = step.order.get("empty_trash") and not step.is_dry
        had = step.before.folder.kept() if empties else step.before.folder.hashes()
        has = step.after.folder.hashes() | {*step.after.folder.loose.values()}
        for sha256 in had - has - self.worthless:
            raise AssertionError(f"bytes are lost: {', '.join(step.before.folder.places(sha256))}")
        here = step.after.folder.tree
        for path, sha256 in self.by_hand.items():
            was_here = step.before.folder.tree.get(path) == sha256
            if was_here and step.job != "sync" and path not in step.after.named():
                assert here.get(path) == sha256, f"somebody's own file is not left alone: {path}"

    def _nothing_is_forgotten(self, step: Step) -> None:
        """Only what is pruned leaves the manifest, and that is gone or superseded."""
        if step.before.entries is None or step.job == "rebuild":
            return
        assert step.after.entries is not None, "the manifest cannot be read any more"
        for key in step.before.entries.keys() - step.after.entries.keys():
            assert step.job == "prune", f"{key} is forgotten"
            entry = step.before.entries[key]
            is_replaced = any(  # by what an interrupted run had promised
                it.id == entry.id and it.content_type == entry.content_type
                for it in step.after.entries.values()
            )
            is_old = entry.state != "current" or is_replaced
            assert is_old, f"{key} is pruned, and was current"

    def _states_are_so(self, step: Step) -> None:
        """Gone: Kling has it no more. Superseded: it has another version, and that is here."""
        for key, entry in step.after.all_entries().items():
            was = step.before.all_entries().get(key)
            asset = self.asset(entry)
            is_news = entry.state != "current" and (was is None or was.state != entry.state)
            if not is_news or asset is None or step.job == "rebuild":
                continue
            if entry.state == "gone":
                is_listed = asset in step.before.listed and asset in step.after.listed
                if _is_ownerless(entry) and asset.user not in verdicts.users_of(self, step):
                    continue  # nobody can know that it is another's
                assert not is_listed, f"{key} is called gone, and Kling lists {asset}"
                continue
            versions = (step.before.listed.get(asset), step.after.listed.get(asset))
            times = {version.update_ms for version in versions if version is not None}
            is_newest = times == {entry.update_time_ms}
            assert not is_newest, f"{key} is called superseded, and is what Kling lists"
            if entry.update_time_ms not in {version.update_ms for version in asset.versions}:
                continue  # a file that lay in another's place
            current = [it for it in step.after.all_entries().values() if it.state == "current"]
            is_replaced = any(self.asset(other) is asset for other in current)
            assert is_replaced, f"{key} is called superseded, and no newer version is here"


def _is_ownerless(entry: Entry) -> bool:
    """Whether nothing on record says whose asset it is."""
    return "userId" not in json.loads(bytes(entry.asset))
