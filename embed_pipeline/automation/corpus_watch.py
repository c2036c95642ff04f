"""What automation sees of the corpus: whether it can be read, what it holds, and whether somebody must confirm it.

A confirmation is one file of the home, ``automation/confirmed.json``. It holds for exactly the content it names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embed_pipeline.automation.trained import files_trained_on
from embed_pipeline.corpus.changes import CorpusChange, Files, compare, documents_in
from embed_pipeline.corpus.fingerprint_cache import StillHashing, cache_file, read_state, signature
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.corpus.sources.detect import CorpusKind
from embed_pipeline.corpus.walk import CANNOT_BE_READ, Found, found_in, open_source
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.files import now_text, write_json
from embed_pipeline.settings import Settings
from embed_pipeline.stages.corpus import corpus_folder
from embed_pipeline.store.artifacts import Store

if TYPE_CHECKING:
    from embed_pipeline.corpus.addresses.glimpse import Glimpse

CONFIRMED = Path("automation") / "confirmed.json"
_SHOWN = 3


@dataclass(frozen=True)
class CorpusListing:
    """What the corpus lists, before any file was opened or fetched.

    Attributes:
        root: the folder; of an address its copy.
        signature: changes with every write, rename, removal and touch; of an address with what it tells of changes.
        glimpse: how the entries are got, where the corpus lies at an address.
    """

    root: Path
    kind: CorpusKind
    entries: Sequence[Found]
    signature: str
    glimpse: "Glimpse | None" = None


@dataclass(frozen=True)
class CorpusView:
    """What the corpus holds, beside what the model in use was trained on.

    Attributes:
        content: its fingerprint.
        change: since the model in use was trained; None where there is nothing to compare with.
        lost: files and folders that cannot be read any more, with the reason, of those that could be.
    """

    content: str
    change: CorpusChange | None
    lost: tuple[str, ...]


def list_corpus(settings: Settings, home: Path) -> CorpusListing:
    """List the corpus; an address at most every ``automation.listing_seconds``.

    Raises:
        SettingsError: none is set.
        InputError: it is not there, cannot be read, or holds nothing; as of a disk that is not mounted. It is never
            taken for a corpus whose documents were all deleted.
    """
    root = corpus_folder(settings)
    if isinstance(root, str):
        return _list_address(root, settings, home)
    selection = selection_of(settings.corpus)
    source = open_source(root, selection)
    entries = [entry for entry in found_in(source, selection) if entry.belongs]
    if not entries:
        raise InputError(f"{root}: the corpus folder is empty. Is its disk mounted?")
    whole = next((entry.reason for entry in entries if entry.path == "." and entry.reason), None)
    if whole is not None:
        raise InputError(f"{root}: the corpus folder {whole}.")
    return CorpusListing(root, source.kind, entries, signature(entries))


def _list_address(address: str, settings: Settings, home: Path) -> CorpusListing:
    from embed_pipeline.corpus.addresses.glimpse import Glimpse

    glimpse = Glimpse.of(address, home, selection_of(settings.corpus), settings.automation.listing_seconds)
    kind: CorpusKind = "files" if glimpse.of_files else "rows"
    return CorpusListing(glimpse.root, kind, (), glimpse.signature, glimpse)


def view_corpus(listing: CorpusListing, store: Store, seconds: float | None = None) -> CorpusView | StillHashing:
    """Read what changed, for ``seconds`` at most, and compare it with what the model in use was trained on.

    What changed at an address is fetched for it.

    Raises:
        InputError: it cannot be fetched.
    """
    entries = listing.entries
    if listing.glimpse is not None:
        got = listing.glimpse.entries(seconds)
        if isinstance(got, StillHashing):
            return got
        entries = got
    state = read_state(entries, cache_file(store.home, listing.root), seconds)
    if isinstance(state, StillHashing):
        return state
    before = files_trained_on(store)
    if before is None:
        return CorpusView(state.fingerprint, None, ())
    change = compare(documents_in(before, listing.kind), documents_in(state.files, listing.kind))
    return CorpusView(state.fingerprint, change, _lost(before, state.unreadable))


def _lost(before: Files, unreadable: Mapping[str, str]) -> tuple[str, ...]:
    lost = {path: reason for path, reason in sorted(unreadable.items()) if reason.startswith(CANNOT_BE_READ)}
    if not lost:
        return ()
    known = {*before, *(str(folder) for path in before for folder in PurePosixPath(path).parents)}
    return tuple(f"{path} ({reason})" for path, reason in lost.items() if path in known)


def to_confirm(view: CorpusView, settings: Settings, store: Store) -> str | None:
    """What somebody must confirm before anything retrains by itself; None when there is no such thing."""
    if confirmed(store.home) == view.content:
        return None
    if view.lost:
        shown = ", ".join(view.lost[:_SHOWN]) + (
            f" and {len(view.lost) - _SHOWN} more" if len(view.lost) > _SHOWN else ""
        )
        return f"what the model in use was trained on cannot be read any more: {shown}"
    limit = settings.automation.max_shrink
    if view.change is not None and view.change.shrink > limit:
        return f"the corpus lost {view.change.shrink:.1%} ({view.change}); automation.max_shrink is {limit:.1%}"
    return None


def waiting_for(settings: Settings, store: Store) -> str | None:
    """The same of the corpus as it is now, for people; None also where there is no corpus to look at."""
    if files_trained_on(store) is None:
        return None
    try:
        listing = list_corpus(settings, store.home)
    except (InputError, SettingsError):
        return None
    if listing.glimpse is not None and not listing.glimpse.is_there():
        return None  # what would be fetched is not known; the sensor and the next run tell
    view = view_corpus(listing, store)
    assert isinstance(view, CorpusView)
    return to_confirm(view, settings, store)


def confirm(settings: Settings, store: Store) -> str | None:
    """Confirm the corpus as it is now; what was confirmed, None when nothing waits for it.

    Raises:
        SettingsError, InputError: see :func:`list_corpus`.
    """
    view = view_corpus(list_corpus(settings, store.home), store)
    assert isinstance(view, CorpusView)
    waiting = to_confirm(view, settings, store)
    if waiting is not None:
        moment = now_text()
        write_json(store.home / CONFIRMED, {"content": view.content, "what": waiting, "at": moment})
    return waiting


def confirmed(home: Path) -> str | None:
    """The content confirmed last."""
    try:
        value = json.loads((home / CONFIRMED).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    content = value.get("content") if isinstance(value, dict) else None
    return content if isinstance(content, str) else None
