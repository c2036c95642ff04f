"""Endpoints among the values of a setting that may name a model or an address."""

from urllib.parse import urlsplit


def is_address(name: str) -> bool:
    """Whether a name is that of an endpoint, and not of a model."""
    return name.startswith(("http://", "https://"))


def names_only_a_place(address: str) -> bool:
    """Whether an address has a host, and neither user name, password nor query, which could hold a key."""
    parts = urlsplit(address)
    return bool(parts.hostname) and not (parts.username or parts.password or parts.query)
