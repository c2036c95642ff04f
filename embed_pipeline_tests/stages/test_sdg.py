"""Questions from several sources, as the stages of sdg make one table of them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages import prep, sdg
from embed_pipeline.stages.declare import Stage, StageRun, no_external, stage
from embed_pipeline.stages.provenance import lineage
from embed_pipeline.stages.run import StageResult, run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.llm.chat_server import serving
from embed_pipeline_tests.prep.build import WordEncoder
from embed_pipeline_tests.sdg.author import Author
from embed_pipeline_tests.sdg.generation.test_generate import corpus_of

SPLIT = ("prep.train_ratio=0.8", "prep.validation_ratio=0.2", "prep.test_ratio=0", "eval.gold=/gold")
PLAIN = ("sdg.min_question_chars=5", "sdg.bundle_similarity=0.3", "sdg.questions_per_passage=2")
BESIDE = "sdg.also_generate=true"


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.setattr(StageRun, "base_encoder", lambda _: WordEncoder())
    return Store(tmp_path / "home")


@pytest.fixture
def own(tmp_path):
    """A file of questions of one's own about the first two documents."""
    rows = [{"question": f"what is said of station {doc}?", "passage_ids": [f"doc{doc:03}.md#0"]} for doc in range(2)]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def stored(store: Store, name: str, table: pl.DataFrame) -> Artifact:
    def compute(run: StageRun) -> None:
        """Content of a test."""
        run.write_table(table)

    compute.__name__ = name
    declared = stage(group="x", version="1", storage="table")(compute)
    return run_stage(declared, load_settings(None, None, (), {}), store, {}).artifact


def ran(store: Store, declared: Stage, inputs: Mapping[str, Artifact], *overrides: str) -> Artifact:
    return run_stage(declared, load_settings(None, None, (*PLAIN, *overrides), {}), store, inputs).artifact


def candidates(store: Store, *overrides: str, documents: int = 6) -> StageResult:
    corpus = corpus_of(documents)
    inputs = {name: stored(store, name, getattr(corpus, name)) for name in ("documents", "passages")}
    return run_stage(sdg.qa_candidates, load_settings(None, None, (*PLAIN, *overrides), {}), store, inputs)


def pairs(store: Store, made: StageResult, *overrides: str, documents: int = 6) -> pl.DataFrame:
    inputs = {"qa_candidates": made.artifact, "passages": stored(store, "passages", corpus_of(documents).passages)}
    return run_stage(sdg.qa_pairs, load_settings(None, None, (*PLAIN, *overrides), {}), store, inputs).artifact.frame()


def trained_on(store: Store, own: Path, *overrides: str) -> tuple[Artifact, Artifact]:
    """The negatives and the training set of questions of one's own beside the offline generator's."""
    chosen = (*PLAIN, f"sdg.import_from={own}", BESIDE, *SPLIT, *overrides)
    made = {name: stored(store, name, getattr(corpus_of(12), name)) for name in ("documents", "passages")}
    for declared in (sdg.qa_candidates, sdg.qa_pairs, prep.splits, prep.mined_negatives, prep.training_set):
        known = replace(declared, external=no_external) if declared.group == "prep" else declared
        made[declared.name] = ran(store, known, {name: made[name] for name in declared.inputs}, *chosen)
    return made["mined_negatives"], made["training_set"]


def sources(frame: pl.DataFrame) -> set[str]:
    return set(frame["generator"].str.split("/").list.first())


def llm(url: str) -> tuple[str, ...]:
    return (f"sdg.llm.base_url={url}", "sdg.llm.model=writer")


def test_imported_questions_alone_stay_alone(store, own):
    made = candidates(store, f"sdg.import_from={own}", "sdg.llm.base_url=http://127.0.0.1:1/v1", "sdg.llm.model=m")
    assert sources(made.artifact.frame()) == {"imported"}
    assert made.artifact.manifest().summary == {"set_aside": 0, "candidates": 2}


def test_the_offline_generator_writes_beside_them(store, own):
    alone = candidates(store)
    both = candidates(store, f"sdg.import_from={own}", BESIDE)
    frame = both.artifact.frame()
    assert sources(frame) == {"imported", "offline"}
    generated = frame.filter(pl.col("generator") != "imported")
    assert generated.equals(alone.artifact.frame())
    assert both.artifact.manifest().summary == {
        "set_aside": 0, "candidates": frame.height, "imported": 2, "generated": generated.height,
    }  # fmt: skip
    assert lineage({"qa_candidates": both.artifact.manifest()})["questions_from"] == "imported, offline generator"
    assert sources(pairs(store, both)) == {"imported", "offline"}


def test_an_imported_question_wins_over_the_generated_one_that_says_the_same(store, own):
    one = candidates(store).artifact.frame().filter(~pl.col("mask_evidence")).row(0, named=True)
    own.write_text(json.dumps({"question": f"{one['question'].upper()} ", "passage_ids": one["passage_ids"]}))
    chosen = pairs(store, candidates(store, f"sdg.import_from={own}", BESIDE))
    said = chosen.filter(pl.col("question").str.to_lowercase() == one["question"].lower())
    assert said["generator"].to_list() == ["imported"]


def test_the_same_question_and_passages_are_one_candidate(store, own):
    one = candidates(store).artifact.frame().row(0, named=True)
    own.write_text(json.dumps({"question": one["question"], "passage_ids": one["passage_ids"]}))
    frame = candidates(store, f"sdg.import_from={own}", BESIDE).artifact.frame()
    assert frame.filter(question_id=one["question_id"])["generator"].to_list() == ["imported"]


def test_a_language_model_writes_beside_them_and_asks_for_nothing_twice(store, own):
    author = Author()
    with serving(author) as server:
        alone = candidates(store, *llm(server.url))
        made = len(server.bodies)
        both = candidates(store, *llm(server.url), f"sdg.import_from={own}", BESIDE)
        assert len(server.bodies) == made  # every answer was stored
    frame, before = both.artifact.frame(), alone.artifact.frame()
    assert sources(frame) == {"imported", "llm"}
    assert frame.filter(pl.col("generator") != "imported").equals(before)
    assert set(both.artifact.manifest().external) == {"import_from", "prompts", "base_model"}


def test_what_says_the_same_as_an_imported_question_is_not_judged(store, own):
    with serving(Author(faults=False)) as server:
        judged = candidates(store, *llm(server.url)).artifact.frame().filter(pl.col("score").is_not_null())
        rows = [
            {"question": f"{row['question']} ", "passage_ids": row["passage_ids"][::-1]}
            for row in judged.head(5).iter_rows(named=True)
        ]
        rows[0]["question"] = rows[0]["question"].upper()
        own.write_text("\n".join(json.dumps(row) for row in rows))
        both = candidates(store, *llm(server.url), f"sdg.import_from={own}", BESIDE).artifact.frame()
    assert both.filter(generator="imported").height == 5
    written = both.filter(pl.col("generator") != "imported")
    assert written["score"].count() < judged.height
    assert not set(judged["question"].head(5)) & set(written.filter(pl.col("score").is_not_null())["question"])


def test_the_settings_that_were_there_before_leave_the_key_as_it_was(store, own):
    before = load_settings(None, None, (f"sdg.import_from={own}",), {})
    after = load_settings(None, None, (f"sdg.import_from={own}", "sdg.also_generate=false"), {})
    assert sdg.qa_candidates.settings_part(before) == sdg.qa_candidates.settings_part(after)
    assert "sdg.also_generate" not in sdg.qa_candidates.settings_part(before)


def test_imported_questions_weigh_in_training_and_stand_once_in_the_files_for_other_tools(store, own):
    once, thrice = (trained_on(store, own, f"prep.imported_weight={weight}")[1] for weight in (1, 3))
    frame, weighed = once.frame(), Counter(thrice.frame()["question"])
    imported = {json.loads(line)["question"] for line in own.read_text().splitlines()}
    assert imported & set(weighed)
    assert weighed == {
        name: (3 if name in imported else 1) * count for name, count in Counter(frame["question"]).items()
    }
    for name in ("triplets.jsonl", "train_mined.automodel.json", "train_mined.automodel_unrolled.json"):
        assert thrice.file(name).read_bytes() == once.file(name).read_bytes()
    assert thrice.manifest().summary["rows"] > once.manifest().summary["rows"] == frame.height


def test_what_a_language_model_calls_an_answer_becomes_a_row_of_the_training_set(store, own):
    author = Author(faults=False)
    with serving(author) as server:
        judging = ("sdg.engine=offline", *llm(server.url), "prep.denoise=llm", "prep.hard_negative_margin=1")
        dropped, before = trained_on(store, own, *judging)
        asked = author.answered["requests"]
        mined, after = trained_on(store, own, *judging, "prep.relabel=true")
        assert author.answered["requests"] == asked > 0  # every answer is stored
    known = mined.frame("rejected").filter(reason="relabelled").select("question_id", "passage_id")
    assert known.equals(dropped.frame("rejected").filter(reason="denoised").select("question_id", "passage_id"))
    rows = [set(one.frame().select("question_id", "positive_id").iter_rows()) for one in (before, after)]
    assert rows[1] - rows[0] == set(known.iter_rows()) != set()
    told = {row["question_id"]: row["pos_doc"] for row in after.json("train_mined.automodel")["data"]}
    assert all(len(told[name]) > 1 and min(one["score"] for one in told[name]) > -1 for name in known["question_id"])
    assert mined.manifest().summary["relabelled"] == known.height
    assert mined.manifest().charts["became positives"].startswith(f"{known.height} in all.")
