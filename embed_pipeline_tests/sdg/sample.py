"""A small invented corpus and hand-made candidates."""

import polars as pl

from embed_pipeline import tables
from embed_pipeline.sdg.candidates import Candidate, Hop, candidates_frame

TEXTS = {
    "alarm.md": [
        "The lung pressure of a Merrin is 420 Pa.\nBelow 350 Pa the low alarm sounds.",
        "The loft warden answers the alarm within one watch.",
    ],
    "skein.md": ["A skein is retired at 1,500 credits. A new skein has 10,000 credits."],
}


def documents_and_passages(texts=None, titles=None):
    """Tables of documents whose passages are joined by a blank line."""
    documents, passages = [], []
    for doc_id, parts in sorted((texts or TEXTS).items()):
        text = "\n\n".join(parts)
        documents.append(
            {
                "doc_id": doc_id,
                "path": doc_id,
                "title": (titles or {}).get(doc_id, ""),
                "text": text,
                "sections": [],
                "language": "en",
                "group_id": doc_id,
                "sha256": "0",
            }
        )
        start = 0
        for position, part in enumerate(parts):
            passage_id = f"{doc_id}#{position}"
            passages.append(
                {
                    "passage_id": passage_id,
                    "doc_id": doc_id,
                    "position": position,
                    "start": start,
                    "end": start + len(part),
                    "title": (titles or {}).get(doc_id, ""),
                    "text": part,
                    "token_count": len(part.split()),
                    "group_id": passage_id,
                    "language": "en",
                }
            )
            start += len(part) + 2
    return _table(tables.Documents, documents), _table(tables.Passages, passages)


def _table(schema, rows):
    return tables.validate(schema, pl.DataFrame(rows, schema=tables.empty(schema).schema))


def candidate(question, *passage_ids, generator="offline/test", mask=False, score=None, own_id=None):
    """One candidate; its passages default to the first of alarm.md."""
    hops = tuple(Hop(passage_id, "") for passage_id in passage_ids or ("alarm.md#0",))
    return Candidate(
        question=question,
        answer="",
        query_type="imported" if generator == "imported" else "keyword",
        reasoning_type="factual",
        complexity=2,
        hops=hops,
        mask_evidence=mask,
        generator=generator,
        score=score,
        own_id=own_id,
    )


def table_of(*candidates, passage_ids=()):
    """Candidates as a table; a passage's document is what stands before #."""
    cited = {hop.passage_id for one in candidates for hop in one.hops} | set(passage_ids)
    return candidates_frame(candidates, {passage_id: passage_id.partition("#")[0] for passage_id in cited})
