"""Endpoints among the values of a setting that may name a model or an address."""

from pathlib import Path
from urllib.parse import urlsplit


def is_address(name: str) -> bool:
    """Whether a name is that of an endpoint, and not of a model."""
    return name.lower().startswith(("http://", "https://"))


def names_only_a_place(address: str) -> bool:
    """Whether an address has a host, and neither user name, password nor query, which could hold a key."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and not (parts.username or parts.password or parts.query)
    except ValueError:  # brackets that close nothing, and the like
        return False


def looks_like_address(name: str) -> bool:
    """Of any scheme, or ``user:password@host/...``."""
    return "://" in name or ("@" in name and not name.startswith((".", "/", "~")) and not _is_folder(name))


def refuse_address(name: str) -> None:
    """Refuse what is an address where only a model can be named; such a text is never shown, as it may hold a password.

    Raises:
        ValueError: it is one, or looks like ``user:password@host/...``.
    """
    if looks_like_address(name):
        raise ValueError(
            "names a model: a hub id (owner/name), a folder or package:NAME, and no address; what was given is not "
            "shown, since an address may hold a password"
        )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False
