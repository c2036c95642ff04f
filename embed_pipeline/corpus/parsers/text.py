"""Plain text."""

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, clean_stretches
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.losses import Losses

__all__ = ["decode", "parse_text"]

_LARGE = 4_000_000
"""Characters of a text that is cleaned here, so that it is in memory once."""


def parse_text(data: bytes) -> Extracted:
    """The text as it stands; plain text has no headings."""
    losses = Losses()
    text = decode(data, declared_in(data), losses)
    if len(text) < _LARGE:
        return Extracted([Block(text)], losses=losses.told())
    parts = list(clean_stretches(text))
    del text
    cleaned = b"".join(parts)
    del parts
    return Extracted([Block(cleaned.decode(), is_clean=True)], losses=losses.told())
