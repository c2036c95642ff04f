"""The artifact store for those who look at a home again and again."""

import os
from collections.abc import Iterator
from pathlib import Path

from embed_pipeline.errors import ArtifactError
from embed_pipeline.store.artifacts import MANIFEST, Artifact, Store

Stamp = tuple[tuple[str, int, int, int], ...]


class WatchedStore(Store):
    """A store that notices damage without reading every file at every look.

    An artifact's manifest is written last. As long as every file has the size that the manifest records and is not
    newer than it, the artifact is taken for whole; otherwise its files are read, and read again only after one of
    them has changed once more. Damage that leaves size and time of a file as they were is found by a plain
    :class:`Store` only.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._seen: dict[tuple[str, str], tuple[Stamp, bool]] = {}

    def is_intact(self, artifact: Artifact) -> bool:
        """Whether the files are those that the manifest records."""
        known, stamp = (artifact.asset, artifact.version), tuple(sorted(_stamps(artifact.folder)))
        seen = self._seen.get(known)
        if seen is None or seen[0] != stamp:
            self._seen[known] = stamp, self._is_untouched(artifact, stamp) or self._verify(artifact)
        return self._seen[known][1]

    @staticmethod
    def _is_untouched(artifact: Artifact, stamp: Stamp) -> bool:
        try:
            recorded = artifact.manifest().files
        except ArtifactError:
            return False
        sizes = {name: size for name, _, size, _ in stamp}
        times = {name: time for name, _, _, time in stamp}
        whole = all(sizes.get(f"data/{name}") == entry.bytes for name, entry in recorded.items())
        return whole and max(times.values()) == times[MANIFEST]


def _stamps(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    """Relative path, inode, size and time of the last change of every file."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                stat = path.stat()
            except OSError:
                continue  # removed while we looked
            yield path.relative_to(folder).as_posix(), stat.st_ino, stat.st_size, stat.st_mtime_ns
