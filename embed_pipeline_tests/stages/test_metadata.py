"""A tag that changes alone: it is told at once, and nothing is asked, mined or trained again."""

from pathlib import Path

import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages import corpus, sdg
from embed_pipeline.stages.declare import StageRun
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.inputs import told_of
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.llm.chat_server import serving
from embed_pipeline_tests.prep.build import WordEncoder
from embed_pipeline_tests.sdg.author import Author
from embed_pipeline_tests.stages.test_sdg import PLAIN, llm

HEAD = "---\ntags: [{tag}]\ndate: 2026-01-31\n---\n\n"
ON_THE_WAY = (corpus.corpus_manifest, corpus.documents, corpus.passages, sdg.qa_candidates, sdg.qa_pairs)


def write(folder: Path, tag: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(("drum", "valve", "skein", "cradle")):
        body = f"# The {name}\n\n" + f"The {name} number {number} is greased by the warden in spring. " * 6
        (folder / f"{name}.md").write_text(HEAD.format(tag=tag if name == "drum" else "same") + body)


def test_neither_passages_nor_questions_change_and_no_model_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(StageRun, "base_encoder", lambda _: WordEncoder())
    store, author = Store(tmp_path / "home"), Author(faults=False)

    def made(tag: str) -> dict[str, Artifact]:
        write(tmp_path / "docs", tag)
        settings = load_settings(None, None, (*PLAIN, f"corpus.path={tmp_path / 'docs'}", *llm(server.url)), {})
        found: dict[str, Artifact] = {}
        for declared in ON_THE_WAY:
            inputs = {name: found[name] for name in declared.inputs}
            found[declared.name] = run_stage(declared, settings, store, inputs).artifact
        return found

    with serving(author) as server:
        before = made("old")
        asked = author.answered["requests"]
        assert asked > 0 and not before["qa_candidates"].frame().is_empty()
        after = made("new")
        assert author.answered["requests"] == asked

    assert after["documents"].version != before["documents"].version
    candidates = [one["qa_candidates"].frame() for one in (before, after)]
    assert candidates[0].equals(candidates[1])  # the ledger beside them says that nothing was spent
    for name in ("passages", "qa_pairs"):
        assert after[name].version == before[name].version, name
    passage = before["passages"].frame().filter(doc_id="drum.md")["passage_id"][0]
    told = [told_of(one["documents"], one["passages"])[passage] for one in (before, after)]
    assert told == [{"date": ["2026-01-31"], "tags": [tag]} for tag in ("old", "new")]
    assert after["documents"].manifest().summary["with_metadata"] == 4
    assert "| tags | 4 | 2 |" in after["documents"].manifest().charts["metadata"]


@pytest.mark.parametrize("name", ["qa_pairs", "mined_negatives", "training_set", "checkpoint", "onnx_model"])
def test_what_trains_takes_in_nothing_that_holds_metadata(name):
    assert not {"documents", "beir_benchmark"} & set(stages(load_settings(None, None, (), {}))[name].inputs)
