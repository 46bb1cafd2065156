"""A mirror's life, simulated: a world that goes wrong, people who do as they please, and a judge.

Real program code runs in processes of its own, on real files in memory, against a service on
loopback. Hypothesis chooses the steps (`rules_of_kling`, `rules_of_people`); `oracle` and
`verdicts` hold the program after each step against `truth`, which knows every version of every
asset that ever was.

    pytest -m simulation tests/simulation                      a few lives, the same each time
    SIM_LIVES=500 pytest -m simulation -n 2 tests/simulation                 an hour of them
    SIM_SEED=17 SIM_LIVES=1 pytest -n 0 -m simulation tests/simulation       the life of one seed
    SIM_SHRINK=1 SIM_SEED=17 SIM_LIVES=1 pytest …              its failure, in few steps

A failure prints its steps as Python: a test that takes them again calls the same rules on the
`life` fixture, as `test_found` does. CI runs them, too.

# Where the line is drawn

What no client could know is not held against the program:

- An asset that no page shows in either order and any size of page. Where all that is on record is
  shown and nothing else, one order will do: a new upload that is hidden then is for the next run.
- Bytes that are wrong and look right: of the right length, under the right validators, beginning
  as a medium does, without a digest.
- A byte that rots in a file of ours, its size unchanged, until the next `verify`.
- Which time of day it is, while the machine's clock is wrong.
- What people did by hand: bytes that they deleted, and files that nothing names any more because
  they lost the records.

# What it finds

Where their mending is missing, the lives of a few dozen seeds find each of these within a minute or
two, by chance; `test_found` holds them in fewer steps:

- complete bytes deleted with their asset; a text taken for a video; a rotten file that speaks for
  itself in `--rebuild`; two runs without locks that record each other's bytes
- a page that is stale or lost, a night of ids alone, and what is then called gone; a night without
  times, and what is then called superseded; a version superseded before the newer one is here; one
  id under two types, of which one is never mirrored
- `status` that is safe without its files, or after `verify` found damage
- a listing that never ends; a folder in one file's place that stops all; 404 past the last page;
  `--repair` that calls lost what was not asked for

# What it finds again

Each of these promises was taken out of a copy of the program, with every guard that held it, and
the lives named beside it failed. (Each is a test of `test_found`, without its `test_`.) One guard
alone is often not missed: another holds what it held.

    promise taken out                                      life that fails
    ─────────────────                                      ───────────────
    complete bytes are kept, cover or not, kill or not     a_resource_outlives_its_missing_cover,
                                                           complete_bytes_outlive_a_killed_run
    a replacement that was cut off is finished             a_disk_that_fails_between_old_and_new…
    a text is no video                                     an_error_text_is_no_video
    a body without a length is not complete                a_body_that_ends_with_its_connection…
    a known hash is not replaced by that of a rotten file  a_rotten_file_does_not_speak_for_itself
    an old backup points at history                        an_older_backup_of_the_manifest…
    prune leaves alone what was copied back                what_was_copied_back_from_the_trash_stays
    a walk is checked by another in pages of another size  a_page_that_is_lost_or_stale_is_missed,
                                                           answers_that_are_empty_for_a_while…
    ... and what it lacks is looked up before it is gone   the_last_page_is_lost
    a listing says nothing of another user's assets        another_users_listing_says_nothing,
                                                           two_subscriptions_in_one_folder
    an account is known under a new address                an_address_that_is_named_later
    nothing is superseded before a newer version is here  nothing_is_superseded_by_what_is_not_here
    an earlier version is superseded in the run that can   an_update_during_a_first_run…
    an item without times is the version that is here      a_night_without_times,
                                                           a_first_run_with_a_few_answers…
    one id under two types is two assets                   one_id_as_video_and_as_image
    `status` counts missing and damaged files              status_looks_at_the_disk
    `status` does not take a strange process for a run     a_living_process_with_a_dead_runs_pid…
    a listing ends although each answer has something new  a_listing_without_an_end
    a file that drips is cut                               a_file_that_drips_is_cut
    `--repair` uses what is here before it asks the API    repair_mends_what_is_here_without_asking
    ... and calls nothing lost after one empty answer      the same
    a folder in one place stops no other asset             a_folder_in_a_files_place_stops_no_other
    400 or 404 past the last page is the end               a_refusal_past_the_end_is_the_end
    a file that grows is not given up                      a_file_that_gets_on_is_not_given_up
"""
