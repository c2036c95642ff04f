"""Stages as Dagster assets: reuse, data versions, metadata, launchpad overrides and clear failures."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.execution.plan.objects import UserFailureData

from embed_pipeline.defs.io_managers import TableIOManager
from embed_pipeline.errors import ArtifactError, LLMUnavailableError
from embed_pipeline.files import write_json
from embed_pipeline.progress import reporting, say, track
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.tables import QaPairs
from embed_pipeline_tests.prep.build import pairs_of
from embed_pipeline_tests.stages import toy


def materialization(result: dg.ExecuteInProcessResult, asset: str) -> dg.AssetMaterialization:
    (found,) = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    ]
    return found


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    return {name: materialization(result, name).metadata["outcome"].value for name in toy.STAGES}


def data_versions(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {name: materialization(result, name).tags["dagster/data_version"] for name in toy.STAGES}


def failure_of(result: dg.ExecuteInProcessResult, asset: str) -> UserFailureData:
    data = result.failure_data_for_node(asset)
    assert data is not None
    assert data.user_failure_data is not None
    return data.user_failure_data


def test_a_second_run_reuses_everything_with_the_same_data_versions(definitions, instance, tmp_path):
    first, second = (toy.launch(definitions, instance) for _ in range(2))
    assert first.success
    assert outcomes(first) == dict.fromkeys(toy.STAGES, "computed")
    assert outcomes(second) == dict.fromkeys(toy.STAGES, "reused")
    assert data_versions(first) == data_versions(second)
    store = Store(tmp_path / "home")
    assert data_versions(first) == {name: store.current(name).version for name in toy.STAGES}


def test_the_same_content_leaves_downstream_data_versions_alone(definitions, instance, tmp_path):
    first = toy.launch(definitions, instance)
    toy.corpus_of(tmp_path, "ann\n\nbob\n")
    second = toy.launch(definitions, instance)
    assert outcomes(second) == {"names": "computed", "model": "reused", "score": "reused"}
    assert data_versions(first) == data_versions(second)


def test_a_table_is_shown_with_rows_schema_sample_chart_and_facts(definitions, instance):
    metadata: Mapping[str, Any] = materialization(toy.launch(definitions, instance), "names").metadata
    assert metadata["dagster/row_count"].value == 2
    columns = metadata["dagster/column_schema"].value.columns
    assert [column.name for column in columns] == ["path", "bytes", "sha256", "status", "reason"]
    assert all(column.description for column in columns)
    assert columns[4].constraints.nullable
    assert columns[3].constraints.other == ["regex=^(read|skipped)$"]
    rows = metadata["sample"].records
    assert [row.data["path"] for row in rows] == ["ann", "bob"]
    assert len(rows[0].data["sha256"]) == 160
    assert metadata["chart: lengths"].value.startswith("![lengths](data:image/svg+xml;base64,")
    assert (metadata["names"].value, metadata["share"].value, metadata["engine"].value) == (2, 0.5, "toy")
    assert metadata["tokens"].value == 7.0
    assert metadata["bytes"].value > 0


def test_a_folder_is_shown_with_its_files(definitions, instance):
    metadata = materialization(toy.launch(definitions, instance), "model").metadata
    assert metadata["files"].value == "- `model.json` (32 bytes)"


def test_a_launchpad_override_is_part_of_the_key_and_does_not_stick(definitions, instance, tmp_path):
    before = toy.launch(definitions, instance)
    changed = toy.run(definitions, instance, overrides=["finetune.epochs=9"])
    made = Store(tmp_path / "home").of_run(changed.run_id, "model")
    assert made.manifest().settings == {"finetune.epochs": 9}
    assert made.version != data_versions(before)["model"]
    back = toy.launch(definitions, instance)
    assert outcomes(back) == dict.fromkeys(toy.STAGES, "reused")
    assert data_versions(back) == data_versions(before)


def test_charts_schema_and_sample_are_kept_where_something_was_computed(definitions, instance):
    toy.launch(definitions, instance)
    reused: Mapping[str, Any] = materialization(toy.launch(definitions, instance), "names").metadata
    assert {"outcome", "names", "share"} <= set(reused)
    assert not {"sample", "dagster/column_schema", "chart: lengths"} & set(reused)


def test_force_in_the_launchpad_recomputes_that_asset_alone(definitions, instance):
    toy.launch(definitions, instance)
    forced = toy.launch(definitions, instance, force=["model"])
    assert outcomes(forced) == {"names": "reused", "model": "computed", "score": "reused"}


def test_a_library_error_is_one_clear_failure_without_retry(definitions, instance, tmp_path):
    toy.corpus_of(tmp_path, "")
    result = toy.launch(definitions, instance)
    assert not result.success
    failure = failure_of(result, "names")
    assert failure.description == "names.txt: holds no names."
    assert failure.metadata["exit_code"].value == 2
    assert failure.metadata["error"].value == "InputError"
    assert result.retry_attempts_for_node("names") == 0
    assert result.get_asset_materialization_events() == []


def test_a_wrong_override_is_a_clear_failure_too(definitions, instance):
    result = toy.launch(definitions, instance, overrides=["finetune.epoch=9"])
    failure = failure_of(result, "names")
    told = (
        "overrides of the launchpad: finetune.epoch=9: unknown setting finetune.epoch (did you mean finetune.epochs?)"
    )
    assert told in failure.description and "--set" not in failure.description
    assert failure.metadata["exit_code"].value == 2


@pytest.mark.parametrize(("error", "attempts"), [(LLMUnavailableError, 2), (ArtifactError, 1)])
def test_only_what_may_succeed_later_is_tried_again(error, attempts, instance, tmp_path):
    calls = []

    @stage(group="sdg", version="1", storage="json")
    def flaky(run: StageRun) -> None:
        """Fails once."""
        calls.append(1)
        if len(calls) == 1:
            raise error("not now")
        write_json(run.folder / "x.json", 1)

    built = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", {"flaky": flaky})
    result = toy.launch(built, instance, retries=1)
    assert len(calls) == attempts
    assert result.success == (attempts == 2)


def test_a_skipped_stage_is_shown_and_what_follows_still_runs(instance, tmp_path):
    @stage(group="export", version="1", storage="table", schema=QaPairs)
    def optional(run: StageRun) -> None:
        """Nothing to do here."""
        run.skip("no card")

    @stage(group="deploy", version="1", storage="json", after=("optional",))
    def after(run: StageRun) -> None:
        """Comes later."""
        write_json(run.folder / "x.json", 1)

    stages = {"optional": optional, "after": after}
    result = toy.launch(toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", stages), instance)
    assert result.success
    metadata = materialization(result, "optional").metadata
    assert (metadata["outcome"].value, metadata["skipped"].value) == ("skipped", "no card")


def test_progress_reaches_the_event_log_and_whoever_listens_outside(instance, tmp_path):
    @stage(group="prep", version="1", storage="json")
    def chatty(run: StageRun) -> None:
        """Says things."""
        for _ in track([1, 2], "counting"):
            say("one more")
        write_json(run.folder / "x.json", 1)

    heard: list[str] = []

    class Listener:
        def start(self, name, total):
            heard.append(f"start {name} {total}")

        def update(self, handle, done, note=""):
            heard.append(f"done {done}")

        def finish(self, handle):
            heard.append("finished")

        def message(self, text):
            heard.append(text)

    with reporting(Listener()):
        result = toy.launch(toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", {"chatty": chatty}), instance)
    assert heard[:6] == ["start counting 2", "one more", "done 1", "one more", "done 2", "finished"]
    assert heard[6].startswith("chatty: computed in")
    logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "counting: 2 to do" in logged
    assert "one more" in logged


def test_a_dagster_pandas_type_refuses_rows_that_break_its_constraints(instance, tmp_path):
    @stage(group="sdg", version="1", storage="table", settings=("sdg.min_complexity",))
    def qa_pairs(run: StageRun) -> None:
        """Questions; complexity as the settings say."""
        complexity = run.settings.sdg.min_complexity
        frame = pairs_of({"q1": ("why?", ["d#0"])}).with_columns(complexity=pl.lit(complexity * 3, pl.Int64))
        run.write_table(frame)

    def launched(complexity: int) -> dg.ExecuteInProcessResult:
        settings = toy.settings_of(tmp_path, f"sdg.min_complexity={complexity}")
        return toy.launch(toy.toy_defs(settings, tmp_path / "home", {"qa_pairs": qa_pairs}), instance)

    assert launched(1).success
    refused = launched(2)
    assert not refused.success
    tried = toy.toy_defs(toy.settings_of(tmp_path), tmp_path / "home", {"qa_pairs": qa_pairs})
    assert toy.run(tried, instance, overrides=["sdg.min_complexity=1"]).is_success
    assert not toy.run(tried, instance, overrides=["sdg.min_complexity=2"]).is_success
    (failed,) = [event for event in refused.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "complexity" in str(failed.step_failure_data)


def test_a_run_hands_downstream_what_it_made_even_if_the_pointer_moved_meanwhile(instance, tmp_path):
    home = tmp_path / "home"

    @stage(group="prep", version="1", storage="json", settings=("finetune.epochs",))
    def source(run: StageRun) -> None:
        """The epochs."""
        write_json(run.folder / "x.json", run.settings.finetune.epochs)

    @stage(group="prep", version="1", storage="json")
    def meddler(run: StageRun, source: Artifact) -> None:
        """Another run moves the pointer in between."""
        other = Store(home).lookup("source", other_key[0])
        Store(home).point(other, other_key[0], "computed", 0.0)
        write_json(run.folder / "x.json", 0)

    @stage(group="prep", version="1", storage="json", after=("meddler",))
    def reader(run: StageRun, source: Artifact) -> None:
        """What it was given."""
        write_json(run.folder / "x.json", source.json("x"))

    toy.launch(toy.toy_defs(toy.settings_of(tmp_path, "finetune.epochs=7"), home, {"source": source}), instance)
    other_key = [Store(home).pointer("source")["key"]]
    built = toy.toy_defs(
        toy.settings_of(tmp_path, "finetune.epochs=5"), home, {"source": source, "meddler": meddler, "reader": reader}
    )
    assert toy.launch(built, instance).success
    assert Store(home).current("source").json("x") == 7
    assert Store(home).current("reader").json("x") == 5


def test_an_asset_can_be_loaded_in_a_notebook_and_a_missing_one_says_so(definitions, instance, tmp_path):
    with pytest.raises(ArtifactError, match="names has not been materialized"):
        definitions.load_asset_value("names", instance=instance)
    toy.launch(definitions, instance)
    assert definitions.load_asset_value("names", instance=instance).frame().height == 2


def test_an_empty_table_has_no_sample(tmp_path):
    @stage(group="sdg", version="1", storage="table", schema=QaPairs)
    def empty(run: StageRun) -> None:
        """No rows."""
        run.write_table(pl.DataFrame(schema=QaPairs.create_empty().schema))

    store = Store(tmp_path / "home")
    made = run_stage(empty, toy.settings_of(tmp_path), store, {}).artifact
    described = TableIOManager(store, {"empty": empty}).describe(made)
    assert described["dagster/row_count"] == 0
    assert "sample" not in described
