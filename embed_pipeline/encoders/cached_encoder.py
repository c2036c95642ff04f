"""An encoder that computes each text once, ever."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from embed_pipeline.encoders.spec import Encoder, EncoderSpec, Role, Vectors
from embed_pipeline.files import write_json
from embed_pipeline.settings.addresses import is_address
from embed_pipeline.store.databases import PAID
from embed_pipeline.store.vector_cache import VectorCache

BATCH = 4096
"""Texts encoded before their vectors are stored."""
LOOKED_UP = 16_384
"""Texts looked up at once."""


class CachedEncoder:
    """Vectors by (spec version, role, text), kept under ``folder``.

    A corpus that grows by one percent is encoded by one percent. ``load`` is called only when something is missing,
    so that a fully cached run never loads the model.
    """

    def __init__(self, spec: EncoderSpec, load: Callable[[], Encoder], folder: Path) -> None:
        self.spec = spec
        self._load = load
        self._loaded: Encoder | None = None
        self._cache = VectorCache(folder / folder_name(spec.version()), spec.dimensions[0])
        paid = self._cache.folder / PAID
        if is_address(spec.model) and not paid.exists():
            write_json(paid, {"address": spec.model})

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors in the order of ``texts``; memory-mapped where they are many."""
        if not texts:
            return np.zeros((0, self.spec.dimensions[0]), np.float32)
        places = np.empty(len(texts), np.int64)
        missing: dict[bytes, str] = {}
        unknown: list[tuple[int, bytes]] = []
        for row, key, text, place in self._looked_up(texts, role):
            if place is None:
                missing[key] = text
                unknown.append((row, key))
            else:
                places[row] = place
        if missing:
            self._compute(missing, role)
            known = self._cache.positions(list(missing))
            for row, key in unknown:
                places[row] = known[key]
        return self._cache.gather(places)

    def _looked_up(self, texts: Iterable[str], role: Role) -> Iterator[tuple[int, bytes, str, int | None]]:
        """(row, key, text, position if its vector is there), a few at a time: texts may be millions."""
        row, remaining = 0, iter(texts)
        while part := list(islice(remaining, LOOKED_UP)):
            keys = [_key(role, text) for text in part]
            known = self._cache.positions(keys)
            for key, text in zip(keys, part, strict=True):
                yield row, key, text, known.get(key)
                row += 1

    def knows(self, texts: Sequence[str], role: Role) -> list[bool]:
        """For each text whether its vector is there already."""
        return [place is not None for *_, place in self._looked_up(texts, role)]

    def _compute(self, missing: dict[bytes, str], role: Role) -> None:
        if self._loaded is None:
            self._loaded = self._load()
        keys, texts = list(missing), list(missing.values())
        for start in range(0, len(texts), BATCH):
            vectors = self._loaded.encode(texts[start : start + BATCH], role)
            self._cache.add(keys[start : start + BATCH], vectors)


def folder_name(version: str) -> str:
    """Name of the folder that holds the vectors of an encoder of this version."""
    return version[:32]


def keys_of(text: str) -> list[bytes]:
    """The keys of a text's vectors, as a query and as a passage."""
    return [_key("query", text), _key("passage", text)]


def _key(role: Role, text: str) -> bytes:
    return hashlib.sha256(f"{role}/{text}".encode("utf-8", "surrogatepass")).digest()
