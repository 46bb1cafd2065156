"""A mirror's life, simulated: a world that goes wrong, people who do as they please, and a judge.

Real program code runs in processes of its own, on real files in memory, against a service on
loopback. Hypothesis chooses the steps (`rules_of_kling`, `rules_of_people`); `oracle` and
`verdicts` hold the program after each step against `truth`, which knows every version of every
asset that ever was.

    pytest -m simulation tests/simulation                      a few lives, the same each time
    SIM_LIVES=500 pytest -m simulation -n 2 tests/simulation                 an hour of them
    SIM_SEED=17 SIM_LIVES=1 pytest -n 0 tests/simulation       the life of one seed
    SIM_SHRINK=1 SIM_SEED=17 SIM_LIVES=1 pytest …              its failure, in few steps

A failure prints its steps as Python: a test that takes them again calls the same rules on the
`life` fixture, as `test_found` does. Those tests run with every suite.

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
"""
