"""Addresses that an fsspec file system reads: ``s3://``, ``gs://``, ``file://`` and so on."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from embed_pipeline.corpus.addresses.listing import Check, Entry, Listing, usable
from embed_pipeline.corpus.addresses.refusals import MEANWHILE, ChangedError, telling
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.text.addresses import Address

PIECE = 16_000_000
"""Bytes that are fetched at once."""
_TELL_CONTENT = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "md5", "sha256", "checksum", "crc32c", "generation")
_TELL_TIME = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs"}


class FileSystem:
    """The files below an address, by fsspec.

    Raises:
        SettingsError: nothing that is installed knows such an address; names the extra.
    """

    def __init__(self, address: Address) -> None:
        self._address = address.target
        self._fs, self._root = _opened(address)

    def listing(self) -> Listing:
        """Every file below; none is opened.

        Raises:
            InputError: the address cannot be listed, or holds nothing.
        """
        with telling(self._address):
            found: dict[str, Any] = self._fs.find(self._root, detail=True)
            if len(found) <= 1 and self._fs.isfile(self._root):
                found = {self._root: self._fs.info(self._root)}
        if not found:
            raise InputError(f"{self._address}: nothing lies at this address. Correct corpus.path.")
        root = str(self._root).strip("/")
        entries = list(_entries(found, root))
        if len(entries) == 1 and entries[0].path == "":
            name = root.rpartition("/")[2]
            return Listing([entries[0]._replace(path=name)], lone=True)
        return Listing(usable(entry for entry in entries if entry.path))

    def fetch(self, entry: Entry, part: Path, check: Check) -> None:
        """See :class:`~embed_pipeline.corpus.addresses.listing.Backend`.

        Raises:
            InputError: it cannot be read, or has changed since it was listed.
        """
        with telling(f"{self._address}: {entry.path}"):
            pieces = self._write(entry, part, check)
            whole = entry.size is None or part.stat().st_size == entry.size
            if not whole or (pieces > 1 and not self._is_as_listed(entry)):
                part.unlink(missing_ok=True)
                raise ChangedError(MEANWHILE)

    def _is_as_listed(self, entry: Entry) -> bool:
        """Whether it is that version still; file systems may tell it in another form of one file than of many."""
        if _version(self._fs.info(entry.place)) == entry.version:
            return True
        return any(one.place == entry.place and one.version == entry.version for one in self.listing().entries)

    def _write(self, entry: Entry, part: Path, check: Check) -> int:
        """How many pieces there were, those of an earlier time as well."""
        done = part.stat().st_size if part.exists() else 0
        pieces = 1 if done else 0
        with part.open("ab") as file:
            while entry.size is None or done < entry.size:
                check()
                data = self._fs.cat_file(entry.place, start=done, end=_end(done, entry.size))
                file.write(data)
                pieces += 1
                done += len(data)
                if len(data) < PIECE:
                    break
        return pieces


def _end(done: int, size: int | None) -> int:
    return done + PIECE if size is None else min(done + PIECE, size)


def _entries(found: Mapping[str, Mapping[str, Any]], root: str) -> Iterator[Entry]:
    for place, info in found.items():
        if info.get("type") == "directory" or place.endswith("/"):
            continue
        path = place.lstrip("/").removeprefix(root).removeprefix("/")
        size = info.get("size")
        yield Entry(path, int(size) if size is not None else None, _version(info), place)


def _version(info: Mapping[str, Any]) -> str | None:
    """What tells of a change: a checksum, else a time, with the size; None where there is neither."""
    told = _first(info, _TELL_CONTENT) or _first(info, _TELL_TIME)
    return f"{told} {info.get('size')}" if told is not None else None


def _first(info: Mapping[str, Any], names: Iterable[str]) -> str | None:
    found = next((name for name in names if info.get(name)), None)
    if found is None:
        return None
    value = info[found]
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"{found} {text.strip(chr(34))}"


def _opened(address: Address) -> tuple[Any, Any]:
    import fsspec
    from fsspec.registry import known_implementations

    scheme = address.scheme
    try:
        with telling(address.target):
            opened = fsspec.core.url_to_fs(address.target, use_listings_cache=False, skip_instance_cache=True)
            return opened[0], opened[1]
    except InputError as error:
        if isinstance(error.__cause__, ImportError):
            raise SettingsError(f"{address.target}: reading {scheme}:// needs {_what_to_install(scheme)}.") from error
        if scheme not in known_implementations and isinstance(error.__cause__, ValueError):
            raise SettingsError(
                f"{address.target}: {scheme}:// is no kind of address that is known; s3://, https://, hf:// and those "
                "of fsspec are."
            ) from error
        raise


def _what_to_install(scheme: str) -> str:
    if scheme in _EXTRAS:
        return f'the extra {_EXTRAS[scheme]}: pip install "embed-pipeline[{_EXTRAS[scheme]}]"'
    package = _PACKAGES.get(scheme)
    return f"a package of its own: pip install {package}" if package else "a package that is not installed"
