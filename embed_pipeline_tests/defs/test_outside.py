"""What has changed outside shows as stale, whatever was touched or put back does not; by the toy graph."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from embed_pipeline.defs.outside import outside_assets, outside_keys, report_outside
from embed_pipeline.defs.up_to_date import CHECK, look
from embed_pipeline.files import write_json, write_text
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.plan import NOT_ALIVE
from embed_pipeline.stages.status import FITS, asset_statuses
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.watched import WatchedStore
from embed_pipeline_tests.stages import toy


def lamp_burns(artifact: Artifact, settings: Settings, home: Path) -> bool:
    return (home / "lamp").exists()


@stage(group="deploy", version="1", storage="json", alive=lamp_burns)
def endpoint(run: StageRun, score: Artifact) -> None:
    """A lamp."""
    write_text(run.home / "lamp", "")
    write_json(run.folder / "endpoint.json", {"score": score.version})


@stage(group="deploy", version="1", storage="json")
def endpoint_metrics(run: StageRun, endpoint: Artifact) -> None:
    """How bright it is."""
    write_json(run.folder / "brightness.json", 1)


GRAPH = toy.STAGES | {one.name: one for one in (endpoint, endpoint_metrics)}


class Pipeline:
    """A home, its instance, and what a user does."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance, self.home = folder, instance, folder / "home"
        self.overrides: tuple[str, ...] = ()
        self.watched = WatchedStore(self.home)
        self.write("ann bob")

    @property
    def settings(self) -> Settings:
        return toy.settings_of(self.folder, *self.overrides)

    def write(self, text: str) -> None:
        """Another document; long ago, so that its hash is remembered."""
        toy.corpus_of(self.folder, text)
        os.utime(self.folder / "corpus" / "names.txt", ns=(0, sum(text.encode())))

    def tick(self) -> str:
        return str(look(self.instance, self.settings, self.watched, GRAPH).skip_message)

    def run(self, **pipeline: Any) -> None:
        definitions = toy.toy_defs(self.settings, self.home, GRAPH)
        assert toy.run(definitions, self.instance, **pipeline).is_success

    def stale(self) -> set[str]:
        """What Dagster itself calls stale."""
        definitions = toy.toy_defs(self.settings, self.home, GRAPH)
        resolver = CachingStaleStatusResolver(
            self.instance, definitions.resolve_asset_graph(), LoadingContextForTest(self.instance)
        )
        return {name for name in GRAPH if resolver.get_status(dg.AssetKey(name)).value != "FRESH"}

    def shown_of(self, name: str) -> tuple[bool, str | None]:
        """What the check on the page of an asset says."""
        key = dg.AssetCheckKey(dg.AssetKey(name), CHECK)
        (record,) = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
        assert record.event is not None and record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        assert evaluation.severity == dg.AssetCheckSeverity.WARN
        return evaluation.passed, evaluation.description

    def shown(self) -> dict[str, str | None]:
        """The same of every asset that is not up to date."""
        said = {name: self.shown_of(name) for name in GRAPH}
        return {name: reasons for name, (passed, reasons) in said.items() if not passed}

    def status(self) -> dict[str, str | None]:
        """The same as the command line tells it."""
        return {
            one.asset: "; ".join(one.reasons)
            for one in asset_statuses(GRAPH, self.settings, Store(self.home))
            if one.state != "fresh"
        }


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """All of it made once."""
    with dg.DagsterInstance.ephemeral() as instance:
        made = Pipeline(tmp_path, instance)
        made.tick()
        made.run()
        yield made


def test_before_the_first_run_everything_says_so(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        empty = Pipeline(tmp_path, instance)
        empty.tick()
        assert empty.shown() == empty.status()
        assert empty.shown()["names"] == "never computed"
        assert empty.shown()["model"] == "follows names"


def test_after_a_run_nothing_is_stale_and_nothing_is_told_again(pipeline):
    assert pipeline.stale() == set()
    assert pipeline.shown() == {}
    for _ in range(3):
        assert pipeline.tick() == "nothing has changed"
    assert len(pipeline.instance.fetch_materializations(dg.AssetKey("corpus_folder"), limit=9).records) == 1


def test_an_edited_document(pipeline):
    pipeline.write("ann bob cid")
    assert "names" in pipeline.tick()
    assert pipeline.stale() == {"names"}  # Dagster looks one asset far
    assert pipeline.shown() == pipeline.status()
    assert pipeline.shown()["names"] == "corpus changed"
    assert pipeline.shown()["endpoint_metrics"] == "follows endpoint"
    pipeline.run()
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_a_touched_document_and_one_put_back(pipeline):
    os.utime(pipeline.folder / "corpus" / "names.txt")
    assert pipeline.tick() == "nothing has changed"
    pipeline.write("ann")
    pipeline.tick()
    assert pipeline.stale() == {"names"}
    pipeline.write("ann bob")
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown(), pipeline.status()) == (set(), {}, {})


def test_back_after_a_run_with_something_else_takes_one_more_run(pipeline):
    for text in ("ann", "ann bob"):
        pipeline.write(text)
        pipeline.tick()
        assert pipeline.stale() == {"names"}
        assert pipeline.shown() == pipeline.status() != {}
        pipeline.run()
        pipeline.tick()
        assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_the_same_result_from_another_document_stops_the_wave(pipeline):
    pipeline.write("ann  bob")  # the same names
    pipeline.tick()
    assert pipeline.stale() == {"names"}
    pipeline.run()
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_a_document_that_changed_before_the_run_saw_it_and_before_any_tick(pipeline):
    pipeline.write("ann bob cid")
    pipeline.run()  # nothing had been reported
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown(), pipeline.status()) == (set(), {}, {})


def test_a_run_that_reports_first_is_right_without_the_sensor(pipeline):
    pipeline.write("ann bob cid")
    report_outside(pipeline.instance, pipeline.settings, Store(pipeline.home), GRAPH)
    pipeline.run()
    assert pipeline.stale() == set()


def test_a_changed_setting_and_back(pipeline):
    pipeline.overrides = ("finetune.epochs=9",)
    pipeline.tick()
    assert pipeline.stale() == {"model"}
    assert pipeline.shown() == pipeline.status()
    assert pipeline.shown()["model"] == "setting finetune.epochs changed"
    pipeline.overrides = ()
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_an_experiment_leaves_what_is_shown_as_it_is(pipeline):
    pipeline.run(overrides=["finetune.epochs=9"])
    assert pipeline.shown_of("model") == (True, "up to date")
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown()) == (set(), {})
    pipeline.write("ann bob cid")
    pipeline.tick()
    pipeline.run(overrides=["finetune.epochs=9"])
    assert pipeline.shown_of("model") == (False, "follows names")
    pipeline.tick()
    assert pipeline.stale() == {"names"}
    assert pipeline.shown() == pipeline.status()
    assert pipeline.shown()["names"] == FITS  # computed by the experiment, but not in use


def test_assets_of_a_home_that_knows_nothing_of_the_outside_are_told_anew_once(pipeline):
    """As one made by an older version: nothing changed, so nothing is computed, but Dagster must hear of it."""
    name = dg.AssetKey("names")
    (record,) = pipeline.instance.fetch_materializations(name, limit=1).records
    made = record.asset_materialization
    tags = {tag: value for tag, value in (made.tags or {}).items() if "corpus_folder" not in tag}
    pipeline.instance.report_runless_asset_event(dg.AssetMaterialization(name, tags=tags))
    assert pipeline.stale() == {"names"}
    for told in (2, 2):
        pipeline.run()
        assert pipeline.stale() == set()
        assert len(pipeline.instance.fetch_materializations(name, limit=9).records) == told + 1


def test_a_dead_process_is_stale_until_it_is_made_anew(pipeline):
    lamp = pipeline.home / "lamp"
    for _ in range(3):
        lamp.unlink()
        pipeline.tick()
        pipeline.tick()
        assert pipeline.stale() == {"endpoint"}
        assert pipeline.shown() == pipeline.status() == {"endpoint": NOT_ALIVE}
        pipeline.run()
        pipeline.tick()
        assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_a_process_that_died_before_the_first_tick(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        made = Pipeline(tmp_path, instance)
        made.run()  # nothing had ever been reported
        made.tick()
        assert (made.stale(), made.shown()) == (set(), {})
        (made.home / "lamp").unlink()
        made.tick()
        assert made.stale() == {"endpoint"}
        made.run()
        made.tick()
        assert (made.stale(), made.shown()) == (set(), {})


def test_a_process_that_comes_back_by_itself_is_fresh_and_its_next_death_shows(pipeline):
    lamp = pipeline.home / "lamp"
    for _ in range(2):
        lamp.unlink()
        pipeline.tick()
        assert pipeline.stale() == {"endpoint"}
        write_text(lamp, "")
        pipeline.tick()
        assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def damage_bytes(file: Path) -> None:
    file.write_bytes(bytes(len(file.read_bytes())))


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-1])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("harm", [damage_bytes, remove, cut])
def test_a_damaged_artifact(pipeline, harm: Callable[[Path], Any]):
    pipeline.tick()  # it has been seen whole
    model = pipeline.watched.current("model")
    assert model is not None
    harm(model.file("model.json"))
    pipeline.tick()
    assert pipeline.shown() == pipeline.status()
    assert pipeline.shown()["model"] == "stored artifact damaged"
    pipeline.run()
    pipeline.tick()
    assert (pipeline.stale(), pipeline.shown()) == (set(), {})


def test_a_copied_home_is_whole(pipeline):
    for file in sorted((pipeline.home / "artifacts").rglob("*"), reverse=True):
        os.utime(file)
    assert pipeline.tick() == "nothing has changed"


def test_what_is_missing_is_told_in_words_and_the_rest_still_reported(tmp_path):
    settings = load_settings(None, None, [f"corpus.path={tmp_path / 'gone'}", "base_model=/no/such/model"], {})
    with dg.DagsterInstance.ephemeral() as instance:
        reason = look(instance, settings, WatchedStore(tmp_path / "home"), stages(settings)).skip_message
        reported = instance.get_latest_materialization_event(dg.AssetKey("tensorrt"))
    assert f"{tmp_path / 'gone'}: there is no such corpus folder" in reason
    assert "/no/such/model" in reason
    assert reported is not None


def test_a_stage_depends_on_what_it_names_and_its_names_cost_nothing():
    def fail(home: Path) -> str:
        raise AssertionError("it was looked at")

    costly = replace(toy.names, external=lambda settings: {"gold": fail, "something": fail})
    settings = load_settings(None, None, (), {})
    assert outside_keys(costly, settings) == ["gold_questions", "something"]
    assert outside_keys(endpoint, settings) == ["endpoint_process"]


def test_a_stage_that_looks_at_another_corpus_has_an_asset_of_its_own_for_it(tmp_path):
    def elsewhere(settings: Settings) -> Settings:
        corpus = settings.corpus.model_copy(update={"path": tmp_path / "other" / "corpus"})
        return settings.model_copy(update={"corpus": corpus})

    (tmp_path / "other").mkdir()
    toy.corpus_of(tmp_path, "ann")
    toy.corpus_of(tmp_path / "other", "bob")
    variant, unnamed = (replace(toy.names, name=name, derive=elsewhere) for name in ("contracts__names", "other"))
    settings = toy.settings_of(tmp_path)
    graph = {one.name: one for one in (toy.names, variant, unnamed)}
    assert outside_keys(toy.names, settings) == ["corpus_folder"]
    assert outside_keys(variant, settings) == ["contracts__corpus_folder"]
    (hashed,) = outside_keys(unnamed, settings)
    with dg.DagsterInstance.ephemeral() as instance:
        found = report_outside(instance, settings, Store(tmp_path / "home"), graph)
    assert found.versions["corpus_folder"] != found.versions["contracts__corpus_folder"] == found.versions[hashed]
    assert {spec.key.to_user_string() for spec in outside_assets(graph, settings)} == set(found.versions)


MEASURING = ("base_metrics", "metrics", "endpoint_metrics", "report")


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        ((), {}),
        (("eval.gold=/g",), dict.fromkeys(MEASURING, frozenset({"gold_questions"}))),
        (('eval.gold_sets={"a": "/g"}',), dict.fromkeys(MEASURING, frozenset({"gold_sets"}))),
        (("eval.query_log=/g",), {"metrics": {"query_log"}}),
        (("eval.general=/g",), {name: {"general_questions"} for name in ("base_metrics", "metrics", "report")}),
        (("sdg.import_from=/q",), {"qa_candidates": {"imported_questions"}}),
        (
            (
                "sdg.import_from=/q",
                "sdg.also_generate=true",
                "sdg.llm.base_url=http://localhost:1/v1",
                "sdg.llm.model=m",
            ),
            {"qa_candidates": {"imported_questions", "prompts", "base_model"}},
        ),
        (
            ("sdg.llm.base_url=http://localhost:1/v1", "sdg.llm.model=m"),
            {"qa_candidates": {"prompts", "base_model"}},
        ),
        (("prep.denoise=cross_encoder", "prep.cross_encoder=/c"), {"mined_negatives": {"cross_encoder"}}),
        (("finetune.objective=kl", "finetune.teacher=/t"), {"checkpoint": {"teacher"}}),
        (("finetune.distillation_weight=1", "finetune.teacher=http://localhost:1/v1"), {"checkpoint": {"teacher"}}),
    ],
)
def test_the_settings_decide_what_is_looked_at(overrides, more):
    plain, settings = load_settings(None, None, (), {}), load_settings(None, None, overrides, {})
    before, after = stages(plain), stages(settings)
    gained = {
        name: set(outside_keys(after[name], settings)) - set(outside_keys(before[name], plain)) for name in before
    }
    assert {name: keys for name, keys in gained.items() if keys} == more


def test_a_tick_of_the_whole_graph_loads_no_heavy_library(tmp_path):
    toy.corpus_of(tmp_path)
    script = f"""
import json, sys, time
import dagster as dg
from pathlib import Path
from embed_pipeline.defs.up_to_date import look
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.watched import WatchedStore
settings = load_settings(None, None, ["corpus.path={tmp_path / "corpus"}"], {{}})
graph, store = stages(settings), WatchedStore(Path({str(tmp_path / "home")!r}))
with dg.DagsterInstance.ephemeral() as instance:
    look(instance, settings, store, graph)
    began = time.process_time()
    assert look(instance, settings, store, graph).skip_message == "nothing has changed"
print(json.dumps([time.process_time() - began, sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    assert seconds < 1  # of processor time
    assert {"torch", "transformers", "faiss", "onnxruntime", "pandas", "scipy", "matplotlib"} & set(modules) == set()
