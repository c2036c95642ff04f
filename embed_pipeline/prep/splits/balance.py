"""Which split each component of documents goes to: by its hash, then moved where shares or strata are off.

Every component falls into a split by its place in [0, 1), so that most of a growing corpus stays where it is. Then
whole components move, each time the one whose move helps most (two that change places if no move does), as long as
a held-out split is off its share: by more than a tenth of its target in all (``TOTAL_SLACK``), or three tenths in
a stratum (``STRATUM_SLACK``); one question is always allowed. A stratum of which a split would get fewer than two
questions does not count. Shares in all come before strata. Where no component is larger than a fifth of a split's
target, the shares in all end within the tolerance, since a move that helps exists until they are.

Where the test split ends with fewer groups than it should have (:mod:`embed_pipeline.prep.splits.spread`), it is
filled anew with smaller ones, and the balance starts again from there; shares in all come before the number of
groups, and that before strata.

Components that were placed before keep their split: only new ones move.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.prep.splits.spread import FAIR_PART, WANTED_GROUPS, Room, choose_groups, wanted_groups

MIN_TRAIN_COMPONENTS = 2
"""Hard negatives come from other components, so one alone cannot be trained on."""
TOTAL_SLACK, STRATUM_SLACK = 0.1, 0.3
LEAST_QUESTIONS = 2
"""Of a stratum in a split, by its ratio; smaller strata are not balanced."""
MOST_SWAPPED = 200
"""Components of a split that are tried in swaps."""
PRIORITY = ("test", "validation", "train")
_TRAIN = 0

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
Cost = tuple[float, int, float]
"""What is beyond the slack in questions in all; groups that the test split lacks; what is beyond it in strata."""


@dataclass(frozen=True)
class Component:
    """Documents that stay together.

    Attributes:
        name: its representative document.
        place: hash in [0, 1).
        counts: questions in all, then per stratum.
        before: the split it was in; None for a new one.
    """

    name: str
    place: float
    counts: tuple[int, ...]
    before: str | None = None


def least_components(ratios: Mapping[str, float]) -> dict[str, int]:
    """Components with questions that each split needs: two to train on, one for each other split."""
    return {"train": MIN_TRAIN_COMPONENTS if ratios else 1, **dict.fromkeys(ratios, 1)}


def assign(
    components: Sequence[Component], ratios: Mapping[str, float], test_groups: int = WANTED_GROUPS
) -> dict[str, str] | None:
    """Component name -> split.

    Components without questions stay where they were, else they go to training.

    Args:
        components: at least as many with questions as :func:`least_components` says.
        ratios: share of the questions of each held-out split, in the order of their stretches of [0, 1).
        test_groups: components with questions that the test split should have, where a fair part of all allows it
            and they fit into its share; 0 leaves their number to chance.

    Returns:
        None when nothing is left to train on but what was in the test split before.
    """
    splits = ["train", *ratios]
    ordered = sorted(components, key=lambda component: (component.place, component.name))
    split_of = {one.name: one.before if one.before in splits else "train" for one in ordered}
    asked = [one for one in ordered if one.counts[0]]
    if not asked:
        return split_of
    state = _State(asked, splits, ratios)
    if not state.fill():
        return None
    state.improve()
    if "test" in ratios:
        state.spread(test_groups)
    return split_of | {one.name: splits[side] for one, side in zip(asked, state.side, strict=True)}


@dataclass(frozen=True)
class _Step:
    """What it would cost after these moves: component index -> split index."""

    cost: Cost
    moves: list[tuple[int, int]]


class _State:
    """Components with questions and the split each is in, as arrays.

    Shapes, for c components, s splits (training first) and f features (questions in all, then strata):
    counts [c, f], side [c] (index of the split), free [c], target, slack and held [s, f].
    """

    def __init__(self, asked: Sequence[Component], splits: Sequence[str], ratios: Mapping[str, float]) -> None:
        self.counts: Counts = np.array([one.counts for one in asked], np.int64)
        self.free = np.array([one.before not in splits for one in asked])
        self.place = np.array([one.place for one in asked])
        self.test = splits.index("test") if "test" in splits else -1
        self.least = np.array([least_components(ratios)[name] for name in splits])
        self._set_targets([ratios.get(name, 0.0) for name in splits])
        edges = np.cumsum(list(ratios.values()))
        self.side = np.array([self._first(one, splits, edges) for one in asked])
        self.room, self.wanted = Room(0, 0, 0.0, 0.0), 0

    def _set_targets(self, shares: Sequence[float]) -> None:
        """Training takes what the held-out splits leave, so it has no target of its own."""
        self.target: Numbers = np.outer(shares, self.counts.sum(0)).astype(np.float64)
        tolerated = np.full(self.counts.shape[1], STRATUM_SLACK)
        tolerated[0] = TOTAL_SLACK
        self.slack: Numbers = np.maximum(1.0, self.target * tolerated)
        ignored = self.target < LEAST_QUESTIONS
        ignored[:, 0] = False
        ignored[_TRAIN] = True
        self.slack[ignored] = np.inf

    def _first(self, one: Component, splits: Sequence[str], edges: Numbers) -> int:
        """Where it was; else the stretch its hash falls into, but training if it is far too large for that split."""
        if one.before in splits:
            return splits.index(one.before)
        side = int(np.searchsorted(edges, one.place, side="right")) + 1
        return side if side < len(splits) and one.counts[0] <= 2 * self.target[side, 0] else _TRAIN

    def fill(self) -> bool:
        """Give every split its least number of components; nothing leaves the test split for training."""
        for split, needed in enumerate(self.least):
            while (self.side == split).sum() < needed:
                spare = (np.bincount(self.side, minlength=len(self.least)) - self.least)[self.side]
                allowed = spare > 0
                if split == _TRAIN:
                    allowed &= self.free | (self.side != self.test)
                if not allowed.any():
                    return False
                sign = -1 if split == _TRAIN else 1  # training takes the largest, the others the smallest
                keys = (sign * self.place, sign * self.counts[:, 0], self.side, -spare, ~self.free, ~allowed)
                self.side[np.lexsort(keys)[0]] = split
        return True

    def improve(self) -> None:
        """Move free components until shares and strata are within their slack or nothing helps."""
        self.held = np.array([self.counts[self.side == split].sum(0) for split in range(len(self.least))])
        cost = self._cost()
        while cost > (0.0, 0, 0.0):
            step = self._best_step(cost, swap=False) or self._best_step(cost, swap=True)
            if step is None:
                return
            for component, split in step.moves:
                self.held[self.side[component]] -= self.counts[component]
                self.held[split] += self.counts[component]
                self.side[component] = split
            cost = step.cost

    def spread(self, groups: int) -> None:
        """Where the test split has fewer groups, fill it anew with smaller ones, unless shares get worse by it."""
        self._want(groups)
        if not self._lacking():
            return
        side, cost = self.side.copy(), self._cost()
        self.side[self.free & (self.side == self.test)] = _TRAIN
        free = np.flatnonzero(self.free)
        order = self.place[free] + (self.side[free] != _TRAIN)  # validation gives only what training cannot
        chosen = choose_groups(self.counts[free, 0], order, self.wanted - self.room.groups, self.room)
        self.side[free[chosen]] = self.test
        if self.fill():
            self.improve()
            if self._cost() < cost:
                return
        self.side = side

    def _want(self, groups: int) -> None:
        """Aim for so many groups in the test split, where they fit beside those that it may not lose."""
        bound = ~self.free & (self.side == self.test)
        target, slack = float(self.target[self.test, 0]), float(self.slack[self.test, 0])
        self.room = Room(int(bound.sum()), int(self.counts[bound, 0].sum()), target, slack)
        questions = int(self.counts[:, 0].sum())
        most = min(groups, int(len(self.side) * max(FAIR_PART, target / questions)))
        self.wanted = wanted_groups(self.counts[self.free, 0], self.room, most)

    def _lacking(self, more: int = 0) -> int:
        """Groups that the test split lacks, or would lack with so many more than it has."""
        return max(0, self.wanted - int((self.side == self.test).sum()) - more)

    def _cost(self) -> Cost:
        each = [self._excess(self.held[split], split) for split in range(len(self.held))]
        total, strata = (round(sum(float(part[kind]) for part in each), 9) for kind in (0, 1))
        return total, self._lacking(), strata

    def _excess(self, held: Counts, split: int) -> tuple[Numbers, Numbers]:
        """How far beyond the slack, relative to the target: in all, and summed over the strata. held: [..., f]."""
        beyond = np.maximum(np.abs(held - self.target[split]) - self.slack[split], 0.0)
        relative = beyond / np.maximum(self.target[split], 1.0)
        return relative[..., 0], relative[..., 1:].sum(-1)

    def _best_step(self, cost: Cost, swap: bool) -> _Step | None:
        """The step with the lowest cost below ``cost``, the first of equal ones."""
        best = None
        for source, split in itertools.permutations(range(len(self.least)), 2):
            if swap and source > split:
                continue
            step = self._best_between(source, split, swap)
            if step is not None and step.cost < (best.cost if best is not None else cost):
                best = step
        return best

    def _best_between(self, source: int, split: int, swap: bool) -> _Step | None:
        """The best move from one split to another; or the best swap between the two."""
        leaving, coming = (np.flatnonzero(self.free & (self.side == side)) for side in (source, split))
        if swap:
            leaving, coming = leaving[:MOST_SWAPPED], coming[:MOST_SWAPPED]
            change = (self.counts[leaving][:, None] - self.counts[coming][None]).reshape(-1, self.counts.shape[1])
        else:
            change = self.counts[leaving]
        if len(change) == 0 or (not swap and (self.side == source).sum() <= self.least[source]):
            return None
        others = [self._excess(self.held[side], side) for side in range(len(self.least)) if side not in (source, split)]
        after = [self._excess(self.held[source] - change, source), self._excess(self.held[split] + change, split)]
        total, strata = (np.round(sum(part[kind] for part in [*after, *others]), 9) for kind in (0, 1))
        row = int(np.lexsort((strata, total))[0])
        moves = [(int(leaving[row // len(coming)]), split), (int(coming[row % len(coming)]), source)] if swap else []
        more = 0 if swap else int(split == self.test) - int(source == self.test)
        cost = (float(total[row]), self._lacking(more), float(strata[row]))
        return _Step(cost, moves or [(int(leaving[row]), split)])
