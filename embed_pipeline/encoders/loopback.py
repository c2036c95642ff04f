"""Whether an address is this machine's own: then no proxy stands before it."""

import ipaddress

import httpx


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; proxies of the environment are not for it."""
    host = httpx.URL(url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
