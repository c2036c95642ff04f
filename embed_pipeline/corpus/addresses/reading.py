"""A corpus at an address as the stages see it: its version, its files, what it would cost to fetch them.

What only looks (``--plan``, ``status``, sensors) asks for the listing and fetches nothing; a run fetches.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from embed_pipeline.corpus.addresses.choose import Choice, choose, located
from embed_pipeline.corpus.addresses.listing import Listing, Pace
from embed_pipeline.corpus.addresses.looking import looking_age
from embed_pipeline.corpus.addresses.mirror import TREE, Mirror, saved_listing
from embed_pipeline.corpus.fingerprint_cache import CorpusState, cache_file, cached_fingerprint, read_state
from embed_pipeline.corpus.manifest import manifest_of
from embed_pipeline.corpus.selection import IGNORE_FILE, Selection, ignore_file, selection_of
from embed_pipeline.corpus.walk import Found, found_in, open_source
from embed_pipeline.errors import EmbedPipelineError, InputError
from embed_pipeline.files import sha256_json
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.store.home import is_home

ARCHIVE = "(the archive)"
"""Stands for the files of an archive that was not fetched."""


@contextmanager
def mirror_of(address: str, home: Path) -> Iterator[Mirror]:
    """The copy of an address in a home, or one that goes at the end where there is no home."""
    if is_home(home):
        yield Mirror.of(address, home)
        return
    with TemporaryDirectory(prefix="embed_pipeline-") as folder:
        yield Mirror(address, Path(folder))


def address_version(address: str, home: Path, selection: Selection) -> str:
    """The fingerprint of what lies there, by content; in a run it is fetched for that.

    Where nothing may be fetched, and not everything is there, that of versions: no run ever had it, so that whoever
    plans sees a change.

    Raises:
        InputError: it cannot be listed or fetched.
    """
    max_age = looking_age()
    if max_age is None:
        mirror = Mirror.of(address, home)
        with naming(mirror):
            listing = mirror.look(Pace())
            mirror.fetch(listing, mirror.choice(listing, selection))
            return cached_fingerprint(mirror.root(listing), cache_file(home, mirror.tree), selection)
    with mirror_of(address, home) as mirror, naming(mirror):
        listing = mirror.look(None, max_age)
        if listing.pending:
            return sha256_json(["not fetched", listing.archive])
        choice = mirror.choice(listing, selection)
        missing = mirror.missing(choice)
        if missing:
            return sha256_json(["not fetched", [(one.path, one.size, one.version) for one in missing]])
        state = read_state(entries_of(mirror, listing, choice, selection), cache_file(home, mirror.tree))
        assert isinstance(state, CorpusState)
        return state.fingerprint


def entries_of(mirror: Mirror, listing: Listing, choice: Choice, selection: Selection) -> list[Found]:
    """What belongs to the corpus, as the copy holds it, in the order of the paths; everything must be there."""
    if choice.of_files:
        return [entry for entry in mirror.located(choice) if entry.belongs]
    return [entry for entry in found_in(open_source(mirror.root(listing), selection), selection) if entry.belongs]


@contextmanager
def corpus_at(address: str, home: Path) -> Iterator[Path]:
    """The copy as it was last fetched, for those who read it; their errors name the address.

    Raises:
        InputError: nothing was fetched yet.
    """
    mirror = Mirror.of(address, home)
    listing = saved_listing(mirror.folder)
    if listing is None:
        raise InputError(f"{address}: was not fetched yet, or its copy in {mirror.folder} is gone. Run again.")
    with naming(mirror):
        yield mirror.root(listing)


def revision_of(address: str, home: Path) -> str | None:
    """The commit that was last fetched, where the address has any."""
    listing = saved_listing(Mirror.of(address, home).folder)
    return listing.revision if listing is not None else None


@contextmanager
def naming(mirror: Mirror) -> Iterator[None]:
    """Errors name the address instead of the folder of its copy."""
    try:
        yield
    except EmbedPipelineError as error:
        text = str(error)
        told = text.replace(f"{mirror.tree}/", f"{mirror.address.rstrip('/')}/").replace(
            str(mirror.tree), mirror.address
        )
        if told == text:
            raise
        raise type(error)(told) from error


def mirrored(root: Path, selection: Selection) -> list[Found] | None:
    """What a copy holds, and what of its address was not fetched, with the reason; None where ``root`` is no copy."""
    listing = saved_listing(root.parent) if root.name == TREE else None
    if listing is None:
        return None
    ignored = {
        entry.path.removesuffix(IGNORE_FILE): ignore_file(root / entry.path)
        for entry in listing.entries
        if entry.path.rpartition("/")[2] == IGNORE_FILE and (root / entry.path).exists()
    }
    return [located(one, root) for one in choose(listing, selection, ignored).found]


def listed(address: str, home: Path, settings: CorpusSettings) -> pl.DataFrame:
    """What a run would list, without fetching: a :class:`~embed_pipeline.tables.CorpusManifest` without hashes.

    Of an archive that was not fetched yet one row, of all of it.

    Raises:
        InputError: it cannot be listed, or holds nothing that would be read.
    """
    selection = selection_of(settings)
    with mirror_of(address, home) as mirror, naming(mirror):
        listing = mirror.look(None, looking_age() or 0.0)
        if listing.pending:
            return manifest_of([(ARCHIVE, listing.size or 0, "", None)], address)
        choice = mirror.choice(listing, selection)
    return manifest_of(rows_of(choice), address, settings.include)


def rows_of(choice: Choice) -> list[tuple[str, int, str, str | None]]:
    """Rows of a manifest, without hashes."""
    return [(one.path, one.stat.st_size if one.stat else 0, "", one.reason) for one in choice.found]
