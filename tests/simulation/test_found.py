"""What the machine found, each in as few steps as it takes: the rules are called by hand here.

The steps are judged as those of any life: a test without an assertion of its own holds all that
the oracle holds.
"""

import pytest

from tests.simulation.disk import Plan
from tests.simulation.life import Meanwhile
from tests.simulation.machine import Machine
from tests.simulation.weather import FOR_EVER, FileFault, Weather

pytestmark = pytest.mark.simulation

CALM = Weather()


def under(listing: str, number: int = 1) -> Weather:
    """Weather that falsifies the listing."""
    return Weather(listing=(listing, number))


def with_file(name: str, role: str = "resource", times: int = FOR_EVER) -> Weather:
    """Weather in which something happens to the first asset's file."""
    return Weather(files=(FileFault(name, 0, role, times),))


# Bytes lost, or wrong bytes called right.


def test_a_resource_outlives_its_missing_cover(life: Machine) -> None:
    """A cover that cannot be had, and an asset that is deleted: its resource is not lost."""
    life.begin(uploads=["video", "image"])
    life.lose_at_kling(which=0, role="cover")
    life.sync(sky=CALM, page_size=5, whose="all")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="all")


def test_complete_bytes_outlive_a_killed_run(life: Machine) -> None:
    """A run is killed with a complete file in its hands, whose asset is then deleted."""
    life.begin(uploads=["image", "image"])
    life.sync_on_a_failing_disk(page_size=5, plan=Plan("rename", 4, "EDQUOT"))
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="all")


def test_a_power_cut_leaves_no_file_of_zeros(life: Machine) -> None:
    """At whatever step the power goes: what was not synced is not recorded."""
    life.begin(uploads=["video", "image"])
    for number in range(1, 30, 3):
        life.sync_on_a_failing_disk(page_size=5, plan=Plan("", number, with_power=True))
        life.update(which=0, in_place=True, same_bytes=False, etag="hash")
    life.sync(sky=CALM, page_size=5, whose="all")


def test_a_file_whose_fsync_failed_is_fetched_again(life: Machine) -> None:
    """What an fsync could not write is not taken for what was to be written."""
    life.begin(uploads=["image"])
    for number in (1, 2, 3, 4, 5):
        life.sync_on_a_failing_disk(page_size=5, plan=Plan("fsync", number, "EIO"))
        life.sync(sky=CALM, page_size=5, whose="all")
        life.update(which=0, in_place=True, same_bytes=False, etag="hash")


def test_an_error_text_is_no_video(life: Machine) -> None:
    """200, and a line of text in place of the file."""
    life.begin(uploads=["video"])
    life.sync(sky=with_file("text"), page_size=5, whose="all")


def test_a_body_that_ends_with_its_connection_is_not_complete(life: Machine) -> None:
    """`Transfer-Encoding: identity` says nothing of a length."""
    life.begin(uploads=["video"])
    life.sync(sky=with_file("identity"), page_size=5, whose="all")


def test_a_rotten_file_does_not_speak_for_itself(life: Machine) -> None:
    """`--rebuild` over a rotten file whose hash is known."""
    life.begin(uploads=["image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.harm(which=0, how="rot")
    life.rebuild()
    life.lose_records(name="manifest.json", torn=False)
    life.lose_records(name="manifest.json.bak", torn=False)
    life.rebuild()
    life.verify()


def test_an_older_backup_of_the_manifest_points_at_history(life: Machine) -> None:
    """Rebuilt from `manifest.json.bak`, the version before an update is where its bytes are."""
    life.begin(uploads=["image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.update(which=0, in_place=False, same_bytes=False, etag="hash")
    life.sync(sky=CALM, page_size=5, whose="all")
    life.lose_records(name="manifest.json", torn=True)
    life.rebuild()
    life.sync(sky=CALM, page_size=5, whose="all")


def test_import_refuses_what_the_cdn_contradicts(life: Machine) -> None:
    """A file of the right name and length, and an ETag that is the MD5 of other bytes."""
    life.begin(uploads=[])
    life.upload(kind="video", etag="md5", whose=0)
    life.import_folder(files=[(0, "rot")])


def test_what_was_copied_back_from_the_trash_stays(life: Machine) -> None:
    """A second prune leaves alone what its owner took back, and empties only what was there."""
    life.begin(uploads=["image", "image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="all")
    life.prune(dry_run=False, empty_trash=False)
    life.take_back(which=0)
    life.prune(dry_run=False, empty_trash=True)


def test_two_machines_on_a_share_without_locks(life: Machine) -> None:
    """A second run in the midst of a first: what either records is so."""
    life.begin(uploads=["video", "image", "video"])
    for number in range(1, 7):
        life.sync_on_two_machines(page_size=5, number=number, of_files=True)
        life.update(which=number, in_place=False, same_bytes=False, etag="hash")
    for number in range(1, 5):
        life.sync_on_two_machines(page_size=2, number=number, of_files=False)
        life.update(which=number, in_place=True, same_bytes=False, etag="hash")


def test_a_disk_that_fails_between_old_and_new_leaves_no_orphan(life: Machine) -> None:
    """Whatever step fails while a version is replaced, each file belongs to an entry in the end."""
    life.begin(uploads=["video"])
    life.sync(sky=CALM, page_size=5, whose="all")
    for number in range(1, 26):
        life.update(which=0, in_place=False, same_bytes=False, etag="hash")
        life.rename(which=0, name=f"clip{number}.mp4")
        life.sync_on_a_failing_disk(page_size=5, plan=Plan("", number))
        life.sync(sky=CALM, page_size=5, whose="all")


# Called complete, gone or replaced without proof.


def test_a_page_that_is_lost_or_stale_is_missed(life: Machine) -> None:
    """A first run over a listing with a hole does not call itself complete."""
    life.begin(uploads=["image"] * 8)
    for trouble in ("page stale", "page lost", "pages clamped from the second"):
        life.sync(sky=under(trouble, 2), page_size=3, whose="all")
        life.remove_everything()


def test_answers_that_are_empty_for_a_while_prove_nothing(life: Machine) -> None:
    """From the second answer on, three are empty."""
    life.begin(uploads=["image"] * 8)
    life.sync(sky=under("answers empty for a while", 1), page_size=3, whose="all")


def test_the_last_page_is_lost(life: Machine) -> None:
    """What only the last page has is not gone when that page is lost."""
    life.begin(uploads=["image"] * 8)
    life.sync(sky=CALM, page_size=3, whose="all")
    life.sync(sky=under("page lost", 3), page_size=3, whose="all")


def test_another_users_listing_says_nothing(life: Machine) -> None:
    """The account behind the address is another one: nothing is gone."""
    life.begin(uploads=["image"] * 3)
    life.sync(sky=CALM, page_size=5, whose="all")
    life.change_accounts(what="other user")
    life.sync(sky=CALM, page_size=5, whose="all")
    life.sync(sky=CALM, page_size=5, whose="first")


def test_two_subscriptions_in_one_folder(life: Machine) -> None:
    """Neither says anything of the other's assets."""
    life.begin(uploads=["image"] * 3)
    life.change_accounts(what="second")
    life.sync(sky=CALM, page_size=5, whose="alone")
    life.sync_for_another(sky=CALM, page_size=5)
    life.sync(sky=CALM, page_size=5, whose="alone")


def test_an_address_that_is_named_later(life: Machine) -> None:
    """A library that was mirrored without an address goes on under one; what is deleted is gone."""
    life.begin(uploads=["image"] * 4)
    life.sync(sky=CALM, page_size=5, whose="alone")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="first")
    life.change_accounts(what="other address")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="first")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=5, whose="first")


def test_nothing_is_superseded_by_what_is_not_here(life: Machine) -> None:
    """A newer version whose file cannot be had replaces nothing yet."""
    life.begin(uploads=["image", "image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.update(which=0, in_place=False, same_bytes=False, etag="hash")
    life.sync(sky=with_file("500"), page_size=5, whose="all")
    life.sync_on_a_failing_disk(page_size=5, plan=Plan("rename", 1, "ENOSPC"))
    life.sync_on_a_failing_disk(page_size=5, plan=Plan("rename", 2, "ENOSPC"))


def test_an_update_during_a_first_run_and_another_address(life: Machine) -> None:
    """Both versions are here; the next run writes to the newer one, and replaces the older.

    It has a new address to write, and then a file that is not there any more.
    """
    for trouble in ("other address", "no file"):
        life.begin(uploads=["audio", "image", "audio", "image", "audio", "video"])
        life.sync_meanwhile(event=Meanwhile("update", 6, of_files=True, which=3), page_size=2)
        if trouble == "other address":
            life.change_accounts(what=trouble)
        else:
            for number in range(8):
                life.harm(which=number, how="remove")
        life.sync(sky=CALM, page_size=5, whose="all")
        life.remove_everything()
        for _ in range(6):
            life.delete(which=0)


def test_a_night_without_times(life: Machine) -> None:
    """An item without times is the version that is here."""
    life.begin(uploads=["image"] * 3)
    life.sync(sky=CALM, page_size=5, whose="all")
    for trouble in ("no updateTime", "no times", "ids alone", "updateTime is now"):
        life.update(which=0, in_place=True, same_bytes=False, etag="hash")
        life.sync(sky=CALM, page_size=5, whose="all")
        life.sync(sky=under(trouble), page_size=2, whose="all")
    life.sync(sky=CALM, page_size=5, whose="all")


def test_a_first_run_with_a_few_answers_without_times(life: Machine) -> None:
    """No asset is here twice, and the nights after it are as good as any."""
    life.begin(uploads=["image"] * 7)
    life.sync(sky=under("no times for a while", 2), page_size=3, whose="all")
    life.sync(sky=CALM, page_size=3, whose="all")
    life.sync(sky=CALM, page_size=3, whose="all")


def test_one_id_as_video_and_as_image(life: Machine) -> None:
    """Two assets of one id and one time are two; they may change and go each by itself."""
    life.begin(uploads=["image", "audio"])
    life.list_twice(which=0, kind="video", same_time=True)
    life.sync(sky=CALM, page_size=2, whose="all")
    life.update(which=2, in_place=False, same_bytes=False, etag="hash")
    life.sync(sky=CALM, page_size=2, whose="all")
    life.delete(which=0)
    life.sync(sky=CALM, page_size=2, whose="all")


def test_a_twin_alone_on_a_page_is_not_the_end(life: Machine) -> None:
    """Behind a page of nothing but an id's second type there is a new upload."""
    life.begin(uploads=["image"])
    life.list_twice(which=0, kind="video", same_time=True)
    life.sync(sky=CALM, page_size=1, whose="all")
    life.upload(kind="image", etag="none", whose=0)
    life.sync(sky=CALM, page_size=1, whose="all")


def test_an_odd_field_keeps_nothing_out(life: Machine) -> None:
    """`createTime` as text."""
    life.begin(uploads=["image"] * 3)
    life.list_oddly(which=1, odd="createTime as text")
    life.sync(sky=CALM, page_size=2, whose="all")
    life.sync(sky=under("createTime as text"), page_size=2, whose="all")


def test_status_looks_at_the_disk(life: Machine) -> None:
    """Not safe without the files, nor after `verify` found damage, nor for a date to come."""
    life.begin(uploads=["image", "audio"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.harm(which=0, how="rot")
    life.verify()
    life.remove_folder(folder="image")
    life.move_clock(days=30)
    life.sync(sky=CALM, page_size=5, whose="all")
    life.move_clock(days=-30)
    life.verify()


def test_a_living_process_with_a_dead_runs_pid_is_no_run(life: Machine) -> None:
    """`status` says that a run is at work only if one is."""
    life.begin(uploads=["image"])
    life.sync_meanwhile(page_size=5, event=Meanwhile("kill", 1, of_files=True))
    life.pid_lives_again()


# Hangs, and one thing that stops all.


def test_a_listing_without_an_end(life: Machine) -> None:
    """The last page again and again, with something new in it each time."""
    life.begin(uploads=["image"] * 3)
    life.sync(sky=under("unreadable item, signed anew"), page_size=2, whose="all")
    life.sync(sky=under("updateTime is now"), page_size=2, whose="all")


def test_a_file_that_drips_is_cut(life: Machine) -> None:
    """A byte now and then does not hold the run."""
    life.begin(uploads=["image", "image"])
    life.sync(sky=with_file("drips"), page_size=5, whose="all")


def test_a_folder_in_a_files_place_stops_no_other(life: Machine) -> None:
    """One place that cannot be written is one asset's trouble."""
    life.begin(uploads=["image", "image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.harm(which=0, how="folder")
    life.upload(kind="audio", etag="hash", whose=0)
    life.sync(sky=CALM, page_size=5, whose="all")
    life.repair(sky=CALM)


def test_a_refusal_past_the_end_is_the_end(life: Machine) -> None:
    """400 or 404 for the page behind the last."""
    life.begin(uploads=["image"] * 4)
    for trouble in ("400 past the end", "404 past the end"):
        life.sync(sky=under(trouble), page_size=2, whose="all")
        life.sync(sky=under(trouble), page_size=3, whose="all")


def test_a_file_that_gets_on_is_not_given_up(life: Machine) -> None:
    """Cut at each tenth, it is complete in the end."""
    life.begin(uploads=["video"])
    life.sync(sky=with_file("cut at each tenth"), page_size=5, whose="all")
    assert life.last is not None
    assert life.last.code == 0


def test_repair_mends_what_is_here_without_asking(life: Machine) -> None:
    """The same bytes in the trash or in history are enough, whatever the API says."""
    life.begin(uploads=["image", "image"])
    life.sync(sky=CALM, page_size=5, whose="all")
    life.update(which=0, in_place=False, same_bytes=True, etag="hash")
    life.sync(sky=CALM, page_size=5, whose="all")
    in_history, newest, other = 0, -2, -1
    life.harm(which=in_history, how="cut")
    life.repair(sky=under("token refused"))
    life.harm(which=newest, how="cut")
    life.repair(sky=under("token refused"))
    life.harm(which=newest, how="remove")
    life.repair(sky=under("nothing listed"))
    life.harm(which=other, how="remove")
    life.repair(sky=under("nothing listed"))


# A mirror that was rebuilt over a file that was cut off.


def _rebuilt_over_a_cut_file(life: Machine) -> None:
    """The manifest is lost with a file's time and end: its entry has the hash, and another time."""
    life.begin(uploads=["video"])
    life.sync(sky=CALM, page_size=1, whose="all")
    life.harm(which=1, how="cut")
    life.lose_records(name="manifest.json", torn=False)
    life.rebuild()


def test_what_a_folder_keeps_from_its_place_is_not_lost(life: Machine) -> None:
    """A folder lies where an earlier version belongs, whose bytes are in the tree."""
    _rebuilt_over_a_cut_file(life)
    life.sync_on_two_machines(number=1, of_files=False, page_size=1)
    for which in range(3):
        life.harm(which=which, how="folder")
    life.repair(sky=CALM)


def test_an_entry_keeps_the_file_that_it_lacks(life: Machine) -> None:
    """A folder lies in the place of a file, and a run that replaces it is cut off at any step."""
    _rebuilt_over_a_cut_file(life)
    life.harm(which=0, how="folder")
    life.update(which=0, in_place=True, same_bytes=False, etag="weak")
    for number in (10, 12, 14, 16):
        life.sync_on_a_failing_disk(page_size=4, plan=Plan("", number, with_power=True))
    life.repair(sky=CALM)


def test_repair_finds_an_account_under_its_new_address(life: Machine) -> None:
    """The files are recorded under the old address, which the API does not know any more."""
    life.begin(uploads=["audio", "image"])
    life.sync(sky=CALM, page_size=5, whose="alone")
    life.remove_folder(folder="audio")
    life.change_accounts(what="other address")
    life.repair(sky=CALM)


def test_repair_takes_bytes_from_the_spool(life: Machine) -> None:
    """A second machine was cut off with a complete file in its hands."""
    life.begin(uploads=["image", "image"])
    life.sync_on_two_machines(number=2, of_files=True, page_size=1)
    for which in range(2):
        life.harm(which=which, how="remove")
        life.delete(which=0)
    life.repair(sky=CALM)


def test_an_account_is_known_by_its_owner_alone(life: Machine) -> None:
    """It has another address, and none of its assets is as it was recorded."""
    life.begin(uploads=["video"])
    life.list_twice(kind="image", same_time=True, which=0)
    life.sync(sky=CALM, page_size=5, whose="all")
    life.change_accounts(what="other address")
    life.delete(which=0)
    life.update(which=0, in_place=False, same_bytes=True, etag="weak")
    life.sync(sky=CALM, page_size=1, whose="all")
