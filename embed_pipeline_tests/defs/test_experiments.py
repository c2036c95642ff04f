"""A run with overrides: computed and kept, and nothing else."""

import dagster as dg
import pytest

from embed_pipeline.defs.experiments import override_tags
from embed_pipeline.files import write_json
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.history import History
from embed_pipeline_tests.stages import toy


@stage(group="deploy", version="1", storage="json")
def server(run: StageRun, score: Artifact) -> None:
    """Must not be reached by an experiment."""
    write_json(run.folder / "x.json", score.json("score"))


STAGES = {**toy.STAGES, "server": server}


@pytest.fixture
def definitions(tmp_path):
    toy.corpus_of(tmp_path)
    return toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", STAGES)


def pointers(folder):
    return {name: Store(folder / "home").pointer(name) for name in STAGES}


def events(instance, run, kind):
    return [entry.get_dagster_event() for entry in instance.all_logs(run.run_id, of_type=kind)]


def test_the_home_stays_as_it_is_and_nothing_is_deployed(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    before = pointers(tmp_path)
    run = toy.run(definitions, instance, overrides=["finetune.epochs=9"])
    assert run.is_success
    assert pointers(tmp_path) == before
    assert events(instance, run, dg.DagsterEventType.ASSET_MATERIALIZATION) == []
    observed = [event.asset_observation_data.asset_observation for event in events(
        instance, run, dg.DagsterEventType.ASSET_OBSERVATION
    )]  # fmt: skip
    assert [one.asset_key.to_user_string() for one in observed] == ["model", "score"]
    assert observed[0].tags["override/finetune.epochs"] == "9"
    assert all(not isinstance(value.value, int | float) for one in observed for value in one.metadata.values())
    assert run.tags["embed_pipeline/experiment"] == "finetune.epochs=9"
    made = Store(tmp_path / "home").of_run(run.run_id, "model")
    assert made.json("model")["epochs"] == 9
    record = History(tmp_path / "home").of(run.run_id)
    assert record["experiment"]
    assert set(record["assets"]) == {"names", "model", "score"}


def test_what_follows_is_made_of_what_the_experiment_made(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    toy.corpus_of(tmp_path, "ann bob cid")
    run = toy.run(definitions, instance, overrides=["finetune.epochs=9"])
    store = Store(tmp_path / "home")
    assert store.of_run(run.run_id, "score").json("score") == 3
    assert store.current("score").json("score") == 2


def test_in_an_empty_home_an_experiment_points_to_nothing(definitions, instance, tmp_path):
    assert toy.run(definitions, instance, overrides=["finetune.epochs=9"]).is_success
    assert set(map(bool, pointers(tmp_path).values())) == {False}


def test_a_second_time_and_when_it_is_taken_over_nothing_is_computed(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    overrides = ["finetune.epochs=9"]
    toy.run(definitions, instance, overrides=overrides)
    again = History(tmp_path / "home").of(toy.run(definitions, instance, overrides=overrides).run_id)
    assert {one["outcome"] for one in again["assets"].values()} == {"reused"}
    promoted = toy.toy_defs(toy.settings_of(tmp_path, *overrides), tmp_path / "home", STAGES)
    record = History(tmp_path / "home").of(toy.run(promoted, instance).run_id)
    assert {name: one["outcome"] for name, one in record["assets"].items()} == dict.fromkeys(STAGES, "reused")


def test_force_alone_is_no_experiment(definitions, instance, tmp_path):
    toy.run(definitions, instance)
    run = toy.run(definitions, instance, force=["model"])
    assert len(events(instance, run, dg.DagsterEventType.ASSET_MATERIALIZATION)) == 1
    assert "embed_pipeline/experiment" not in run.tags


def test_tags_hold_what_dagster_allows():
    tags = override_tags(["corpus.path=/a b/ü", f"finetune.objective={'x' * 90}"])
    assert tags == {"override/corpus.path": "_a_b__", "override/finetune.objective": "x" * 63}
    dg.AssetObservation("x", tags=tags)
