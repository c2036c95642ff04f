"""The gold set: the pipeline's passages, document judgements, slices, fingerprint."""

import json
import shutil
from dataclasses import replace
from math import log2
from pathlib import Path

import pytest

from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.evaluation.gold import (
    gold_fingerprint,
    has_development,
    load_development,
    load_gold,
    own_answers,
    set_version,
)
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings
from embed_pipeline.settings.protected import refuse_protected
from embed_pipeline.settings.sources import load_settings

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


def test_questions_about_one_document_are_one_cluster(tmp_path: Path) -> None:
    qrels = "q1\ta.md#0000\t1\nq1\tplain\t2\nq2\ta.md#0001\t1\nq3\ta.md\t1\nq4\tplain\t1\nq5\tplain\t1\nq6\tplain\t1\n"
    metadata: dict[str, dict[str, object]] = {
        "q4": {"document": 7, "cluster": "team"}, "q5": {"document": 7}, "q6": {"document": True}
    }  # fmt: skip
    found = load_gold(gold(tmp_path / "gold", qrels, metadata), PASSAGES)
    assert found.clusters == {"q1": "plain", "q2": "a.md", "q3": "a.md", "q4": "team", "q5": "7", "q6": "plain"}


def test_passages_with_one_title_are_one_document(tmp_path: Path) -> None:
    folder = gold(tmp_path / "gold", "q1\tp1\t1\nq2\tp2\t1\nq3\tp3\t1\nq4\tp4\t1\n")
    titles = {"p1": "Tenancy", "p2": " Tenancy ", "p3": "", "p4": ""}
    rows = [json.dumps({"_id": key, "title": title, "text": f"text {key}"}) for key, title in titles.items()]
    (folder / "corpus.jsonl").write_text("\n".join(rows), "utf-8")
    assert load_gold(folder, {}).clusters == {"q1": "Tenancy", "q2": "Tenancy", "q3": "p3", "q4": "p4"}


def test_a_validation_part_shares_no_question_with_the_test_part(tmp_path: Path) -> None:
    folder = gold(tmp_path / "gold", "q1\tplain\t1\nq2\tplain\t1\nq3\tplain\t1\n")
    assert not has_development(folder)
    before = gold_fingerprint(folder)
    (folder / "qrels/test.tsv").write_text("q1\tplain\t1\n", "utf-8")
    (folder / "qrels/dev.tsv").write_text("q2\tplain\t1\nq3\ta.md\t2\n", "utf-8")
    assert has_development(folder)
    found = load_development(folder, PASSAGES)
    assert found is not None and set(found.queries) == {"q2", "q3"}
    assert set(load_gold(folder, PASSAGES).queries) == {"q1"}
    assert gold_fingerprint(folder) != before
    (folder / "qrels/dev.tsv").write_text("q1\tplain\t1\nq2\tplain\t1\n", "utf-8")
    with pytest.raises(InputError, match=r"dev\.tsv: 1 of its questions stand in test\.tsv as well \('q1'\)"):
        load_development(folder, PASSAGES)


def test_a_set_is_the_same_where_questions_judgements_and_passages_are(tmp_path: Path) -> None:
    folder = gold(tmp_path / "gold", "q1\tplain\t1\nq2\ta.md#0000\t2\n")
    found = load_gold(folder, PASSAGES)
    version = set_version(found)
    assert set_version(load_gold(folder, dict(reversed(PASSAGES.items())), "another")) == version
    changed = (
        replace(found, queries={**found.queries, "q1": "asked otherwise"}),
        replace(found, qrels={**found.qrels, "q2": {"a.md#0000": 1}}),
        replace(found, passages={**PASSAGES, "plain": "rewritten"}),
        replace(found, passages={**PASSAGES, "more": "five"}),
    )
    assert len({version, *map(set_version, changed)}) == 5


def test_a_question_with_the_id_of_its_answer_is_told(tmp_path: Path) -> None:
    found = load_gold(gold(tmp_path / "gold", "plain\tplain\t1\nq2\tplain\t1\n"), PASSAGES)
    told = own_answers(found)
    assert told is not None and "1 questions have the id of a passage" in told and "'plain'" in told
    assert own_answers(load_gold(gold(tmp_path / "other", "q2\tplain\t1\n"), PASSAGES)) is None


def test_grades_count_for_ndcg_and_from_one_on_for_recall() -> None:
    passages = {name: name for name in "abcd"}
    judged = RetrievalSet("gold", passages, {"q": "?"}, {"q": {"a": 3, "b": 1, "c": 2}})
    scores = score_run(judged, {"q": {"b": 0.9, "d": 0.8, "a": 0.7}}, (2, 10))
    ideal = 3 + 2 / log2(3) + 1 / log2(4)
    assert scores.column("ndcg@10")[0] == pytest.approx((1 + 3 / log2(4)) / ideal, abs=1e-6)
    assert scores.column("recall@10")[0] == pytest.approx(2 / 3, abs=1e-6)
    assert scores.column("recall@2")[0] == pytest.approx(1 / 3, abs=1e-6)


def test_the_first_of_the_named_sets_decides_and_gold_before_them() -> None:
    named = {"lawyers": Path("/a"), "support": Path("/b")}
    assert list(EvalSettings(gold_sets=named).all_gold) == ["lawyers", "support"]
    assert list(EvalSettings(gold=Path("/g"), gold_sets=named).all_gold) == ["gold", "lawyers", "support"]


@pytest.mark.parametrize("name", ["gold", "synthetic", "general", "validation", "", "a b", "../x", "x" * 60])
def test_odd_names_of_sets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a gold set"):
        EvalSettings(gold_sets={name: Path("/a")})


def test_named_sets_are_paths_from_where_the_settings_lie_and_not_for_the_launchpad(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("eval:\n  gold_sets: {lawyers: ./a, support: b}\n", "utf-8")
    settings = load_settings(file)
    assert settings.eval.gold_sets == {"lawyers": tmp_path / "a", "support": tmp_path / "b"}
    with pytest.raises(SettingsError, match=r"eval\.gold_sets decides which files are read"):
        refuse_protected(settings, ["eval.gold_sets={lawyers: /etc}"])
