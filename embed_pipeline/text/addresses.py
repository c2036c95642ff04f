"""Addresses of documents that lie elsewhere: ``s3://bucket/folder``, ``https://host/archive.zip``, ``hf://owner/name``.

Written as fsspec writes them; ``zip://folder::s3://bucket/archive`` names a folder inside of an archive. Credentials
never stand in an address: they come from the environment.
"""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)", re.I)
_SECRET = re.compile(
    r"token|secret|passw|^pwd$|jwt|session_?id|signature|credential|^sig$|api_?key|access_?key|^key$|^auth(orization)?$",
    re.I,
)
_CHAIN = re.compile(r"[a-z][a-z0-9+.-]*(:|::)", re.I)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CONTAINERS = ("zip", "tar")
_ADVICE = "credentials come from the environment alone, never from an address"


class Address(NamedTuple):
    """An address, taken apart.

    Attributes:
        scheme: of what is asked, in lower case.
        target: what is asked, without a folder inside of an archive.
        archive: whether that is an archive.
        inside: the folder inside of the archive, with ``/``; empty: all of it.
    """

    scheme: str
    target: str
    archive: bool
    inside: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(unquote(_path(self.target))).name


def is_address(text: str) -> bool:
    """Whether a text is an address and no path."""
    return "://" in text and _CHAIN.match(text) is not None


def taken_apart(address: str) -> Address:
    """The parts of an address that :func:`checked_address` let through."""
    outer, _, target = address.rpartition("::")
    scheme = _scheme(target)
    inside = outer.partition("://")[2].strip("/") if outer else ""
    is_archive = bool(outer) or _path(target).lower().endswith(ARCHIVES)
    return Address(scheme, target, is_archive, inside)


def checked_address(text: str) -> str:
    """An address in the form that is kept.

    Raises:
        ValueError: it holds credentials or cannot be one; the message never holds the address.
    """
    address = text.strip()
    if any(character.isspace() for character in address):
        raise ValueError("an address holds no blanks; write %20 or the name as it is without them")
    if not address.isprintable():
        raise ValueError("an address holds no control characters; take them out, or write them as %..")
    parts = address.split("::")
    if len(parts) > 2 or (len(parts) == 2 and _scheme(parts[0]) not in _CONTAINERS):
        raise ValueError("is no address; only zip://FOLDER::ADDRESS and tar://FOLDER::ADDRESS name another one")
    target = parts[-1]
    if not _scheme(target):
        raise ValueError("zip:// and tar:// name an address behind ::, a file of this machine as file:///folder/name")
    if _scheme(target) in _CONTAINERS:
        raise ValueError("write zip://::ADDRESS, or the address of an archive by itself if it ends as one")
    _refuse_secrets(target)
    if any(part == ".." for part in unquote(address).split("/")):
        raise ValueError("an address holds no '..'; name the folder itself")
    scheme, rest = target.split("://", 1)
    if scheme.lower() == "file" and not rest.startswith("/"):
        raise ValueError("file:// names a whole path, as file:///folder/name")
    kept = f"{scheme.lower()}://{rest}"
    kept = kept if urlsplit(kept).query else kept.rstrip("/") if rest.strip("/") else kept
    return "::".join([*parts[:-1], kept])


def local_path(address: str) -> Path | None:
    """The path that ``file://`` names, where it is no archive."""
    taken = taken_apart(address)
    return Path(unquote(urlsplit(taken.target).path)) if taken.scheme == "file" and not taken.archive else None


def _path(target: str) -> str:
    """Without host, query and fragment; only the web has hosts, which may end as archives do."""
    split = urlsplit(target)
    return split.path if _scheme(target) in ("http", "https") else f"{split.netloc}{split.path}"


def _scheme(text: str) -> str:
    found = _SCHEME.match(text)
    return found.group().lower() if found else ""


def _refuse_secrets(target: str) -> None:
    try:
        split = urlsplit(target)
    except ValueError:
        raise ValueError("is no address") from None
    if "@" in split.netloc:
        raise ValueError(f"holds a user name or a password; {_ADVICE}")
    said = "&".join([split.path.partition(";")[2], split.query, split.fragment])
    asked = parse_qsl(said.replace(";", "&").replace("?", "&"), keep_blank_values=True)
    if any(_SECRET.search(name) for name, _ in asked):
        raise ValueError(f"holds a signature or a key; {_ADVICE}")
