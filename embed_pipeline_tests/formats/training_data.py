"""The same training data in every format that can be imported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from embed_pipeline.formats.training_files import document_id

TEXTS = {
    "low": "Below 350 Pa the low alarm sounds in the loft station.",
    "warden": "The loft warden answers every low alarm within a minute.",
    "skein": "A skein of tether is retired after 1,500 credits of use.",
    "salt": "Salt spray is washed off the canopy with fresh water.",
}
QUESTIONS = {
    "q1": ("when does the low alarm sound", ["low"], ["skein", "salt"]),
    "q2": ("who answers an alarm and when", ["warden", "low"], ["salt"]),
}


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def recipe(folder: Path, name: str = "train_mined.automodel.json", unrolled: bool = False) -> Path:
    """The reference recipe's file ``name`` and its corpus, ids as the recipe makes them."""
    rows = []
    for question_id, (question, positives, negatives) in QUESTIONS.items():
        parts = [[one] for one in positives] if unrolled and len(positives) > 1 else [positives]
        for place, part in enumerate(parts):
            rows.append(
                {
                    "question_id": f"{question_id}_{place}" if len(parts) > 1 else question_id,
                    "question": question,
                    "corpus_id": "lofts",
                    "pos_doc": [{"id": document_id(TEXTS[one]), "score": 0.5} for one in part],
                    "neg_doc": [{"id": document_id(TEXTS[one]), "score": 0.25} for one in negatives],
                }
            )
    corpus(folder / "corpus", {document_id(text): text for text in TEXTS.values()})
    (folder / name).write_text(json.dumps({"corpus": {"path": "./corpus/"}, "data": rows}), "utf-8")
    return folder / name


def corpus(folder: Path, texts: dict[str, str], corpus_id: str = "lofts") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"id": list(texts), "text": list(texts.values())}).write_parquet(folder / "train.parquet")
    metadata = {"corpus_id": corpus_id, "class": "TextQADataset"}
    (folder / "merlin_metadata.json").write_text(json.dumps(metadata), "utf-8")


def automodel(folder: Path) -> Path:
    rows = [
        {"question_id": name, "query": question, "pos_doc": texts(positives), "neg_doc": texts(negatives)}
        for name, (question, positives, negatives) in QUESTIONS.items()
    ]
    rows[0]["pos_doc"] = rows[0]["pos_doc"][0]  # one text may stand without a list
    rows[1]["neg_doc"] = [{"text": text} for text in rows[1]["neg_doc"]]
    return jsonl(folder / "inline.jsonl", rows)


def flag_embedding(folder: Path) -> Path:
    rows = [
        {"query": question, "pos": texts(positives), "neg": texts(negatives), "prompt": "unused"}
        for question, positives, negatives in QUESTIONS.values()
    ]
    return jsonl(folder / "flag.jsonl", rows)


def tuples(folder: Path, suffix: str) -> Path:
    """As sentence-transformers reads them; with rows of one negative less, whose column is null."""
    rows = [
        {"anchor": question, "positive": TEXTS[positive], "negative_2": second, "negative_1": TEXTS[negatives[0]]}
        for question, positives, negatives in QUESTIONS.values()
        for positive in positives
        for second in [TEXTS[negatives[1]] if len(negatives) > 1 else None]
    ]
    if suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(folder / "tuples.parquet")
        return folder / "tuples.parquet"
    return jsonl(folder / "tuples.jsonl", rows)


def triplets(folder: Path) -> Path:
    rows = [
        {"query": question, "positive": TEXTS[positive], "negative": TEXTS[negative]}
        for question, positives, negatives in QUESTIONS.values()
        for positive in positives
        for negative in negatives
    ]
    path = folder / "triplets.json"
    path.write_text(json.dumps(rows), "utf-8")
    return path


def texts(names: Sequence[str]) -> Any:
    return [TEXTS[name] for name in names]


FORMS = {
    "recipe": recipe,
    "recipe_unrolled": lambda folder: recipe(folder, "train_mined.automodel_unrolled.json", unrolled=True),
    "automodel_inline": automodel,
    "flag_embedding": flag_embedding,
    "tuples_jsonl": lambda folder: tuples(folder, ".jsonl"),
    "tuples_parquet": lambda folder: tuples(folder, ".parquet"),
    "triplets_json": triplets,
}
