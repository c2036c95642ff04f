import itertools
import json
import random
import re
import tracemalloc

import polars as pl
import pytest

from embed_pipeline import tables
from embed_pipeline.errors import InputError
from embed_pipeline.sdg.exchange.read import import_fingerprint, import_questions, read_questions
from embed_pipeline_tests.sdg.sample import TEXTS, documents_and_passages

DOCUMENTS, PASSAGES = documents_and_passages()
FILE = "alarm.md"
CHUNKS = [{"chunk_id": number, "text": text} for number, text in enumerate(TEXTS[FILE], 1)]


def pair(**changes):
    values = {
        "question": "Who answers the low alarm?",
        "answer": "The loft warden.",
        "question_complexity": 3,
        "query_type": "multi_hop",
        "reasoning_type": "relational",
        "segment_ids": [1, 2],
        "hop_count": 2,
        "hop_contexts": [
            {"hop_number": 1, "segment_ids": [1], "summary": "when it sounds"},
            {"hop_number": 2, "segment_ids": [2], "summary": "who answers"},
        ],
    }
    return {**values, **changes}


def evaluation(score=8.5, **changes):
    criteria = {
        name: {"score": 9 - place, "justification": f"of {name}"}
        for place, name in enumerate(("relevance", "accuracy", "context_support", "clarity"))
    }
    return {**criteria, "overall": {"score": score, "assessment": "good"}, "improvements": "", **changes}


def record(*pairs, evaluations=None, **changes):
    judged = [evaluation() for _ in pairs] if evaluations is None else evaluations
    values = {
        "file_name": [FILE],
        "text": "x",
        "chunks": CHUNKS,
        "deduplicated_qa_pairs": list(pairs),
        "qa_evaluations": {"evaluations": judged},
    }
    return {**values, **changes}


def written(tmp_path, *records, name="records.jsonl"):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pl.DataFrame(records, infer_schema_length=None).write_parquet(path)
    else:
        text = json.dumps(records) if path.suffix == ".json" else "".join(json.dumps(one) + "\n" for one in records)
        path.write_text(text, "utf-8")
    return path


def read(tmp_path, *records, **options):
    found = read_questions(written(tmp_path, *records, **options), PASSAGES, DOCUMENTS)
    assert tables.validate(tables.QaCandidates, found.candidates).equals(found.candidates)
    return found


def only(tmp_path, *records, **options):
    found = read(tmp_path, *records, **options)
    assert found.set_aside.is_empty()
    return found.candidates.row(0, named=True)


def reason(tmp_path, bad, **record_changes):
    """Why ``bad`` is set aside beside a good question."""
    good = record(pair(question="What is good?"))
    found = read(tmp_path, good, record(bad, **record_changes))
    assert found.candidates["question"].to_list() == ["What is good?"]
    assert set(found.set_aside["step"]) == {"import questions"}
    return found.set_aside["reason"].item()


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.parquet"])
def test_a_question_with_everything(name, tmp_path):
    row = only(tmp_path, record(pair()), name=name)
    assert row["passage_ids"] == ["alarm.md#0", "alarm.md#1"]
    assert [(hop["passage_id"], hop["summary"], hop["evidence"]) for hop in row["hops"]] == [
        ("alarm.md#0", "when it sounds", TEXTS[FILE][0]),
        ("alarm.md#1", "who answers", TEXTS[FILE][1]),
    ]
    assert (row["query_type"], row["reasoning_type"], row["complexity"]) == ("multi_hop", "relational", 3)
    assert (row["answer"], row["generator"], row["hop_count"]) == ("The loft warden.", "llm/recipe", 2)
    assert [row[name] for name in ("relevance", "accuracy", "context_support", "clarity", "score")] == [9, 8, 7, 6, 8.5]
    assert row["judgement"].startswith("relevance 9: of relevance; accuracy 8: of accuracy; ")


def test_folders_and_their_result_file(tmp_path):
    written(tmp_path, record(pair()), name="mine.jsonl")
    written(tmp_path, record(pair()), record(pair(question="Other?")), name="other.jsonl")
    assert import_questions(tmp_path, PASSAGES, DOCUMENTS).height == 2
    before = import_fingerprint(tmp_path)
    (tmp_path / "generation_result.json").write_text('{"output_path": "mine.jsonl"}')
    for path in (tmp_path, tmp_path / "generation_result.json"):
        assert import_questions(path, PASSAGES, DOCUMENTS).height == 1
        assert import_fingerprint(path) == import_fingerprint(tmp_path / "mine.jsonl") != before


def test_words_are_read_generously(tmp_path):
    row = only(tmp_path, record(pair(query_type="Multi-Hop", reasoning_type=" CAUSAL ", question_complexity=3.0)))
    assert (row["query_type"], row["reasoning_type"]) == ("multi_hop", "causal")


def test_segments_without_a_hop_context_and_hop_contexts_beyond_the_segments(tmp_path):
    contexts = [{"hop_number": 1, "segment_ids": [2, 1], "summary": "s"}]
    row = only(tmp_path, record(pair(segment_ids=[1], hop_contexts=contexts)))
    assert row["passage_ids"] == ["alarm.md#0"]
    row = only(tmp_path, record(pair(segment_ids=[2, 1], hop_contexts=None)))
    assert row["passage_ids"] == ["alarm.md#1", "alarm.md#0"]
    row = only(tmp_path, record(pair(hop_contexts=[{"segment_ids": [2]}])))
    assert row["passage_ids"] == ["alarm.md#1", "alarm.md#0"]


def test_a_bundle(tmp_path):
    chunks = [
        {"chunk_id": 1, "text": TEXTS[FILE][0], "doc_id": FILE},
        {"chunk_id": 2, "text": TEXTS["skein.md"][0], "doc_path": "/elsewhere/skein.md"},
    ]
    row = only(tmp_path, record(pair(), file_name=[FILE, "skein.md"], chunks=chunks, is_multi_doc=True))
    assert row["passage_ids"] == ["alarm.md#0", "skein.md#0"]
    assert row["doc_ids"] == ["alarm.md", "skein.md"]


# -- a corpus that was cut otherwise ---------------------------------------------------------------------


def cited(tmp_path, text, texts, file_name="d.md", chunks=None):
    documents, passages = documents_and_passages({"d.md": texts})
    chunks = chunks or [{"chunk_id": 1, "text": text}]
    path = written(tmp_path, record(pair(segment_ids=[1]), file_name=file_name, chunks=chunks))
    row = read_questions(path, passages, documents).candidates.row(0, named=True)
    return [(hop["passage_id"], hop["evidence"]) for hop in row["hops"]]


LINES = [f"Sentence number {number} says something." for number in range(12)]


def test_a_chunk_inside_a_passage(tmp_path):
    assert cited(tmp_path, LINES[1], ["\n".join(LINES[:3]), LINES[3]]) == [("d.md#0", LINES[1])]


def test_line_breaks_and_quotation_marks_do_not_matter(tmp_path):
    whole = "He said “stop”.\nThen\n\nhe left"
    assert cited(tmp_path, 'He said "stop". Then he left.', [whole]) == [("d.md#0", whole)]


def test_a_chunk_over_two_passages_cites_both_or_the_larger_part(tmp_path):
    texts = [" ".join(LINES[:4]), " ".join(LINES[4:8])]
    assert cited(tmp_path, " ".join(LINES[2:6]), texts) == [
        ("d.md#0", " ".join(LINES[2:4])),
        ("d.md#1", " ".join(LINES[4:6])),
    ]
    assert [name for name, _ in cited(tmp_path, " ".join(LINES[3:8]), texts)] == ["d.md#1"]


def test_a_chunk_over_many_passages_is_set_aside(tmp_path):
    with pytest.raises(InputError, match="spread over many passages"):
        cited(tmp_path, " ".join(LINES), LINES)


def test_of_several_places_the_one_where_the_chunk_should_be(tmp_path):
    texts = [LINES[0], LINES[1], LINES[2], LINES[0] + " " + LINES[3]]
    chunks = [{"chunk_id": 5 - place, "text": text} for place, text in enumerate([*LINES[:3], LINES[0], LINES[3]])]
    chunks[3]["chunk_id"], chunks[4]["chunk_id"] = 1, 2
    assert cited(tmp_path, "", texts, chunks=chunks) == [("d.md#3", LINES[0])]


@pytest.mark.parametrize("name", ["d.md", "./d.md", "corpus/d.md", ".\\d.md", ["/home/u/corpus/d.md"]])
def test_names_of_documents(name, tmp_path):
    assert cited(tmp_path, LINES[0], [LINES[0]], file_name=name)


def test_ambiguous_names_are_set_aside(tmp_path):
    documents, passages = documents_and_passages({"a/d.md": [LINES[0]], "b/d.md": [LINES[0]]})
    path = written(
        tmp_path, record(pair(segment_ids=[1]), file_name="d.md", chunks=[{"chunk_id": 1, "text": LINES[0]}])
    )
    with pytest.raises(InputError, match=r"document d\.md is ambiguous"):
        read_questions(path, passages, documents)


def test_every_hop_is_verbatim_in_its_passage(tmp_path):
    random.seed(1)
    for _ in range(20):
        ends = sorted({0, 12, *random.sample(range(1, 12), 4)})
        texts = [" \n".join(LINES[a:b]) for a, b in itertools.pairwise(ends)]
        documents, passages = documents_and_passages({"d.md": texts})
        chunks = [{"chunk_id": n, "text": " ".join(LINES[n : n + 3])} for n in range(0, 12, 3)]
        pairs = [pair(question=f"What of {n}?", segment_ids=[n], hop_contexts=[]) for n in range(0, 12, 3)]
        found = read_questions(written(tmp_path, record(*pairs, file_name="d.md", chunks=chunks)), passages, documents)
        text_of = dict(passages.select("passage_id", "text").iter_rows())
        assert found.candidates.height == 4
        for row in found.candidates.iter_rows(named=True):
            assert all(hop["evidence"] and hop["evidence"] in text_of[hop["passage_id"]] for hop in row["hops"])


# -- what is set aside -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": " "}, "question: "),
        ({"question": None}, "question: "),
        ({"question_complexity": 6}, "question_complexity: "),
        ({"question_complexity": 0}, "question_complexity: "),
        ({"question_complexity": 2.5}, "question_complexity: "),
        ({"query_type": "riddle"}, "query_type: must be one of multi_hop, .* not 'riddle'"),
        ({"reasoning_type": None}, "reasoning_type: "),
        ({"segment_ids": []}, "segment_ids: "),
        ({"segment_ids": None}, "segment_ids: "),
        ({"segment_ids": ["one"]}, r"segment_ids\.0: "),
        ({"segment_ids": [1, 9]}, "it cites segment 9, which is no chunk of its record"),
        ({"segment_ids": [1, 2, 3, 4, 5, 6]}, "it cites 6 segments; 5 are the most"),
    ],
)
def test_a_question_that_breaks_the_rules(changes, said, tmp_path):
    found = reason(tmp_path, pair(**changes))
    assert re.match(said, found)
    assert found.endswith(f"(question: {' '.join(str(changes.get('question', pair()['question'])).split())})")


def test_what_is_no_question_at_all(tmp_path):
    assert "question: text" in reason(tmp_path, "text")


@pytest.mark.parametrize(
    ("evaluations", "said"),
    [
        ([], "nobody judged it: the record has 0 evaluations for 1 pairs"),
        ([evaluation(), evaluation()], "nobody judged it: the record has 2 evaluations for 1 pairs"),
        ([{}], "nobody judged it: no overall score"),
        ([evaluation(score=85)], "its overall score must be a number from 0 to 10, not 85"),
        ([evaluation(score="good")], "its overall score must be a number from 0 to 10, not 'good'"),
        ([evaluation(score=None)], "nobody judged it"),
    ],
)
def test_a_question_without_a_usable_judgement(evaluations, said, tmp_path):
    assert said in reason(tmp_path, pair(), evaluations=evaluations)


def test_every_question_of_a_record_whose_counts_differ_is_named(tmp_path):
    bad = record(pair(question="First?"), pair(question="Second?"), evaluations=[evaluation()])
    found = read(tmp_path, bad, record(pair()))
    assert [text.partition("(")[2] for text in found.set_aside["reason"]] == ["question: First?)", "question: Second?)"]


def test_sub_scores_may_be_missing_or_wild(tmp_path):
    row = only(tmp_path, record(pair(), evaluations=[{"overall": {"score": 7}, "clarity": {"score": 70}}]))
    assert (row["score"], row["clarity"], row["relevance"], row["judgement"]) == (7, None, None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file_name": ["gone.md"]}, "document gone.md is not in the corpus"),
        ({"chunks": [{"chunk_id": 1, "text": "Never written."}, CHUNKS[1]]}, "chunk 1 does not stand word for word in"),
    ],
)
def test_what_the_corpus_lacks(changes, said, tmp_path):
    assert said in reason(tmp_path, pair(), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chunks": None}, "chunks must be a list"),
        ({"file_name": None}, "file_name must be"),
        ({"deduplicated_qa_pairs": None}, "it has no list deduplicated_qa_pairs"),
    ],
)
def test_a_broken_record(changes, said, tmp_path):
    found = read(tmp_path, record(pair()), record(pair(question="Lost?"), **changes))
    assert found.candidates.height == 1
    assert said in found.set_aside["reason"].item()
    assert "line 2" in found.set_aside["reason"].item()


def test_nothing_left_is_an_error_with_an_example(tmp_path):
    path = written(tmp_path, record(pair(), file_name="gone.md"), record(pair(question="Two?"), file_name="gone.md"))
    with pytest.raises(InputError, match=r"no question in it can be used; 2 set aside, for example gone\.md: document"):
        read_questions(path, PASSAGES, DOCUMENTS)


def test_records_without_questions_are_an_error(tmp_path):
    with pytest.raises(InputError, match="there is no question in it"):
        read_questions(written(tmp_path, record()), PASSAGES, DOCUMENTS)


def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr("embed_pipeline.sdg.candidates.ROWS_AT_ONCE", 100)
    path = tmp_path / "r.jsonl"
    peaks = []
    for size in (30, 120):
        with path.open("w") as file:
            for number in range(size):
                pairs = [pair(question=f"Question {number} of {place}?") for place in range(10)]
                file.write(json.dumps(record(*pairs, text="long " * 2000)) + "\n")
        tracemalloc.start()
        assert read_questions(path, PASSAGES, DOCUMENTS).candidates.height == 10 * size
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0]
