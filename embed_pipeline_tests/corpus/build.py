"""Tables of documents, made by hand."""

import polars as pl

from embed_pipeline.corpus.parsers.blocks import Block, join_blocks
from embed_pipeline.tables import Documents, validate


def documents(*contents, title="Manual", language="en"):
    """Documents d0.md, d1.md, … of blocks or texts."""
    rows = []
    for number, blocks in enumerate(contents):
        text, sections = join_blocks([block if isinstance(block, Block) else Block(block) for block in blocks])
        rows.append(
            {
                "doc_id": f"d{number}.md",
                "path": f"d{number}.md",
                "title": title,
                "text": text,
                "sections": [vars(section) for section in sections],
                "language": language,
                "group_id": f"d{number}.md",
                "sha256": "",
            }
        )
    return validate(Documents, pl.DataFrame(rows, schema_overrides={"sections": Documents.sections.dtype}))
