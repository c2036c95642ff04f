"""What an encoder does not see of passages, because they are longer than it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from embed_pipeline.corpus.chunking.pieces import CountTokens
from embed_pipeline.corpus.chunking.tokens import special_tokens
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.records import passage_text

WORTH_A_WARNING = 0.01
"""Share of all tokens that are not seen."""
_NEAR = 8
"""Tokens by which title and text together may differ from both apart."""


@dataclass(frozen=True)
class Unseen:
    """Of some passages.

    Attributes:
        passages: how many there are.
        cut_off: how many of them the encoder does not see to their end.
        tokens: of all of them, titles included.
        unseen: of these, those that are not seen.
        longest: tokens of the longest.
        limit: tokens of a passage that the encoder takes, special tokens and prompt included.
    """

    passages: int
    cut_off: int
    tokens: int
    unseen: int
    longest: int
    limit: int

    @property
    def share(self) -> float:
        """Of all tokens, those that are not seen."""
        return self.unseen / self.tokens if self.tokens else 0.0

    def line(self, what: str, way_out: str) -> str | None:
        """What to tell; None where everything is seen."""
        if not self.cut_off:
            return None
        warning = "warning: " if self.share >= WORTH_A_WARNING else ""
        share = f"{self.share:.0%}" if self.share >= WORTH_A_WARNING else f"{self.share:.2%}"
        return (
            f"{warning}{self.cut_off:,} of {self.passages:,} {what} are longer than the encoder takes "
            f"({self.limit} tokens, encoder.max_passage_length; the longest has {self.longest:,}): {share} of all "
            f"tokens are not seen. {way_out}"
        )


def room_of(spec: EncoderSpec, count: CountTokens) -> int:
    """Tokens of title and text that the encoder sees."""
    return (
        spec.max_passage_length - special_tokens(spec) - (count([spec.passage_prompt])[0] if spec.passage_prompt else 0)
    )


def count_unseen(rows: Sequence[tuple[str, str, int]], spec: EncoderSpec, count: CountTokens) -> Unseen:
    """Count what is not seen.

    Args:
        rows: title, text, and tokens of the text.
        count: of the model of ``spec``.
    """
    room = room_of(spec, count)
    titles = list({title for title, *_ in rows})
    of_title = dict(zip(titles, count(titles), strict=True))
    totals = [tokens + of_title[title] for title, _, tokens in rows]
    near = [place for place, total in enumerate(totals) if abs(total - room) <= _NEAR]
    exact = count([passage_text(rows[place][0], rows[place][1]) for place in near])
    for place, tokens in zip(near, exact, strict=True):
        totals[place] = tokens
    beyond = [total - room for total in totals if total > room]
    longest = max(totals, default=0) + spec.max_passage_length - room
    return Unseen(len(rows), len(beyond), sum(totals), sum(beyond), longest, spec.max_passage_length)
