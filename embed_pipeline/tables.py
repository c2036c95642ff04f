"""The declared schema of every stored table: column, type, meaning, constraints.

Schemas are dataframely classes over Polars frames: ``validate(Passages, frame)`` checks and orders the
columns, ``columns(Passages)`` describes them for the UI and the documentation.
"""

from typing import Any

import dataframely as dy
import polars as pl

from embed_pipeline.errors import ArtifactError
from embed_pipeline.records import QUERY_TYPES, REASONING_TYPES, SPLITS


def _text(description: str, **constraints: Any) -> dy.String:
    return dy.String(nullable=constraints.pop("nullable", False), description=description, **constraints)


def _count(description: str, **constraints: Any) -> dy.Int64:
    return dy.Int64(nullable=False, min=constraints.pop("min", 0), description=description, **constraints)


def _score(description: str) -> dy.Float64:
    return dy.Float64(nullable=True, min=0, max=10, description=description)


def _ids(description: str, min_length: int | None = None) -> dy.List:
    return dy.List(dy.String(nullable=False), nullable=False, min_length=min_length, description=description)


class CorpusManifest(dy.Schema):
    """Every file of the corpus folder."""

    path = _text("Path relative to the corpus folder, with /.", primary_key=True)
    bytes = _count("Size of the file.")
    sha256 = _text("Hash of its bytes; empty when the file could not be read.")
    status = _text("read or skipped.", regex="^(read|skipped)$")
    reason = _text("Why it was skipped.", nullable=True)


class Documents(dy.Schema):
    """Extracted text."""

    doc_id = _text(
        "The path; the id in a BEIR corpus or training data; the file_name of SDG records.", primary_key=True
    )
    path = _text("File it came from.")
    title = _text("Title; empty when there is none.")
    text = _text("The whole extracted text; every span refers to it.", min_length=1)
    sections = dy.List(
        dy.Struct(
            {
                "heading": dy.String(nullable=False),
                "level": dy.Int64(nullable=False),
                "start": dy.Int64(nullable=False),
                "end": dy.Int64(nullable=False),
            },
            nullable=False,
        ),
        nullable=False,
        description="Headings with their level and the character span they head, in order, end exclusive.",
    )
    language = _text("ISO 639-1 code, und when it cannot be told.")
    group_id = _text("Documents with the same group are near-duplicates; the lowest document id of the group.")
    sha256 = _text("Hash of the file's bytes.")


class Passages(dy.Schema):
    """Chunks of documents; text == document text[start:end]."""

    passage_id = _text("Document id, #, position; or the id in a BEIR corpus or training data.", primary_key=True)
    doc_id = _text("Document it was cut from.")
    position = _count("0-based order within the document.")
    start = _count("First character in the document's text.")
    end = _count("One past the last character.")
    title = _text(
        "Document title, section heading, and the heading row of the table that the passage goes on with; encoded "
        "before the text."
    )
    text = _text("The passage.", min_length=1)
    token_count = _count("Base-model tokens of the text.")
    group_id = _text("Passages with the same group are near-duplicates; the lowest passage id of the group.")
    language = _text("ISO 639-1 code, und when it cannot be told.")


class Dropped(dy.Schema):
    """What of a document's file is not in its text, or stands there otherwise."""

    doc_id = _text("The document.", primary_key=True)
    kind = _text("What it was, as docs/documents.md lists the kinds.", primary_key=True)
    count = _count("Pieces: lines, nodes, pages, bytes.", min=1)
    characters = _count("Characters left out, white space not counted; 0 where they were replaced.")
    examples = dy.List(
        dy.String(nullable=False), nullable=False, max_length=3, description="The first of them, cut at 200 characters."
    )


class Metadata(dy.Schema):
    """What the rows of a table tell of its documents beside title and text."""

    doc_id = _text("The document.", primary_key=True)
    name = _text("What is told, as corpus.columns names it: url, date, tags …", primary_key=True)
    value = _text("What it is; of a list each entry.", primary_key=True)


class Chunks(dy.Schema):
    """Passages that SDG records give ready-made, stored beside the documents."""

    doc_id = _text("Document it is part of.", primary_key=True)
    position = _count("0-based order within the document.", primary_key=True)
    start = _count("First character in the document's text.")
    end = _count("One past the last character.")


class QaPairs(dy.Schema):
    """Questions that passed every filter."""

    question_id = _text("Stable: a hash of question and evidence, or the imported id.", primary_key=True)
    question = _text("The question or query.", min_length=1)
    answer = _text("The answer; the evidence itself when nothing better is known.")
    query_type = _text("Kind of query.", regex=f"^({'|'.join(QUERY_TYPES)})$")
    reasoning_type = _text("Kind of reasoning.", regex=f"^({'|'.join(REASONING_TYPES)})$")
    complexity = _count("1 (trivial) to 5.", min=1, max=5)
    hop_count = _count("Passages that must be combined.", min=1)
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
    passage_ids = _ids("Positive passages.", min_length=1)
    doc_ids = _ids("Their documents.", min_length=1)
    negative_ids = _ids("Negatives given with an imported question, in their order; empty: they are mined.")
    mask_evidence = dy.Bool(
        nullable=False, description="True (inverse cloze): training cuts the evidence out of the positive."
    )
    generator = _text("offline/<recipe>, llm/<model> or imported.")
    relevance = _score("Judge: relevance.")
    accuracy = _score("Judge: accuracy.")
    context_support = _score("Judge: support by the context.")
    clarity = _score("Judge: clarity.")
    score = _score("Mean of the judge's sub-scores.")
    judgement = _text("The judge's reasons for its sub-scores.", nullable=True)
    closed_book = dy.Bool(nullable=True, description="Answered without the documents; null: not checked.")


class QaCandidates(QaPairs):
    """Every generated question, before the filters."""


class RejectedCandidates(QaPairs):
    """Candidates that were filtered out, stored beside the pairs."""

    reason = _text("The filter that refused it.")
    detail = _text("What it refused, in words.", nullable=True)


class SetAside(dy.Schema):
    """What was lost while questions were written or imported."""

    step = _text("Step that lost it.", primary_key=True)
    record = _text("Window, document or file it belonged to.", primary_key=True)
    reason = _text("Why it could not be used.", primary_key=True)


class Spending(dy.Schema):
    """What a generation cost, by model."""

    model = _text("Model name.", primary_key=True)
    requests = dy.Float64(nullable=False, min=0, description="Answers received.")
    prompt_tokens = dy.Float64(nullable=False, min=0, description="As the endpoint counts them, or estimated.")
    completion_tokens = dy.Float64(nullable=False, min=0, description="Likewise.")
    usd = dy.Float64(nullable=False, min=0, description="By the prices in the settings; 0 without any.")
    estimated = dy.Float64(nullable=False, min=0, description="Bookings whose tokens the endpoint did not say.")
    seconds = dy.Float64(nullable=False, min=0, description="Waited for answers, summed over all requests.")


class Coverage(dy.Schema):
    """How far the questions reach into each document."""

    doc_id = _text("Document.", primary_key=True)
    passages = _count("Its passages.", min=1)
    asked_passages = _count("Those a question asks about, or whose near-duplicate it asks about.")
    questions = _count("Questions about it.")


class Splits(dy.Schema):
    """Which documents and questions belong to which split."""

    item_type = _text("document or question.", regex="^(document|question)$", primary_key=True)
    item_id = _text("doc_id or question_id.", primary_key=True)
    component = _text("Connected group that must stay together; one of its documents.")
    split = _text("train, validation or test.", regex=f"^({'|'.join(SPLITS)})$")


class MinedNegatives(dy.Schema):
    """Hard negatives of the training questions."""

    question_id = _text("A training question.", primary_key=True)
    source = _text("mined, or given with an imported question.", regex="^(mined|given)$")
    positive_ids = _ids("Its positives.", min_length=1)
    positive_scores = dy.List(dy.Float64(nullable=False), nullable=False, description="Cosine of each positive.")
    negative_ids = _ids("Hard negatives, best first, or in the order given; may be fewer than asked.")
    negative_scores = dy.List(dy.Float64(nullable=False), nullable=False, description="Cosine of each negative.")
    threshold = dy.Float64(nullable=True, description="Scores above it were dropped; null: no margin applies.")
    asked = _count("Negatives asked for.")


class RejectedNegatives(dy.Schema):
    """The audit of mining, stored beside the negatives: candidates ranked before the last one taken, and why not."""

    question_id = _text("A training question.", primary_key=True)
    passage_id = _text("The candidate.", primary_key=True)
    rank = _count("Rank among the passages that are no positives; place in the list for given negatives.", min=1)
    score = dy.Float64(nullable=False, description="Cosine to the question.")
    reason = _text(
        "Why it was not taken.",
        regex="^(positive|near_duplicate|sibling|held_out|same_document|before_first_rank|above_margin|holds_evidence"
        "|denoised|relabelled)$",
    )


class TrainingSet(dy.Schema):
    """One row per (question, positive), unrolled."""

    row_id = _text(
        "question id, or question id _ i for several positives; ~ n after it for a repeat (prep.imported_weight).",
        primary_key=True,
    )
    question_id = _text("Question.")
    question = _text("Its text.", min_length=1)
    positive_id = _text("Passage.")
    positive = _text("Its text as the encoder sees it, evidence cut out where the question asks for it.", min_length=1)
    positive_group = _text("Near-duplicate group of the passage.")
    negative_ids = _ids("Hard negatives.")
    negatives = _ids("Their texts as the encoder sees them.")
    negative_groups = _ids("Their near-duplicate groups.")
    component = _text("Leak-proof group of the question; its passages are never mined for it.")
    evidence_ids = _ids("Other passages of the training set that hold the question's evidence word for word.")
    document = _text("Document of the positive.")
    evidence_start = dy.Int64(nullable=True, min=0, description="Character of the positive where its evidence begins.")
    evidence_end = dy.Int64(nullable=True, min=0, description="Where it ends; the same where it was cut out.")
    title_length = _count("Characters of the positive that are its title.")


class SweepComparison(dy.Schema):
    """Trainings that differ in one setting; the first row is the checkpoint itself."""

    variant = _text("What differs; unchanged for the checkpoint.", primary_key=True)
    asset = _text("The asset that holds the model.")
    learning_rate = dy.Float64(nullable=False, description="finetune.learning_rate.")
    epochs = _count("finetune.epochs.", min=1)
    training_share = dy.Float64(nullable=False, min=0, max=1, description="finetune.training_share.")
    steps = _count("Optimizer steps made.", min=1)
    best_step = _count("Step of the model that was kept.")
    final_loss = dy.Float64(nullable=False, description="Loss of the last step.")
    seconds = dy.Float64(nullable=False, min=0, description="Training, by wall clock.")
    validation_base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model on validation.")
    validation = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the model kept; decides.")
    best = dy.Bool(nullable=False, description="Highest on validation; the first of equals.")
    test_set = _text("gold or synthetic: not used to choose.")
    test_base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model there.")
    test = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the model there.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the interval of test - test_base.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test, two-sided.")


class VariantComparison(dy.Schema):
    """The main settings and the variants; figures compare where test_set_version is the same."""

    variant = _text("Name of the variant, or main.", primary_key=True)
    test_set = _text("gold or synthetic; the verdict rests on the first one of a variant.", primary_key=True)
    test_set_version = _text("Equal where questions, judgements and passages are.")
    verdict = _text("ship, no_gain or regress.", regex="^(ship|no_gain|regress)$")
    base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model.")
    tuned = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the tuned model.")
    delta = dy.Float64(nullable=False, min=-1, max=1, description="tuned - base.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test, two-sided.")
    recall_base = dy.Float64(nullable=False, min=0, max=1, description="Recall@10 of the base model.")
    recall_tuned = dy.Float64(nullable=False, min=0, max=1, description="Recall@10 of the tuned model.")
    documents = _count("Documents read.")
    questions = _count("Questions that passed the filters.")
    training_seconds = dy.Float64(nullable=False, min=0, description="Training, by wall clock.")
    checkpoint = _text("First letters of the checkpoint's version.")
    differs = _text("The settings that differ from the main ones, with the variant's values.")


class Runs(dy.Schema):
    """What a system found for each query; queries that found nothing have no row."""

    test_set = _text("The test set.", primary_key=True)
    system = _text("base, bm25, tuned, or reranked; the fused ones are made of the first three.", primary_key=True)
    query_id = _text("Query.", primary_key=True)
    rank = _count("1 is the best.", min=1, primary_key=True)
    passage_id = _text("Passage found.")
    score = dy.Float64(nullable=False, description="Cosine, or BM25's score.")


class QueryMetrics(dy.Schema):
    """Per-query scores of one system on one test set, at every cut-off."""

    test_set = _text("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    system = _text(
        "base, bm25, hybrid, convex, tuned, hybrid_tuned, convex_tuned, tuned@256, reranked …", primary_key=True
    )
    query_id = _text("Query.", primary_key=True)
    metric = _text("ndcg@k, recall@k, precision@k, map@k or mrr@k.", primary_key=True)
    value = dy.Float64(nullable=False, min=0, max=1, description="Score; 0 for a query missing from the run.")


class Metrics(dy.Schema):
    """Tuned against base, every metric on every test set."""

    test_set = _text("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    slice = _text("all, or name=value of a slice.", primary_key=True)
    metric = _text("Metric name, lower case.", primary_key=True)
    queries = _count("Queries compared.", min=1)
    base = dy.Float64(nullable=False, min=0, max=1, description="Mean of the base model.")
    tuned = dy.Float64(nullable=False, min=0, max=1, description="Mean of the tuned model.")
    delta = dy.Float64(nullable=False, min=-1, max=1, description="tuned - base.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test by clusters, two-sided.")
    p_corrected = dy.Float64(nullable=False, min=0, max=1, description="The same, corrected for all that was compared.")


class CandidateMetrics(dy.Schema):
    """Other models and endpoints, untrained; what could not be measured has a problem and no figures."""

    test_set = _text("The test set.", primary_key=True)
    candidate = _text("As in eval.candidates; the base model is among them.", primary_key=True)
    ndcg_at_10 = dy.Float64(nullable=True, min=0, max=1, description="nDCG@10 of the model alone.")
    recall_at_10 = dy.Float64(nullable=True, min=0, max=1, description="Recall@10 of the model alone.")
    fused_ndcg_at_10 = dy.Float64(nullable=True, min=0, max=1, description="nDCG@10, fused with BM25 by scores.")
    fused_recall_at_10 = dy.Float64(nullable=True, min=0, max=1, description="Recall@10, fused with BM25 by scores.")
    delta = dy.Float64(nullable=True, description="ndcg_at_10 less that of the base model.")
    ci_low = dy.Float64(nullable=True, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=True, description="Upper bound.")
    p_corrected = dy.Float64(
        nullable=True, min=0, max=1, description="Paired permutation test by clusters, corrected for the whole table."
    )
    dimensions = dy.Int64(nullable=True, min=1, description="Numbers of a vector.")
    parameters = dy.Int64(nullable=True, min=0, description="Numbers in the weights; not known of an endpoint.")
    bytes = dy.Int64(nullable=True, min=0, description="Weights on the disk; not known of an endpoint.")
    max_tokens = dy.Int64(nullable=True, min=1, description="The longest text the model was made for.")
    passages_per_second = dy.Float64(
        nullable=True,
        min=0,
        description="Over up to 64 passages encoded anew, here and now; of an endpoint with its way.",
    )
    problem = _text("Why it could not be measured.", nullable=True)


class RerankerMetrics(dy.Schema):
    """BM25, the model, both fused, and the hybrid with the reranker, on every test set, with what a query costs."""

    test_set = _text("The test set.", primary_key=True)
    system = _text(
        "bm25, base, tuned, convex, convex_tuned, reranked, reranked_blended, reranked_untrained.", primary_key=True
    )
    ndcg_at_10 = dy.Float64(nullable=False, min=0, max=1, description="Mean over the queries.")
    recall_at_10 = dy.Float64(nullable=False, min=0, max=1, description="The same.")
    mrr_at_10 = dy.Float64(nullable=False, min=0, max=1, description="The same.")
    interval_low = dy.Float64(nullable=False, description="Lower bound of the interval of ndcg_at_10.")
    interval_high = dy.Float64(nullable=False, description="Upper bound.")
    milliseconds = dy.Float64(
        nullable=False, min=0, description="Median time of a query, on the machine that measured."
    )
    delta = dy.Float64(nullable=True, min=-1, max=1, description="ndcg_at_10 less that of reranked; null for itself.")
    ci_low = dy.Float64(nullable=True, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=True, description="Upper bound.")
    p = dy.Float64(nullable=True, min=0, max=1, description="Paired permutation test by clusters, two-sided.")
    p_corrected = dy.Float64(nullable=True, min=0, max=1, description="The same, corrected for the test set's table.")


class EndpointMetrics(dy.Schema):
    """Endpoint against checkpoint."""

    test_set = _text("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    metric = _text("Metric name, lower case.", primary_key=True)
    checkpoint = dy.Float64(nullable=False, min=0, max=1, description="Mean of the checkpoint.")
    endpoint = dy.Float64(nullable=False, min=0, max=1, description="Mean through the endpoint.")
    delta = dy.Float64(nullable=False, description="endpoint - checkpoint.")
    tolerance = dy.Float64(nullable=False, min=0, description="Largest |delta| accepted.")
    within_tolerance = dy.Bool(nullable=False, description="|delta| <= tolerance.")


class SystemMetrics(dy.Schema):
    """Every system there is in the end, what was exported and what is served among them."""

    test_set = _text("The test set.", primary_key=True)
    system = _text("base, tuned, bm25, hybrid …, onnx_int8, endpoint.", primary_key=True)
    metric = _text("Metric name, lower case.", primary_key=True)
    value = dy.Float64(nullable=False, min=0, max=1, description="Mean over the queries.")


_LARGE = 2**25
"""Bytes of a column of texts."""


def validate(schema: type[dy.Schema], frame: pl.DataFrame, where: str | None = None) -> pl.DataFrame:
    """Cast to the declared types, check every constraint, order the columns.

    Raises:
        ArtifactError: names the table and each broken rule.
    """
    try:
        chosen = _columns_of(frame, schema.column_names())
        texts = _free_texts(schema, chosen)
        # Of texts their beginning is looked at: of a corpus they fill the memory, and every check copies them.
        light = chosen.clone()
        for name in texts:
            light.replace_column(chosen.get_column_index(name), _whether_there(chosen.get_column(name)))
        if schema.is_valid(light, cast=True):
            checked = schema.cast(light)[schema.column_names()]
            for name in texts:
                checked.replace_column(checked.get_column_index(name), chosen.get_column(name))
            return checked
        return schema.validate(chosen, cast=True)  # says what is wrong
    except (dy.exc.ValidationError, dy.exc.SchemaError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{where or schema.__name__}: the table breaks its declared schema: {reason}") from error


def _columns_of(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Those columns; unlike ``select`` without a copy of their texts.

    Raises:
        polars.exceptions.ColumnNotFoundError: one is missing.
    """
    return frame[names]


def with_column(frame: pl.DataFrame, column: pl.Series) -> pl.DataFrame:
    """The frame with another column in place of that of the same name; unlike ``with_columns`` without a copy of texts.

    Raises:
        polars.exceptions.ColumnNotFoundError: there is none of that name.
    """
    return frame.clone().replace_column(frame.get_column_index(column.name), column)


def _whether_there(texts: pl.Series) -> pl.Series:
    """Of each text its beginning; of large ones one after the other, since polars would copy all of them."""
    if texts.estimated_size() < _LARGE:
        return texts.str.head(1)
    return pl.Series(texts.name, [_beginning(texts[place]) for place in range(len(texts))], pl.String)


def _beginning(text: str | None) -> str | None:
    return text and text[:1]


def _free_texts(schema: type[dy.Schema], frame: pl.DataFrame) -> list[str]:
    """The columns of text in which any text may stand, or any but an empty one."""
    return [
        name
        for name, column in schema.columns().items()
        if isinstance(column, dy.String)
        and frame.schema[name] == pl.String
        and not (column.primary_key or column.regex or column.max_length or column.check)
        and (column.min_length or 0) <= 1
    ]


def empty(schema: type[dy.Schema]) -> pl.DataFrame:
    """A table without rows."""
    return schema.create_empty()


def columns(schema: type[dy.Schema]) -> list[dict[str, Any]]:
    """``[{"name", "type", "description", "constraints"}]`` for the UI and the documentation."""
    rows = []
    for name, column in schema.columns().items():
        constraints = [f"{key}={value}" for key, value in _constraints(column).items()]
        rows.append(
            {
                "name": name,
                "type": str(column.dtype),
                "description": column.description or "",
                "constraints": constraints,
                "nullable": column.nullable,
                "unique": column.primary_key,
            }
        )
    return rows


def _constraints(column: Any) -> dict[str, Any]:
    names = ("regex", "min", "max", "min_length", "max_length")
    return {name: getattr(column, name) for name in names if getattr(column, name, None) is not None}
