"""Reasons tell what has changed since the work done last, not since the first that gave the same content."""

import json
from pathlib import Path

import pytest

from embed_pipeline.files import sha256_file, write_json
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.plan import make_plan
from embed_pipeline.stages.run import StageResult, run_stage
from embed_pipeline.stages.status import asset_statuses
from embed_pipeline.store.artifacts import Artifact, Store


def corpus_hash(settings: Settings) -> dict[str, Version]:
    assert settings.corpus.folder is not None
    file = settings.corpus.folder / "words.txt"
    return {"corpus": lambda _: sha256_file(file)}


@stage(group="corpus", version="1", storage="json", external=corpus_hash)
def words(run: StageRun) -> None:
    """The words of the corpus."""
    assert run.settings.corpus.folder is not None
    write_json(run.folder / "words.json", (run.settings.corpus.folder / "words.txt").read_text().split())


@stage(group="finetune", version="1", storage="json", settings=("finetune.seed",))
def model(run: StageRun, words: Artifact) -> None:
    """The same, whatever the words and the seed."""
    write_json(run.folder / "model.json", "weights")


GRAPH = {one.name: one for one in (words, model)}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "corpus").mkdir()
    return tmp_path / "home"


def settings_of(home: Path, seed: int) -> Settings:
    return load_settings(None, None, [f"corpus.path={home.parent / 'corpus'}", f"finetune.seed={seed}"], {})


def run(home: Path, text: str, seed: int = 1, force: str = "") -> dict[str, StageResult]:
    (home.parent / "corpus" / "words.txt").write_text(text)
    store, done = Store(home), dict[str, StageResult]()
    for name, declared in GRAPH.items():
        inputs = {one: done[one].artifact for one in declared.inputs}
        done[name] = run_stage(declared, settings_of(home, seed), store, inputs, name == force)
        store.point(done[name].artifact, done[name].key, done[name].outcome, done[name].seconds)
    return done


def reasons(home: Path, seed: int) -> tuple[str, ...]:
    """Why the model would be computed."""
    return make_plan(GRAPH.values(), settings_of(home, seed), Store(home))["model"].reasons


def test_an_input_that_changed_before_the_last_run_is_no_reason(home):
    first, second = run(home, "a"), run(home, "b")
    assert (second["model"].outcome, second["model"].artifact) == ("computed", first["model"].artifact)
    assert first["model"].artifact.manifest().inputs == {"words": first["words"].artifact.version}  # for ever
    assert reasons(home, seed=2) == ("setting finetune.seed changed",)
    (stale,) = (one for one in asset_statuses(GRAPH, settings_of(home, 2), Store(home)) if one.asset == "model")
    assert stale.reasons == ("setting finetune.seed changed",)


def test_a_setting_that_changed_before_the_last_run_is_no_reason(home):
    run(home, "a", seed=1)
    run(home, "a", seed=2)
    (home.parent / "corpus" / "words.txt").write_text("b")
    run_stage(words, settings_of(home, 2), Store(home), {})
    assert reasons(home, seed=2) == ("input words changed",)


def test_going_back_compares_with_what_was_gone_back_to(home):
    run(home, "a")
    run(home, "b")
    assert run(home, "a")["model"].outcome == "reused"
    assert reasons(home, seed=2) == ("setting finetune.seed changed",)


def test_what_was_forced_was_computed_when_it_was_forced(home):
    run(home, "a")
    model_file = next((home / "artifacts" / "model" / "keys").glob("*.json"))
    write_json(model_file, json.loads(model_file.read_text()) | {"started": "2001-01-01T00:00:00+00:00"})
    told = {one.asset: one.computed_at for one in asset_statuses(GRAPH, settings_of(home, 1), Store(home))}
    assert told["model"] == "2001-01-01T00:00:00+00:00"
    run(home, "a", force="model")
    told = {one.asset: one.computed_at for one in asset_statuses(GRAPH, settings_of(home, 1), Store(home))}
    assert told["model"] is not None
    assert not told["model"].startswith("2001")


def test_a_home_made_before_opens_and_recomputes_nothing(home):
    run(home, "a")
    run(home, "b")
    for file in (home / "artifacts").glob("*/keys/*.json"):
        known = json.loads(file.read_text())
        write_json(file, {name: known[name] for name in ("version", "inputs")})
    assert {one.outcome for one in run(home, "b").values()} == {"reused"}
    assert reasons(home, seed=2) == ("setting finetune.seed changed", "input words changed")  # as it was then
