"""What was made of a text before, kept by content: values whose key names everything that decides them, the code that
made them and the versions of the libraries that it calls among it. Whoever has none of it makes the same once more.
"""

import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from embed_pipeline.files import sha256_file, sha256_json
from embed_pipeline.store.used_cache import UsedCache

PACKAGE = Path(__file__).parents[1]
FOLDER = "cache/corpus"
"""Where a home keeps what was made of its corpora."""
_NAME = re.compile(r"[\w.-]+")


class Kept:
    """Values by what they were made of."""

    def __init__(self, path: Path) -> None:
        self._cache = UsedCache(path)

    @classmethod
    @contextmanager
    def of(cls, home: Path, name: str) -> Iterator["Kept"]:
        """Open what a home keeps under a name, and forget at the end what was long not used.

        Raises:
            DatabaseError: it is damaged.
        """
        kept = cls(home / FOLDER / f"{name}.sqlite")
        try:
            yield kept
        finally:
            kept.close()

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
