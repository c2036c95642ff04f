"""The training set in other tools' formats, and read back without Polars.

``train_mined.automodel.json``, ``train_mined.automodel_unrolled.json`` and ``corpus/`` are what NeMo Automodel's
retrieval dataset reads (github.com/NVIDIA-NeMo/Automodel, components/datasets/llm/retrieval_dataset.py and
recipes/retrieval/mine_hard_negatives.py, which wrote the first in the reference recipe); triplets are what
sentence-transformers reads with ``datasets.load_dataset("json", ...)``. All of them can be imported again.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.files import write_bytes, write_json, write_jsonl
from embed_pipeline.formats.training_files import METADATA, RECIPE_MINED, RECIPE_UNROLLED, document_id
from embed_pipeline.records import passage_text

if TYPE_CHECKING:
    import polars as pl
    import pyarrow

CORPUS_ID = "corpus"
UNKNOWN_SCORE = -1
"""What the recipe writes for a document that it did not score."""


def write_recipe_files(
    training_set: "pl.DataFrame", mined: "pl.DataFrame", passages: "pl.DataFrame", args: Mapping[str, Any], folder: Path
) -> None:
    """Write the reference recipe's training files and corpus under ``folder``.

    ``train_mined.automodel.json`` has one entry a question, with every positive; the unrolled file one entry a row.
    Rows without negatives are left out of the unrolled file, which trainers read, unless no row has any: NeMo
    Automodel stops at an entry without negatives. The corpus holds the unique texts of every passage, and the
    positives with their evidence cut out.

    Args:
        training_set: :class:`embed_pipeline.tables.TrainingSet`.
        mined: :class:`embed_pipeline.tables.MinedNegatives`, for the scores.
        passages: :class:`embed_pipeline.tables.Passages`.
        args: what the negatives were mined with, see :func:`mining_args`.
    """
    import pyarrow

    texts = {passage_text(*row) for row in passages.select("title", "text").iter_rows()}
    texts.update(training_set["positive"])
    by_id = {document_id(text): text for text in texts}
    corpus = {"path": "./corpus/"}
    questions = list(_questions(training_set, mined))
    write_json(folder / RECIPE_MINED, {"corpus": corpus, "data": questions, "mining": {"args": dict(args)}})
    write_json(folder / RECIPE_UNROLLED, {"corpus": corpus, "data": _unrolled(questions)})
    ids = sorted(by_id)
    table = pyarrow.table({"id": ids, "text": [by_id[key] for key in ids]})
    _write_parquet(table, folder / "corpus" / "train.parquet")
    write_json(folder / "corpus" / METADATA, {"corpus_id": CORPUS_ID, "class": "TextQADataset"})


def mining_args(settings: Mapping[str, Any], spec: EncoderSpec, model: str) -> dict[str, Any]:
    """How negatives were mined, under the names that the recipe's miner writes, and every setting of ours.

    Args:
        settings: dotted name -> value of the settings of mining.
        spec: of the model that mined.
        model: name of the model that mined.
    """
    absolute = settings.get("prep.hard_negative_absolute_margin")
    relative = settings.get("prep.hard_negative_margin")
    return {
        "model_name_or_path": model,
        "hard_negatives_to_mine": settings.get("prep.hard_negatives"),
        "hard_neg_margin": absolute if relative is None else relative,
        "hard_neg_margin_type": "abs" if relative is None and absolute is not None else "perc",
        "query_prefix": spec.query_prompt,
        "passage_prefix": spec.passage_prompt,
        "query_max_length": spec.max_query_length,
        "passage_max_length": spec.max_passage_length,
        "pooling": spec.pooling,
        "l2_normalize": spec.normalize,
        "embed_pipeline": dict(settings),
    }


def _questions(training_set: "pl.DataFrame", mined: "pl.DataFrame") -> Iterator[dict[str, Any]]:
    """The recipe's entries, positives in the order of the rows."""
    score_of: dict[str, dict[str, float]] = {}
    for row in mined.iter_rows(named=True):
        score_of[row["question_id"]] = {
            **dict(zip(row["negative_ids"], row["negative_scores"], strict=True)),
            **dict(zip(row["positive_ids"], row["positive_scores"], strict=True)),
        }
    for _, rows in groupby(training_set.iter_rows(named=True), key=itemgetter("question_id")):
        of_question = list(rows)
        first, scores = of_question[0], score_of.get(of_question[0]["question_id"], {})
        yield {
            "question_id": first["question_id"],
            "question": first["question"],
            "corpus_id": CORPUS_ID,
            "pos_doc": [_document(row["positive"], scores.get(row["positive_id"])) for row in of_question],
            "neg_doc": [
                _document(text, scores.get(name))
                for name, text in zip(first["negative_ids"], first["negatives"], strict=True)
            ],
        }


def _document(text: str, score: float | None) -> dict[str, Any]:
    return {"id": document_id(text), "score": UNKNOWN_SCORE if score is None else score}


def _unrolled(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the recipe's ``unroll_pos_docs.py``: ids ``<question id>_<i>`` where there are several positives."""
    kept = [question for question in questions if question["neg_doc"]] or questions
    return [
        {
            **question,
            "question_id": question["question_id"] + (f"_{place}" if len(question["pos_doc"]) > 1 else ""),
            "pos_doc": [positive],
        }
        for question in kept
        for place, positive in enumerate(question["pos_doc"])
    ]


def write_triplets(training_set: "pl.DataFrame", path: Path) -> None:
    """Write one JSON object a row for sentence-transformers: anchor, positive, negative_1 … negative_n.

    n is the most negatives that any row has. A trainer needs equal columns: a row with fewer repeats its own, as NeMo
    Automodel does, and a row without any is left out, unless no row has any.
    """
    most = max((len(negatives) for negatives in training_set["negatives"]), default=0)
    write_jsonl(path, _triplets(training_set, most))


def _triplets(training_set: "pl.DataFrame", most: int) -> Iterator[dict[str, Any]]:
    for row in training_set.iter_rows(named=True):
        if row["negatives"] or not most:
            repeated = islice(cycle(row["negatives"]), most)
            negatives = {f"negative_{place}": text for place, text in enumerate(repeated, start=1)}
            yield {"anchor": row["question"], "positive": row["positive"], **negatives}


def _write_parquet(table: "pyarrow.Table", path: Path) -> None:
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_bytes(path, buffer.getvalue())
