"""The files of a folder, without those that belong to others: a NAS, a system, another mirror."""

import os
from collections.abc import Iterator
from pathlib import Path

from mirror.storage import layout


def files_below(top: Path, *, is_tree: bool) -> Iterator[str]:
    """The path of every file and link below a folder; a link to a folder is not followed.

    Args:
        top: the folder; it need not be there.
        is_tree: whether it is a mirror's root: then documents are left out, and what is of others.
    """
    for folder, names, files in os.walk(top):
        if is_tree:
            ours = layout.OUR_NAMES if folder == str(top) else ()
            names[:] = [
                name for name in names if name not in ours and not _is_of_others(folder, name)
            ]
            files = [  # noqa: PLW2901 - as above
                name for name in files if name not in ours and not layout.is_of_others(name)
            ]
        for name in files:
            yield os.path.join(folder, name)  # noqa: PTH118 - for every file


def _is_of_others(parent: str, name: str) -> bool:
    """Whether a folder of the tree belongs to a NAS, a system, or is a mirror of its own.

    A folder for a type is ours, though somebody may have made a mirror in it by mistake.
    """
    if layout.is_of_others(name) or name in {*layout.CONTENT_FOLDERS, layout.OTHER_FOLDER}:
        return layout.is_of_others(name)
    return Path(parent, name, layout.PRIVATE_FOLDER, "root.json").is_file()
