"""A few files of an address for those who only want to look: fetched into a folder that goes at the end."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from embed_pipeline.corpus.addresses.choose import Choice
from embed_pipeline.corpus.addresses.listing import Listing, Pace
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import naming, rows_of
from embed_pipeline.corpus.manifest import file_row, manifest_of
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.store.home import is_home


@dataclass(frozen=True)
class Glance:
    """A folder of documents at an address.

    Attributes:
        manifest: what it lists, without hashes.
    """

    manifest: pl.DataFrame
    _mirrors: Sequence[Mirror]
    _choice: Choice
    _limit: int

    def read(self, paths: Sequence[str]) -> tuple[Path, pl.DataFrame]:
        """Fetch these documents: the folder they are in, and the manifest in which they have their hashes.

        Raises:
            InputError: one cannot be fetched.
        """
        entries = [self._choice.entries[path] for path in paths]
        mirror = next((one for one in self._mirrors if one.has(entries)), self._mirrors[-1])
        mirror.fetch_some(entries)
        there = {one.path: one for one in mirror.located(self._choice) if one.path in set(paths)}
        rows = [file_row(there[row[0]], self._limit) if row[0] in there else row for row in rows_of(self._choice)]
        return mirror.tree, manifest_of(rows, mirror.address)


@contextmanager
def glance_at(address: str, home: Path | None, settings: CorpusSettings) -> Iterator[tuple[Path, Glance | None]]:
    """The root of what lies there, and how documents of it are fetched; None where all of it was, as of a data set.

    What the home holds already is used, and nothing is put into it.

    Raises:
        InputError: it cannot be listed or fetched.
    """
    selection = selection_of(settings)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="embed_pipeline-"))
        mirrors = [Mirror(address, Path(folder))]
        if home is not None and is_home(home):
            mirrors.insert(0, Mirror.of(address, home))
        for mirror in mirrors:
            stack.enter_context(naming(mirror))
        listing = _listing(mirrors)
        choice = mirrors[0].choice(listing, selection)
        if choice.of_files:
            limit = int(settings.max_file_mb * 1_000_000)
            yield (
                mirrors[0].tree,
                Glance(manifest_of(rows_of(choice), address, settings.include), mirrors, choice, limit),
            )
            return
        if mirrors[0].missing(choice):
            mirrors = mirrors[-1:]
            mirrors[0].fetch(mirrors[0].look(Pace()), choice)
        yield mirrors[0].root(listing), None


@contextmanager
def fetched_once(address: str, settings: CorpusSettings) -> Iterator[Path]:
    """All of it, in a folder that goes at the end.

    Raises:
        InputError: it cannot be listed or fetched.
    """
    with TemporaryDirectory(prefix="embed_pipeline-") as folder:
        mirror = Mirror(address, Path(folder))
        with naming(mirror):
            listing = mirror.look(Pace())
            mirror.fetch(listing, mirror.choice(listing, selection_of(settings)))
            yield mirror.root(listing)


def _listing(mirrors: list[Mirror]) -> Listing:
    """Of an archive that the home does not hold it is fetched."""
    listing = mirrors[0].look()
    if not listing.pending:
        return listing
    del mirrors[:-1]
    return mirrors[0].look(Pace())
