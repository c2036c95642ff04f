"""Anything that can be walked, in parts; ``itertools.batched`` is there from Python 3.12 on only."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in their order, ``size`` at a time; the last part may be shorter. No more than a part is held.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"size must be 1 or more, not {size}")
    waiting = iter(items)
    while part := list(islice(waiting, size)):
        yield part
