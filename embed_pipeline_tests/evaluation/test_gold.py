"""The gold set: the pipeline's passages, document judgements, slices, fingerprint."""

import json
import shutil
from pathlib import Path

import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.gold import gold_fingerprint, load_gold

PASSAGES = {"a.md#0000": "one", "a.md#0001": "two", "dir/b#1.md#0000": "three", "plain": "four"}


def gold(folder: Path, qrels: str, metadata: dict[str, dict[str, object]] | None = None) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels/test.tsv").write_text(qrels, "utf-8")
    queries = dict.fromkeys((line.split("\t")[0] for line in qrels.splitlines()), None)
    rows = [{"_id": key, "text": f"ask {key}", "metadata": (metadata or {}).get(key, {})} for key in queries]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_judgements_name_passages_or_documents(tmp_path: Path) -> None:
    qrels = "q1\ta.md\t3\nq2\ta.md\t1\nq2\ta.md#0001\t2\nq3\tdir/b#1.md\t1\nq4\tplain\t1\n"
    found = load_gold(gold(tmp_path / "gold", qrels), PASSAGES)
    assert found.name == "gold"
    assert found.passages == PASSAGES
    assert found.qrels == {
        "q1": {"a.md#0000": 1, "a.md#0001": 1},
        "q2": {"a.md#0000": 1, "a.md#0001": 2},
        "q3": {"dir/b#1.md#0000": 1},
        "q4": {"plain": 1},
    }


def test_its_own_corpus_wins_and_knows_no_documents(tmp_path: Path) -> None:
    folder = gold(tmp_path / "gold", "q1\ta.md#0000\t1\n")
    (folder / "corpus.jsonl").write_text('{"_id": "a.md#0000", "title": "A", "text": "own"}\n', "utf-8")
    assert load_gold(folder, PASSAGES).passages == {"a.md#0000": "A own"}
    (folder / "qrels/test.tsv").write_text("q1\ta.md\t1\n", "utf-8")
    with pytest.raises(InputError, match=r"1 passage id not in the corpus: 'a\.md'"):
        load_gold(folder, PASSAGES)


def test_slices_come_from_fields_with_few_text_or_whole_number_values(tmp_path: Path) -> None:
    qrels = "".join(f"q{i}\tplain\t1\n" for i in range(13))
    metadata: dict[str, dict[str, object]] = {
        f"q{i}": {"kind": f"k{i % 12}", "hops": i % 3, "answer": f"answer {i}", "ok": True, "score": 0.5, "ids": ["x"]}
        for i in range(13)
    }
    metadata["q12"]["kind"] = None
    found = load_gold(gold(tmp_path / "gold", qrels, metadata), PASSAGES)
    assert found.query_slices["q5"] == {"hops": "2", "kind": "k5"}
    assert found.query_slices["q12"] == {"hops": "0"}


def test_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    folder = gold(tmp_path / "gold", "q1\tplain\t1\n")
    (folder / "README.md").write_text("not read", "utf-8")
    before = gold_fingerprint(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    (moved / "README.md").unlink()
    assert gold_fingerprint(moved) == before
    (moved / "corpus.jsonl").write_text('{"_id": "plain", "text": "x"}\n', "utf-8")
    assert gold_fingerprint(moved) != before
    (folder / "qrels/test.tsv").write_text("q1\tplain\t2\n", "utf-8")
    assert gold_fingerprint(folder) != before


def test_fingerprint_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"eval\.gold .*queries\.jsonl cannot be read"):
        gold_fingerprint(tmp_path)
