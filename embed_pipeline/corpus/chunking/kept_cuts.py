"""Where documents were cut before, so that a document is cut once, however often others change around it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embed_pipeline.store.kept import Kept, code_version

Cut = tuple[int, int, int, str, int]
"""Position, start, end, title and tokens of a passage."""
Row = Mapping[str, Any]


class KeptCuts:
    """Passages of documents by the documents' content.

    Args:
        kept: where they are kept.
        decided_by: whatever decides how a document is cut, besides the document and the code.
    """

    def __init__(self, kept: Kept, decided_by: Sequence[str]) -> None:
        self._kept = kept
        self._decided_by = (code_version("corpus/chunking"), *decided_by)

    def keys(self, documents: Iterable[Row]) -> list[bytes]:
        """The key of each document's passages."""
        return [
            Kept.key(*self._decided_by, row["language"], row["title"], json.dumps(row["sections"]), row["text"])
            for row in documents
        ]

    def known(self, keys: Sequence[bytes]) -> dict[bytes, list[Cut]]:
        """The passages of those that were cut before."""
        return {key: [tuple(cut) for cut in cuts] for key, cuts in self._kept.get_json(keys).items()}

    def keep(self, keys: Mapping[str, bytes], rows: Iterable[Row]) -> None:
        """Store passages of the documents ``keys`` names."""
        cuts: dict[str, list[Cut]] = {doc_id: [] for doc_id in keys}
        for row in rows:
            cuts[row["doc_id"]].append((row["position"], row["start"], row["end"], row["title"], row["token_count"]))
        self._kept.put_json({keys[doc_id]: found for doc_id, found in cuts.items()})
