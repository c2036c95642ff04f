"""How many groups of documents the test split should hold, and which ones.

A verdict counts groups: questions about one document are won and lost together. Where documents have many questions
each, the test split's share of the questions is used up by a handful of groups, and no verdict is possible. So groups
with few questions are preferred, but only as far as needed: of all that are small enough that the wanted number fits
into the share, those are taken that come first by their hash, whatever their size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WANTED_GROUPS = 30
LEAST_GROUPS = 10
"""Below it no verdict is given on generated questions (``MIN_CLUSTERS`` of :mod:`embed_pipeline.evaluation.verdict`);
to reach it the share may use its tolerance."""
FAIR_PART = 1 / 3
"""Of the groups with questions no larger part is wanted for the test split, unless its ratio is larger."""
_ROUNDING = 1e-9

Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class Room:
    """What the test split has and may have.

    Attributes:
        groups: that are in it for good.
        questions: that these groups have.
        target: questions by its ratio.
        slack: questions that it may be off.
    """

    groups: int
    questions: int
    target: float
    slack: float

    def left(self, tolerant: bool) -> float:
        """Questions that may still come in; ``tolerant``: up to the end of the tolerance."""
        return self.target + (self.slack if tolerant else 0.0) - self.questions


def wanted_groups(sizes: Sizes, room: Room, most: int) -> int:
    """Groups with questions that the test split should hold; so many fit into its share.

    Args:
        sizes: [n] questions of each group that may still be placed.
        room: what the test split has and may have.
        most: how many would be enough.
    """
    fit, fit_tolerant = (room.groups + _how_many_fit(sizes, room.left(tolerant)) for tolerant in (False, True))
    return max(min(most, fit), min(most, LEAST_GROUPS, fit_tolerant))


def _how_many_fit(sizes: Sizes, questions: float) -> int:
    return int(np.searchsorted(np.cumsum(np.sort(sizes)), questions + _ROUNDING, side="right"))


def choose_groups(sizes: Sizes, order: NDArray[np.float64], count: int, room: Room) -> NDArray[np.intp]:
    """Which ``count`` groups to take, at most as many as fit.

    Args:
        sizes: [n] questions of each group that may be taken.
        order: [n] among those that are small enough the lowest come first.
        count: how many to take.
        room: what the test split has and may have.

    Returns:
        Indices of the groups, [count].
    """
    by_size = np.lexsort((order, sizes))
    mean = np.cumsum(sizes[by_size]) / np.arange(1, len(sizes) + 1)  # never falls
    small_enough = int(np.searchsorted(mean, room.left(tolerant=False) / count + _ROUNDING, side="right"))
    eligible = by_size[: max(count, small_enough)]
    eligible = eligible[np.argsort(order[eligible], kind="stable")]
    return _made_to_fit(sizes, eligible[:count], eligible[count:], room.left(tolerant=True))


def _made_to_fit(sizes: Sizes, taken: NDArray[np.intp], others: NDArray[np.intp], questions: float) -> NDArray[np.intp]:
    """The largest of ``taken`` change places with the smallest of ``others`` until all have few enough questions."""
    largest = taken[np.argsort(-sizes[taken], kind="stable")].copy()
    smallest = others[np.argsort(sizes[others], kind="stable")]
    for index in range(min(len(largest), len(smallest))):
        if sizes[largest].sum() <= questions + _ROUNDING or sizes[smallest[index]] >= sizes[largest[index]]:
            break
        largest[index] = smallest[index]
    return largest
