"""Files that are written completely or not at all, and the hashes of those of a folder."""

from files.manifest import DamagedFileError, Manifest, find_manifest
from files.write import remove, remove_temporaries, replacing

__all__ = [
    "DamagedFileError",
    "Manifest",
    "find_manifest",
    "remove",
    "remove_temporaries",
    "replacing",
]
