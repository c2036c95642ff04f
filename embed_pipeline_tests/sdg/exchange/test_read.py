import json

import pytest

from embed_pipeline import tables
from embed_pipeline.errors import InputError
from embed_pipeline.sdg.exchange.read import import_fingerprint, import_questions
from embed_pipeline_tests.sdg.sample import documents_and_passages

DOCUMENTS, PASSAGES = documents_and_passages()


def jsonl(tmp_path, *records, name="own.jsonl"):
    path = tmp_path / name
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in records), "utf-8")
    return path


def beir(tmp_path, queries, qrels, header="query-id\tcorpus-id\tscore\n"):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text(header + "".join("\t".join(row) + "\n" for row in qrels), "utf-8")
    jsonl(tmp_path, *({"_id": key, "text": text} for key, text in queries.items()), name="queries.jsonl")
    return tmp_path


def imported(path):
    frame = import_questions(path, PASSAGES, DOCUMENTS)
    assert tables.validate(tables.QaCandidates, frame).equals(frame)
    assert set(frame["generator"]) == set(frame["query_type"]) == {"imported"}
    return {row["question"]: row for row in frame.iter_rows(named=True)}


def test_passage_ids(tmp_path):
    rows = imported(
        jsonl(
            tmp_path,
            "\ufeff" + json.dumps({"question": " Who answers? ", "passage_ids": ["alarm.md#1", "skein.md#0"]}) + "\n",
            "\n",
            {"question": "Wann?", "answer": "Bald.", "passage_ids": ["alarm.md#0"], "question_id": 7, "extra": 1},
        )
    )
    assert rows["Who answers?"]["passage_ids"] == ["alarm.md#1", "skein.md#0"]
    assert rows["Who answers?"]["doc_ids"] == ["alarm.md", "skein.md"]
    assert rows["Wann?"]["answer"] == "Bald."
    assert rows["Wann?"]["question_id"] == "7"


@pytest.mark.parametrize("key", ["document", "doc_id"])
def test_evidence_leads_to_the_passage_that_holds_it(key, tmp_path):
    evidence = [{key: "alarm.md", "text": "420 Pa.  Below 350 Pa"}, {key: "skein.md", "text": "1,500 credits"}]
    row = imported(jsonl(tmp_path, {"question": "What warns?", "evidence": evidence}))["What warns?"]
    assert [hop["evidence"] for hop in row["hops"]] == ["420 Pa.\nBelow 350 Pa", "1,500 credits"]
    assert row["passage_ids"] == ["alarm.md#0", "skein.md#0"]
    assert row["answer"] == "420 Pa.\nBelow 350 Pa\n1,500 credits"


def test_evidence_across_passages_is_shared_out(tmp_path):
    evidence = [{"document": "alarm.md", "text": "the low alarm sounds. The loft warden answers"}]
    row = imported(jsonl(tmp_path, {"question": "Who?", "evidence": evidence}))["Who?"]
    assert [(hop["passage_id"], hop["evidence"]) for hop in row["hops"]] == [
        ("alarm.md#0", "the low alarm sounds."),
        ("alarm.md#1", "The loft warden answers"),
    ]


def test_evidence_that_stands_in_two_passages_names_both(tmp_path):
    evidence = [{"document": "alarm.md", "text": "alarm"}]
    row = imported(jsonl(tmp_path, {"question": "Alarm?", "evidence": evidence}))["Alarm?"]
    assert row["passage_ids"] == ["alarm.md#0", "alarm.md#1"]


def test_passage_ids_beside_evidence_add_what_it_lacks(tmp_path):
    record = {
        "question": "Who?",
        "passage_ids": ["alarm.md#0", "skein.md#0"],
        "evidence": [{"document": "alarm.md", "text": "350 Pa"}],
    }
    row = imported(jsonl(tmp_path, record))["Who?"]
    assert [(hop["passage_id"], hop["evidence"]) for hop in row["hops"]] == [
        ("alarm.md#0", "350 Pa"),
        ("skein.md#0", ""),
    ]


def test_every_hop_is_verbatim_in_its_passage(tmp_path):
    text_of = dict(PASSAGES.select("passage_id", "text").iter_rows())
    texts = DOCUMENTS["text"].to_list()
    records = [
        {"question": f"q{a}-{b}-{c}", "evidence": [{"document": doc_id, "text": texts[c][a:b]}]}
        for c, doc_id in enumerate(DOCUMENTS["doc_id"])
        for a in range(0, 60, 7)
        for b in range(a + 5, 68, 9)
        if texts[c][a:b].strip()
    ]
    rows = imported(jsonl(tmp_path, *records))
    assert len(rows) == len(records)
    assert all(hop["evidence"] in text_of[hop["passage_id"]] for row in rows.values() for hop in row["hops"])


def test_beir_folder(tmp_path):
    queries = {"q1": "who answers", "q2": "when retired", "q3": "of the test split"}
    qrels = [
        ("q1", "alarm.md#1", "1"),
        ("q1", "skein.md#0", "0"),
        ("q2", "skein.md#0", "2"),
        ("q2", "alarm.md#0", "1.0"),
    ]
    rows = imported(beir(tmp_path, queries, qrels))
    assert set(rows) == {"who answers", "when retired"}
    assert rows["who answers"]["question_id"] == "q1"
    assert rows["who answers"]["passage_ids"] == ["alarm.md#1"]
    assert rows["when retired"]["passage_ids"] == ["skein.md#0", "alarm.md#0"]


def test_beir_folder_without_header(tmp_path):
    assert imported(beir(tmp_path, {"q1": "who answers"}, [("q1", "alarm.md#1", "1")], header=""))


GOOD = {"question": "Who?", "passage_ids": ["alarm.md#0"]}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([GOOD, "{oops\n"], "line 2: not valid JSON"),
        ([GOOD, "[1]\n"], "line 2: must be a JSON object with question"),
        ([GOOD, "[" * 100_000 + "\n"], "line 2: not valid JSON"),
        ([GOOD, '{"question": "\\ud800", "passage_ids": ["a"]}\n'], "line 2: .*surrogate"),
        (["\n", {"passage_ids": ["alarm.md#0"]}], 'line 2: "question" is missing'),
        ([{**GOOD, "question": "  "}], 'line 1: "question" is missing or empty'),
        ([{**GOOD, "question": ["x"]}], 'line 1: "question"'),
        ([{"question": "Who?"}], 'line 1: there is no evidence; add "passage_ids"'),
        ([{**GOOD, "passage_ids": []}], "line 1: there is no evidence"),
        ([{**GOOD, "passage_ids": "alarm.md#0"}], "line 1: .*must be a list"),
        ([{**GOOD, "passage_ids": [{}]}], "line 1: .*must be a list of texts"),
        ([{"question": "Who?", "evidence": "350 Pa"}], "line 1: .*must be a list"),
        ([{"question": "Who?", "evidence": ["350 Pa"]}], "line 1: .*lacks document or text"),
        (
            [{"question": "Who?", "evidence": [{"document": "alarm.md", "text": " "}]}],
            "line 1: .*lacks document or text",
        ),
        ([{**GOOD, "answer": 5}], 'line 1: "answer" must be a text, not 5'),
        ([{**GOOD, "question_id": True}], 'line 1: "question_id" must be a text'),
        (
            [{**GOOD, "question_id": "a"}, {**GOOD, "question_id": "a"}],
            "line 2: question_id a is already used in line 1",
        ),
        (
            [GOOD, {"question": "Who?", "evidence": [{"document": "alarm.md", "text": "360 Pa"}]}],
            "line 2: the evidence '360 Pa' stands in no passage of document alarm.md. Copy",
        ),
        ([], "there is no question in it"),
        (["\n\n"], "there is no question in it"),
    ],
)
def test_mistakes_in_jsonl_are_named_with_their_line(records, said, tmp_path):
    path = jsonl(tmp_path, *records)
    with pytest.raises(InputError, match=said) as caught:
        import_questions(path, PASSAGES, DOCUMENTS)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 500 + len(str(path))


def test_unknown_passages_are_counted_and_the_first_three_named(tmp_path):
    records = [{"question": f"q{number}", "passage_ids": [f"x#{number % 5}", "alarm.md#0"]} for number in range(10)]
    with pytest.raises(InputError, match="line 1: 5 passage ids are not in the corpus: 'x#0', 'x#1', 'x#2', …"):
        imported(jsonl(tmp_path, *records))


def test_unknown_documents_are_counted(tmp_path):
    records = [{"question": "q", "evidence": [{"document": "gone.md", "text": "x"}]}]
    with pytest.raises(
        InputError, match=r"line 1: 1 document ids are not in the corpus: 'gone.md'\. Use ids of the documents"
    ):
        imported(jsonl(tmp_path, *records))


def test_a_file_in_another_encoding(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + '{"question": "Größe"}'.encode("latin-1"))
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        imported(path)


@pytest.mark.parametrize(
    ("queries", "qrels", "said"),
    [
        ({"q1": "who"}, [("q1", "alarm.md#0", "high")], r"train\.tsv, line 2: the score 'high' is not a whole number"),
        ({"q1": "who"}, [("q1", "alarm.md#0", "0.5")], r"train\.tsv, line 2: the score '0\.5' is not a whole number"),
        ({"q1": "who"}, [("q1", "alarm.md#0")], r"train\.tsv, line 2: 2 columns; must be query-id, corpus-id, score"),
        ({"q1": "who"}, [("q9", "alarm.md#0", "1")], r"train\.tsv, line 2: 1 query id not in queries\.jsonl: 'q9'"),
        ({"q1": "who"}, [("q1", "x", "1")], r"train\.tsv, line 2: 1 passage id not in the corpus: 'x'\. Use ids"),
        ({"q1": "who"}, [("q1", "alarm.md#0", "0")], "no query has a passage with a score above 0"),
        ({"q1": " "}, [("q1", "alarm.md#0", "1")], r"queries\.jsonl, line 1: 1 judged query has no text: 'q1'"),
        ({}, [], "no query has a passage with a score above 0"),
    ],
)
def test_mistakes_in_a_beir_folder_are_named(queries, qrels, said, tmp_path):
    with pytest.raises(InputError, match=said):
        import_questions(beir(tmp_path, queries, qrels), PASSAGES, DOCUMENTS)


def test_a_query_id_that_appears_twice(tmp_path):
    folder = beir(tmp_path, {}, [])
    jsonl(folder, {"_id": "q", "text": "a"}, {"_id": "q", "text": "b"}, name="queries.jsonl")
    with pytest.raises(InputError, match="line 2: the id 'q' stands already in line 1"):
        import_questions(folder, PASSAGES, DOCUMENTS)


@pytest.mark.parametrize("missing", ["queries.jsonl", "qrels/train.tsv"])
def test_a_beir_folder_lacks_a_file(missing, tmp_path):
    folder = beir(tmp_path, {"q": "a"}, [])
    (folder / missing).unlink()
    for function in (import_fingerprint, lambda path: import_questions(path, PASSAGES, DOCUMENTS)):
        with pytest.raises(InputError, match=f"there is no {missing}"):
            function(folder)


@pytest.mark.parametrize(("name", "said"), [("gone.jsonl", "no such file"), ("own.csv", r"only \.jsonl")])
def test_a_path_that_cannot_be_imported(name, said, tmp_path):
    (tmp_path / "own.csv").write_text("question")
    for function in (import_fingerprint, lambda path: import_questions(path, PASSAGES, DOCUMENTS)):
        with pytest.raises(InputError, match=said):
            function(tmp_path / name)


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path):
    one, two = jsonl(tmp_path, GOOD), jsonl(tmp_path, GOOD, name="two.jsonl")
    assert import_fingerprint(one) == import_fingerprint(two) != import_fingerprint(jsonl(tmp_path, GOOD, GOOD))
    folder = tmp_path / "beir"
    folder.mkdir()
    beir(folder, {"q": "a"}, [("q", "alarm.md#0", "1")])
    before = import_fingerprint(folder)
    (folder / "corpus.jsonl").write_text("not read")
    assert import_fingerprint(folder) == before
    (folder / "qrels" / "train.tsv").write_text("q\talarm.md#1\t1\n")
    assert import_fingerprint(folder) != before
