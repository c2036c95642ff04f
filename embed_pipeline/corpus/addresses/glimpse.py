"""What automation sees of an address: its listing, and in its own time the files that changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.corpus.addresses.choose import Choice
from embed_pipeline.corpus.addresses.listing import Listing, OutOfTimeError, Pace
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import entries_of, naming
from embed_pipeline.corpus.fingerprint_cache import StillHashing
from embed_pipeline.corpus.selection import Selection
from embed_pipeline.corpus.walk import Found
from embed_pipeline.files import sha256_json


@dataclass(frozen=True)
class Glimpse:
    """What an address lists.

    Attributes:
        choice: what of it a run would read; None of an archive that was not fetched.
    """

    mirror: Mirror
    listing: Listing
    choice: Choice | None
    selection: Selection

    @classmethod
    def of(cls, address: str, home: Path, selection: Selection, max_age: float) -> "Glimpse":
        """Ask the address, where this process has not for ``max_age`` seconds.

        Raises:
            SettingsError, InputError: it cannot be listed, or lists nothing.
        """
        mirror = Mirror.of(address, home)
        with naming(mirror):
            listing = mirror.look(None, max_age)
            choice = mirror.choice(listing, selection) if not listing.pending else None
        return cls(mirror, listing, choice, selection)

    @property
    def root(self) -> Path:
        """The copy."""
        return self.mirror.tree

    @property
    def of_files(self) -> bool:
        """Whether it is a folder of documents, as far as that is known."""
        return self.choice is None or self.choice.of_files

    @property
    def signature(self) -> str:
        """Changes with everything that a run would read, and what it would skip."""
        if self.listing.archive is not None or self.choice is None:
            return sha256_json(["archive", self.listing.archive])
        entries = self.choice.entries
        return sha256_json(
            [
                (one.path, one.reason, entries[one.path][1:3] if one.path in entries else None)
                for one in self.choice.found
                if one.belongs
            ]
        )

    def is_there(self) -> bool:
        """Whether nothing is to be fetched."""
        return self.choice is not None and not self.mirror.missing(self.choice)

    def entries(self, seconds: float | None) -> Sequence[Found] | StillHashing:
        """What belongs to the corpus, once all of it is there; fetched for ``seconds`` at most.

        Raises:
            InputError: it cannot be fetched.
        """
        pace = Pace(seconds)
        with naming(self.mirror):
            try:
                listing = self.listing if self.choice is not None else self.mirror.look(pace)
                choice = self.choice or self.mirror.choice(listing, self.selection)
                done = self.mirror.fetch(listing, choice, pace)
            except OutOfTimeError:
                return StillHashing(0, 1)
            if not done:
                return StillHashing(len(choice.entries) - len(self.mirror.missing(choice)), len(choice.entries))
            return entries_of(self.mirror, listing, choice, self.selection)
