"""Plain text."""

from embed_pipeline.corpus.parsers.blocks import Block, Extracted
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.losses import Losses

__all__ = ["decode", "parse_text"]


def parse_text(data: bytes) -> Extracted:
    """The text as it stands; plain text has no headings."""
    losses = Losses()
    text = decode(data, declared_in(data), losses)
    return Extracted([Block(text)], losses=losses.told())
