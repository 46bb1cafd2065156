"""Rules: what people do with the program, and past it."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.simulation import hands
from tests.simulation import weather as weathers
from tests.simulation.disk import ERRORS, STEPS, Plan
from tests.simulation.life import Life, Meanwhile
from tests.simulation.rules_of_kling import some
from tests.simulation.truth import KINDS
from tests.simulation.weather import FOR_EVER, FileFault, Weather
from tests.simulation.world import OTHER_TOKEN, TOKEN

page_sizes = st.integers(1, 5)
file_faults = st.builds(
    FileFault,
    st.sampled_from(sorted(weathers.FILES)),
    some,
    st.sampled_from(("resource", "cover")),
    st.sampled_from((1, 2, FOR_EVER)),
)
passing = st.tuples(st.sampled_from(sorted(weathers.PASSING)), st.integers(0, 6))
skies = st.one_of(
    st.just(Weather()),
    st.builds(
        Weather,
        st.none() | st.tuples(st.sampled_from(sorted(weathers.LISTING)), st.integers(1, 4)),
        st.none() | passing,
        st.lists(file_faults, max_size=2).map(tuple),
        st.sampled_from(("", "", "fresh", "expired")),
    ),
)
plans = st.one_of(
    st.builds(Plan, st.just(""), st.integers(1, 40), with_power=st.booleans()),
    st.builds(
        Plan, st.sampled_from(STEPS), st.integers(1, 6), st.sampled_from(ERRORS), st.booleans()
    ),
)
events = st.builds(
    Meanwhile,
    st.sampled_from(("kill", "stop", "upload", "update", "delete", "sync", "verify", "prune")),
    st.integers(1, 9),
    st.booleans(),
    some,
)
filters: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True),
        "file_name": st.sampled_from(("clip", "1", "none")),
        "no_covers": st.just(value=True),
    },
)
accounts = st.sampled_from(("all", "all", "alone", "first", "last"))


class RulesOfPeople(Life):
    """The people's side."""

    @rule(sky=skies, page_size=page_sizes, whose=accounts)
    def sync(self, sky: Weather, page_size: int, whose: str) -> None:
        """The nightly run, in whatever weather."""
        self.do(self.order("sync", self._settings(whose, page_size=page_size)), sky)

    @rule(sky=skies, page_size=page_sizes, some_of_it=filters)
    def sync_some(self, sky: Weather, page_size: int, some_of_it: dict[str, Any]) -> None:
        """A run over a part of the library."""
        settings = self._settings("all", page_size=page_size, **some_of_it)
        self.do(self.order("sync", settings), sky)

    @rule(sky=skies, page_size=page_sizes)
    def sync_for_another(self, sky: Weather, page_size: int) -> None:
        """A second subscription has the same folder for its mirror."""
        if OTHER_TOKEN in self.kling.tokens:
            settings = self._settings("alone", page_size=page_size)
            self.do(self.order("sync", settings, token=OTHER_TOKEN), sky)

    @rule(page_size=page_sizes, plan=plans)
    def sync_on_a_failing_disk(self, page_size: int, plan: Plan) -> None:
        """A run that dies, or whose disk fails, at some durable step."""
        settings = self._settings("all", page_size=page_size)
        self.do(self.order("sync", settings, disk=plan.as_json()))

    @rule(page_size=page_sizes, event=events)
    def sync_meanwhile(self, page_size: int, event: Meanwhile) -> None:
        """A run during which something happens."""
        settings = self._settings("all", page_size=page_size)
        self.do(self.order("sync", settings), meanwhile=event)

    @rule(page_size=page_sizes, number=st.integers(1, 9), of_files=st.booleans())
    def sync_on_two_machines(self, page_size: int, number: int, *, of_files: bool) -> None:
        """Two runs on a share that keeps no locks: the second in the midst of the first."""
        event = Meanwhile("sync", number, of_files, is_elsewhere=True)
        settings = self._settings("all", page_size=page_size)
        self.do(self.order("sync", settings, locks_are_local=True), meanwhile=event)

    @rule()
    def sync_again(self) -> None:
        """Nothing has changed: nothing is fetched, nothing is written."""
        last = self.last
        if last is None or last.code != 0 or not last.is_undisturbed:
            return
        step = self.do(last.order, last.weather)
        assert step.code == 0, f"the same once more, and exit {step.code}: {step.outcome.said}"
        assert self.world.asked_for_files() == 0, "a run over an unchanged world fetches"
        assert step.before.entries == step.after.entries, "a run over an unchanged world writes"

    @rule()
    def look_ahead(self) -> None:
        """A dry run."""
        self.do(self.order("sync", self._settings("all", page_size=3), dry_run=True))

    @rule()
    def verify(self) -> None:
        """All files are read."""
        self._if_there("verify")

    @rule(sky=skies)
    def repair(self, sky: Weather) -> None:
        """What is wrong is mended."""
        self._if_there("repair", sky)

    @rule()
    def rebuild(self) -> None:
        """The manifest is made anew."""
        self._if_there("rebuild")

    @rule(dry_run=st.booleans(), empty_trash=st.booleans())
    def prune(self, *, dry_run: bool, empty_trash: bool) -> None:
        """What is gone or superseded goes; so may the trash."""
        self._if_there("prune", dry_run=dry_run, empty_trash=empty_trash)

    @rule(files=st.lists(st.tuples(some, st.sampled_from(("right", "rot", "cut"))), max_size=4))
    def import_folder(self, files: list[tuple[int, str]]) -> None:
        """Files of a folder are taken for what they are, and for nothing else."""
        folder = self.base / "import"
        hands.copy(Path("/nonexistent"), folder)
        folder.mkdir()
        for which, how in files:
            asset = self.asset(which)
            body = self.kling.files.get(asset.now.path) if asset is not None else None
            if asset is not None and body is not None and asset.name and "/" not in asset.name:
                path = folder / asset.name
                path.write_bytes(body.body)
                if how != "right":
                    hands.HARMS[how](path)
        self.do(self.order("import", folder=str(folder)))

    def _settings(self, whose: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - settings
        emails = list(self.kling.tokens[TOKEN])
        chosen: dict[str, dict[str, Any]] = {
            "all": {"all_accounts": True},
            "alone": {},
            "first": {"email": emails[:1]},
            "last": {"email": emails[-1:]},
        }
        return {**chosen[whose], **more}

    def _if_there(self, job: str, sky: Weather | None = None, **more: Any) -> None:  # noqa: ANN401
        if (self.dest / ".kling-mirror" / "root.json").exists():
            self.do(self.order(job, **more), sky)

    # By hand.

    @rule(which=st.integers(0, 30), how=st.sampled_from(sorted(hands.HARMS)))
    def harm(self, which: int, how: str) -> None:
        """A recorded file is harmed, by a person or by the disk."""
        paths = sorted(self.oracle.scene().named())
        if paths:
            path = self.dest / paths[which % len(paths)]
            if path.is_file():
                self.by_hand(lambda: hands.HARMS[how](path))

    @rule(name=st.sampled_from(hands.RECORDS), torn=st.booleans())
    def lose_records(self, name: str, *, torn: bool) -> None:
        """One of the program's own files is lost, or torn."""
        self.by_hand(lambda: (hands.garble if torn else hands.lose)(self.dest, name))

    @rule(name=st.sampled_from(hands.STRANGERS))
    def put_stranger(self, name: str) -> None:
        """A file of somebody else comes to lie in the folder."""
        if self.dest.exists() and not (self.dest / name).exists():
            self.by_hand(lambda: hands.put(self.dest, name))
            self.oracle.adopt_by_hand(name)

    @rule(which=st.integers(0, 30))
    def take_back(self, which: int) -> None:
        """A file is copied back from the trash to where it was."""
        trash = self.oracle.scene().folder.trash
        paths = sorted(path for path in trash if hands.place_of(path))
        if paths:
            trashed = paths[which % len(paths)]
            name = hands.place_of(trashed)
            if not (self.dest / name).exists():
                self.by_hand(lambda: hands.copy_file(self.dest / trashed, self.dest / name))
                self.oracle.adopt_by_hand(name)

    @rule(folder=st.sampled_from(("video", "image", "audio")))
    def remove_folder(self, folder: str) -> None:
        """One of the folders is deleted."""
        if (self.dest / folder).is_dir():
            self.by_hand(lambda: hands.copy(Path("/nonexistent"), self.dest / folder))

    @rule()
    def remove_everything(self) -> None:
        """The mirror is deleted, and begun anew with a run to come."""
        hands.copy(Path("/nonexistent"), self.base / "state")
        self.by_hand(lambda: hands.copy(Path("/nonexistent"), self.dest))

    @rule()
    def make_backup(self) -> None:
        """The folder is copied elsewhere."""
        self.put_away()

    @rule()
    def restore_backup(self) -> None:
        """The copy takes the folder's place."""
        self.bring_back()

    @rule()
    def pid_lives_again(self) -> None:
        """A living process has the pid of a run that was killed."""
        self.by_hand(lambda: hands.lend_pid(self.dest))

    @rule(days=st.sampled_from((-3, -1, 1, 2, 30)))
    def move_clock(self, days: int) -> None:
        """The machine's clock is set, or days pass."""
        self.clock_s += days * 86_400
        self.last = None
