"""Whether something at an address may be fetched, or is only looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_looking: ContextVar[float | None] = ContextVar("looking", default=None)


@contextmanager
def looking_only(max_age: float = 0.0) -> Iterator[None]:
    """Nothing is fetched in the block; a listing that this process got may be ``max_age`` seconds old.

    A block inside of another one keeps the age of the outer one.
    """
    outer = _looking.get()
    token = _looking.set(max_age if outer is None else outer)
    try:
        yield
    finally:
        _looking.reset(token)


def looking_age() -> float | None:
    """The age of a listing that will do; None where things may be fetched, too."""
    return _looking.get()
