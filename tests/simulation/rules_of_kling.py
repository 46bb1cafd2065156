"""Rules: what happens at Kling, and with the accounts at useapi.net."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.simulation.life import MOST_ASSETS, Life
from tests.simulation.truth import ABSENT, KINDS
from tests.simulation.world import EMAIL, OTHER_TOKEN, TOKEN

kinds = st.sampled_from(KINDS)
etags = st.sampled_from(("hash", "md5", "weak", "none"))
some = st.integers(0, MOST_ASSETS - 1)
roles = st.sampled_from(("resource", "cover"))
ODD: dict[str, dict[str, object]] = {
    "no name": {"name": ABSENT},
    "no type": {"contentType": ABSENT},
    "no user": {"userId": ABSENT},
    "no updateTime": {"updateTime": ABSENT},
    "createTime as text": {"createTime": "August"},
    "no URL": {"resource": ABSENT},
    "id as number": {},
    "URL of another kind": {"resource": {"resource": "ftp://kling.test/x"}},
    "long URL": {"resource": {"resource": "https://kling.test/" + "x" * 100_000}},
    "deep": {"extraInfo": None},
    "right again": {},
}


class RulesOfKling(Life):
    """The world's side."""

    @initialize(uploads=st.lists(kinds, max_size=8))
    def begin(self, uploads: list[str]) -> None:
        """There is a library, of eight assets at the most."""
        user = next(iter(self.kling.users))
        for kind in uploads:
            self.kling.upload(user, kind, cover=kind == "video")

    @rule(kind=kinds, etag=etags, whose=some)
    def upload(self, kind: str, etag: str, whose: int) -> None:
        """An upload, of any user."""
        if len(self.world.assets()) < MOST_ASSETS:
            users = list(self.kling.users)
            self.kling.upload(users[whose % len(users)], kind, cover=kind == "video", etag=etag)
        self.last = None

    @rule(which=some, kind=kinds, same_time=st.booleans())
    def list_twice(self, which: int, kind: str, *, same_time: bool) -> None:
        """One id is listed a second time, under another type."""
        asset = self.asset(which)
        ids = [(it.id, it.kind) for it in self.kling.assets()]
        if asset is not None and (asset.id, kind) not in ids:
            self.kling.twin(asset, kind, same_time=same_time)
        self.last = None

    @rule(which=some, in_place=st.booleans(), same_bytes=st.booleans(), etag=etags)
    def update(self, which: int, etag: str, *, in_place: bool, same_bytes: bool) -> None:
        """A newer version of an asset."""
        if (asset := self.asset(which)) is not None:
            self.kling.update(asset, in_place=in_place, same_bytes=same_bytes, etag=etag)
        self.last = None

    @rule(which=some)
    def delete(self, which: int) -> None:
        """An asset is deleted."""
        if (asset := self.asset(which)) is not None:
            self.kling.delete(asset)
        self.last = None

    @rule(which=some, name=st.sampled_from(("Clip.MP4", "clip.mp4", "été", "a/b:c", "")))
    def rename(self, which: int, name: str) -> None:
        """An asset gets another name: no new version."""
        if (asset := self.asset(which)) is not None:
            asset.name = name
        self.last = None

    @rule(which=some, odd=st.sampled_from(sorted(ODD)))
    def list_oddly(self, which: int, odd: str) -> None:
        """An asset is listed with odd fields from now on."""
        if (asset := self.asset(which)) is not None:
            asset.odd = dict(ODD[odd])
            if odd == "id as number":
                asset.odd = {"id": int(asset.id)}
            if odd == "deep":
                asset.odd = {"extraInfo": _deep(400)}
        self.last = None

    @rule(which=some, role=roles)
    def lose_at_kling(self, which: int, role: str) -> None:
        """The CDN has a file no more, though it is listed."""
        if (asset := self.asset(which)) is not None:
            path = asset.now.path if role == "resource" else asset.now.cover_path
            self.kling.files.pop(path, None)
        self.last = None

    @rule(what=st.sampled_from(("add", "remove", "other address", "other user", "second")))
    def change_accounts(self, what: str) -> None:
        """The subscription's accounts change; or somebody else has one, too."""
        emails = self.kling.tokens[TOKEN]
        if what == "add" and len(emails) < 3:
            emails[f"new{len(self.kling.users)}@example.com"] = self.kling.new_user()
        elif what == "remove" and len(emails) > 1:
            emails.popitem()
        elif what == "other address":
            email, user = emails.popitem()
            emails[f"{email.partition('@')[0]}@example.org"] = user
        elif what == "other user" and emails.get(EMAIL):
            emails[EMAIL] = self.kling.new_user()
            self.kling.upload(emails[EMAIL], "image", cover=False)
        elif what == "second" and OTHER_TOKEN not in self.kling.tokens:
            user = self.kling.new_user()
            self.kling.tokens[OTHER_TOKEN] = {"you@example.com": user}
            self.kling.upload(user, "audio", cover=False)
        self.last = None


def _deep(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value
