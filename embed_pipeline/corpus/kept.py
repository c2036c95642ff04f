"""What was made of a file or a text before: kept by content, so that a change of one file costs the work of that file.

Three files below ``cache/corpus`` of a home: ``documents.sqlite`` (what a parser made of a file's bytes),
``passages.sqlite`` (where a document was cut) and ``fingerprints.sqlite``. The key of a value names everything that
decides it, the code that made it and the versions of the libraries that it calls among it.
"""

import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from embed_pipeline.files import sha256_file, sha256_json
from embed_pipeline.store.used_cache import UsedCache

PACKAGE = Path(__file__).parents[1]
FOLDER = "corpus"
_NAME = re.compile(r"[\w.-]+")


class Kept:
    """Values by what they were made of."""

    def __init__(self, path: Path) -> None:
        self._cache = UsedCache(path)

    @staticmethod
    def key(*parts: str) -> bytes:
        """The key of a value that is decided by these texts."""
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.digest()

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The known ones among ``keys``."""
        return self._cache.get_many(keys)

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Store values, durable when it returns."""
        if values:
            self._cache.put_many(values)

    def get_json(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """The known ones among ``keys``, put there by :meth:`put_json`."""
        return {key: json.loads(value) for key, value in self.get_many(keys).items()}

    def put_json(self, values: Mapping[bytes, Any]) -> None:
        """Store values as JSON: whoever looks for a text in the files of a home finds it."""
        self.put_many(
            {
                key: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
                for key, value in values.items()
            }
        )

    def close(self) -> None:
        """Forget what was long not used, and close the file."""
        self._cache.forget_unused()
        self._cache.close()


@dataclass(frozen=True)
class KeptCorpus:
    """What a home keeps of its corpora."""

    documents: Kept
    passages: Kept
    fingerprints: Kept

    @classmethod
    @contextmanager
    def of(cls, home: Path) -> Iterator["KeptCorpus"]:
        """Open what a home keeps, and forget at the end what was long not used.

        Raises:
            DatabaseError: one is damaged.
        """
        folder = home / "cache" / FOLDER
        kept = [Kept(folder / f"{name}.sqlite") for name in ("documents", "passages", "fingerprints")]
        try:
            yield cls(*kept)
        finally:
            for one in kept:
                one.close()


@cache
def code_version(*folders: str) -> str:
    """Of the source code below these folders of the package, the libraries that are installed, and Python's Unicode."""
    files = sorted(path for folder in folders for path in (PACKAGE / folder).rglob("*.py"))
    code = {path.relative_to(PACKAGE).as_posix(): sha256_file(path) for path in files}
    return sha256_json([code, library_versions(_required()), list(sys.version_info[:2]), unicodedata.unidata_version])


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _required() -> list[str]:
    """The libraries that the package names, those of its extras too."""
    try:
        declared = requires("embed-pipeline") or []
    except PackageNotFoundError:
        declared = []
    return sorted({match.group() for one in declared if (match := _NAME.match(one)) is not None})
