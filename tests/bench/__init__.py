"""How fast kling-mirror is, beside tools that only download.

    python -m tests.bench                        everything, medians of 5: a quarter of an hour
    python -m tests.bench --quick                a minute, to see that the harness works
    python -m tests.bench --scenario small --scenario far --rounds 9 --json result.json
    python -m tests.bench --base ../before --tool curl        beside an earlier version in ../before
    python -m tests.bench --workdir /mnt/disk    on the disk that matters (RAM fsyncs for free)

It needs nginx and openssl. Peers take part where they are installed: Debian's `curl`,
`aria2`, `rclone`, `wget2`, and PyPI's `gallery-dl`. It makes its data, listens on loopback alone,
and takes everything with it when it ends. Room needed: about 2 GB.

Scenarios
    small, medium, large     5,000 x 20 KB, 300 x 2 MB, 8 x 100 MB
    medium-tls, large-tls    the same over TLS
    far                      50 ms round trip, 4 MB/s a connection (see `proxy`)
    gigabit-small, -large    2,000 x 300 KB, 60 x 20 MB over a line of 1 Gbit/s: the loopback of a
                             network namespace, held by `tc`; for root alone
    quarter-small, -medium   small and medium over that line, each tool held to a quarter of a core
    idle-1000, -10000, -100000
                             a second run with nothing to do, beside a script that only pages and
                             decodes the same listing, and a curl that only pages
    startup                  `--version`, `--help` and `status` beside `python -c pass`
    memory                   what commands take at 100,000 assets
    scale                    making, loading, planning with and rewriting a manifest of 1,000 to
                             1,000,000 assets

What is measured. A small launcher starts each command and reads its own usage and that of the
children it waited for from `wait4`: wall clock, CPU (user and system), peak resident memory of the
largest process. Tools run in turn, and each round begins with another one. Before each run the
destination is removed (set aside, where it holds thousands of files: ext4 is slow to create files
for minutes after many were deleted) and the disk settled. After each run every byte of the result
is compared by size and CRC-32; a wrong or incomplete result is named, and has no ratio. A peak
below that of the launcher, about 9 MB, cannot be seen.

What is fair. kling-mirror pages the listing, hashes, fsyncs, keeps a manifest, and is durable when
it returns. The peers get the list of URLs for free and do none of that; so that they, too, leave
something that would survive a power cut, their time includes a final `sync -f` of the destination.
All of them speak HTTP/1.1 and may use the same number of connections (`--jobs`, 8 by default, as
kling-mirror itself), but for those that know only one:

    peer         options that matter (`tools` has them all)
    curl         --parallel --parallel-immediate --parallel-max 8; URLs in one config file
    aria2c       -j8 -x1 --file-allocation=none, quiet, without its own DNS, and without saving its
                 state (by default it does, and takes twice as long for small files)
    rclone       copy :http: --transfers 8 --checkers 8 --files-from-raw --ignore-checksum, without
                 a look at the destination or times on files; HEAD requests for large files alone,
                 where they help it
    wget2        --max-threads=8, without HSTS, HPKP, OCSP, cookies and server times
    gallery-dl   one file at a time, as it does; without .part files, times and pauses
    httpx        the script that one would write: one client, one file after the other
    far, gigabit, quarter
                 without gallery-dl and the script, which fetch one file at a time
    sha256sum    no peer: the cost of hashing alone, to be added to what curl needs
    TLS          SSL_CERT_FILE for us, each peer's own option for its CA file

Ratios are ours divided by theirs, each pair from one round, and of those the median: a machine that
is busy with other things for a while slows down both. Below 1, kling-mirror needs less.
"""
