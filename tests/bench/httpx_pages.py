"""A peer: `httpx_pages.py LISTING_URL` pages through a listing, decodes and counts it."""

import sys

import httpx


def main(url: str) -> None:
    """Asks for page after page, as a sync does, until one is empty."""
    count = 0
    number = 0
    found = 1
    with httpx.Client() as client:
        while found:
            number += 1
            query: dict[str, str | int] = {"pageSize": 100, "sort": "asc", "pageNum": number}
            response = client.get(url, params=query)
            response.raise_for_status()
            found = len(response.json()["uploadAssetsList"])
            count += found
    sys.stdout.write(f"{count}\n")


main(*sys.argv[1:])
