"""Pieces of a document into passages: filled up to a token budget, none a tiny rest."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from embed_pipeline.corpus.chunking.pieces import CountTokens, Span, cost_of, halves

Lead = Callable[[Span], int]
"""What goes with a passage that begins with a piece, in tokens: the heading row of its table."""


def runs(pieces: Sequence[Span], smallest: int) -> list[list[Span]]:
    """Pieces that may share passages: one section, joined by the next ones while it is too small."""
    runs: list[list[Span]] = []
    for _, of_section in groupby(pieces, key=lambda piece: piece.section):
        section = list(of_section)
        if runs and _cost(runs[-1]) < smallest:
            runs[-1].extend(section)
        else:
            runs.append(section)
    if len(runs) > 1 and _cost(runs[-1]) < smallest:
        last = runs.pop()
        runs[-1].extend(last)
    return runs


def _cost(pieces: Sequence[Span]) -> int:
    return sum(piece.cost for piece in pieces)


def pack(pieces: Sequence[Span], budget: int, lead: Lead) -> list[list[Span]]:
    """Fill passages one after the other; a last one under half the budget shares with the one before."""
    groups: list[list[Span]] = [[]]
    used = lead(pieces[0]) if pieces else 0
    for piece in pieces:
        if groups[-1] and used + piece.cost > budget:
            groups.append([])
            used = lead(piece)
        groups[-1].append(piece)
        used += piece.cost
    if len(groups) > 1 and used < budget // 2:
        both = groups[-2] + groups[-1]
        groups[-2:] = _even_halves(both, budget, lead)
    return groups


def _even_halves(pieces: Sequence[Span], budget: int, lead: Lead) -> list[list[Span]]:
    """Two groups as equal as the pieces allow, each within the budget where that is possible."""
    total, left = _cost(pieces), lead(pieces[0])
    total += left
    best, best_excess = 1, (float("inf"), float("inf"))
    for place in range(1, len(pieces)):
        left += pieces[place - 1].cost
        larger = max(left, total - left + lead(pieces[place]))
        excess = (max(larger - budget, 0), larger)
        if excess <= best_excess:
            best, best_excess = place, excess
    return [list(pieces[:best]), list(pieces[best:])]


def halve_too_long(
    groups: Sequence[list[Span]],
    texts: Mapping[int, str],
    count_tokens: CountTokens,
    budget: int,
    lead: Lead,
) -> list[tuple[list[Span], int]]:
    """Groups in order with the tokens of their text; where joining pieces cost more than their sum, halved."""
    done: list[tuple[list[Span], int]] = []
    waiting = list(groups)
    while waiting:
        passages = [texts[group[0].document][group[0].start : group[-1].end].strip() for group in waiting]
        counted = list(zip(waiting, passages, count_tokens(passages), strict=True))
        waiting = []
        for group, text, tokens in counted:
            if cost_of(text, tokens) + lead(group[0]) <= budget or len(text) == 1:
                done.append((group, tokens))
            elif len(group) > 1:
                waiting.extend(_even_halves(group, budget, lead))
            else:
                waiting.extend([half] for half in halves(group[0], texts[group[0].document]))
    return sorted(done, key=lambda item: (item[0][0].document, item[0][0].start))
