"""Questions, from every candidate to those that passed, and what became of the others."""

import dataframely as dy

from embed_pipeline.records import QUERY_TYPES, REASONING_TYPES
from embed_pipeline.tables.kinds import count_column, ids_column, score_column, text_column


class QaPairs(dy.Schema):
    """Questions that passed every filter."""

    question_id = text_column("Stable: a hash of question and evidence, or the imported id.", primary_key=True)
    question = text_column("The question or query.", min_length=1)
    answer = text_column("The answer; the evidence itself when nothing better is known.")
    query_type = text_column("Kind of query.", regex=f"^({'|'.join(QUERY_TYPES)})$")
    reasoning_type = text_column("Kind of reasoning.", regex=f"^({'|'.join(REASONING_TYPES)})$")
    complexity = count_column("1 (trivial) to 5.", min=1, max=5)
    hop_count = count_column("Passages that must be combined.", min=1)
    hops = dy.List(
        dy.Struct(
            {
                "hop_number": dy.Int64(nullable=False),
                "passage_id": dy.String(nullable=False),
                "evidence": dy.String(nullable=False),
                "summary": dy.String(nullable=False),
            },
            nullable=False,
        ),
        nullable=False,
        description="Per hop: the passage and the verbatim evidence in it (empty when unknown).",
    )
    passage_ids = ids_column("Positive passages.", min_length=1)
    doc_ids = ids_column("Their documents.", min_length=1)
    negative_ids = ids_column("Negatives given with an imported question, in their order; empty: they are mined.")
    mask_evidence = dy.Bool(
        nullable=False, description="True (inverse cloze): training cuts the evidence out of the positive."
    )
    generator = text_column("offline/<recipe>, llm/<model> or imported.")
    relevance = score_column("Judge: relevance.")
    accuracy = score_column("Judge: accuracy.")
    context_support = score_column("Judge: support by the context.")
    clarity = score_column("Judge: clarity.")
    score = score_column("Mean of the judge's sub-scores.")
    judgement = text_column("The judge's reasons for its sub-scores.", nullable=True)
    closed_book = dy.Bool(nullable=True, description="Answered without the documents; null: not checked.")


class QaCandidates(QaPairs):
    """Every generated question, before the filters."""


class RejectedCandidates(QaPairs):
    """Candidates that were filtered out, stored beside the pairs."""

    reason = text_column("The filter that refused it.")
    detail = text_column("What it refused, in words.", nullable=True)


class SetAside(dy.Schema):
    """What was lost while questions were written or imported."""

    step = text_column("Step that lost it.", primary_key=True)
    record = text_column("Window, document or file it belonged to.", primary_key=True)
    reason = text_column("Why it could not be used.", primary_key=True)


class Spending(dy.Schema):
    """What a generation cost, by model."""

    model = text_column("Model name.", primary_key=True)
    requests = dy.Float64(nullable=False, min=0, description="Answers received.")
    prompt_tokens = dy.Float64(nullable=False, min=0, description="As the endpoint counts them, or estimated.")
    completion_tokens = dy.Float64(nullable=False, min=0, description="Likewise.")
    usd = dy.Float64(nullable=False, min=0, description="By the prices in the settings; 0 without any.")
    estimated = dy.Float64(nullable=False, min=0, description="Bookings whose tokens the endpoint did not say.")
    seconds = dy.Float64(nullable=False, min=0, description="Waited for answers, summed over all requests.")


class Coverage(dy.Schema):
    """How far the questions reach into each document."""

    doc_id = text_column("Document.", primary_key=True)
    passages = count_column("Its passages.", min=1)
    asked_passages = count_column("Those a question asks about, or whose near-duplicate it asks about.")
    questions = count_column("Questions about it.")
