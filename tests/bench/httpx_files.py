"""A peer, the plain script: `httpx_files.py URL_LIST DEST [CA_FILE]` fetches one by one."""

import ssl
import sys
from pathlib import Path

import httpx


def main(url_list: str, dest: str, ca_file: str | None = None) -> None:
    """Fetches every URL of a list into a folder."""
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    with httpx.Client(verify=verify) as client:
        for url in Path(url_list).read_text().split():
            with client.stream("GET", url) as response:
                response.raise_for_status()
                with Path(dest, url.rpartition("/")[2]).open("wb") as file:
                    file.writelines(response.iter_raw())


main(*sys.argv[1:])
