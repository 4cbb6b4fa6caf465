"""Locates what a path names: the same place, by the same name, from whatever folder."""

import glob
import os
from pathlib import PurePath

from transforms.files import is_utf8
from transforms.lake import is_remote


def locate(location: str) -> str:
    """A path, glob or folder as an absolute path in normal form; any address as it is.

    What the lake holds of a file or feed goes by this. Links are followed only where a ``..``
    comes after one, for there the text alone names another place; elsewhere a link stands for
    whatever it leads to today.
    """
    if is_remote(location):
        return location
    parts = PurePath(location).parts
    climbed = len(parts) - parts[::-1].index("..") if ".." in parts else 0
    if not climbed and os.path.isabs(location):
        return os.path.normpath(location)
    above = os.path.realpath(PurePath(*parts[:climbed]))
    if glob.has_magic(location) and not os.path.lexists(location):
        above = glob.escape(above)  # The names of the folders above were not meant as a glob.
    whole = os.path.normpath(os.path.join(above, *parts[climbed:]))
    # What cannot be stored is no name for anything in the lake.
    return whole if is_utf8(whole) else location
