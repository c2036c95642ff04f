"""The one cached-asset mechanism on a toy graph, without Dagster."""

import errno
import multiprocessing
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from embed_pipeline.errors import ArtifactError, DiskFullError, InputError, TrainingError
from embed_pipeline.files import sha256_file, write_json, write_text
from embed_pipeline.progress import reporting
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.plan import describe_plan, make_plan
from embed_pipeline.stages.run import StageResult, announce, run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.tables import Splits


def corpus_file(settings: Settings) -> Path:
    assert settings.corpus.folder is not None
    return settings.corpus.folder / "words.txt"


def corpus_hash(settings: Settings) -> dict[str, Version]:
    return {"corpus": lambda _: sha256_file(corpus_file(settings))}


def switched_on(artifact: Artifact, settings: Settings, home: Path) -> bool:
    return (home / "on").exists()


CALLS: list[str] = []


@stage(group="corpus", version="1", storage="json", settings=("corpus.passage_tokens",), external=corpus_hash)
def words(run: StageRun) -> None:
    """The words of the corpus, sorted."""
    CALLS.append("words")
    found = sorted(set(corpus_file(run.settings).read_text().split()))
    if "bad" in found:
        write_text(run.folder / "half.json", "half")
        raise InputError("words.txt: holds a bad word.")
    write_json(run.folder / "words.json", found)
    run.summary["words"] = len(found)


@stage(group="finetune", version="3", storage="json", settings=("finetune.epochs", "encoder"), device="gpu")
def model(run: StageRun, words: Artifact) -> None:
    """One line an epoch."""
    CALLS.append("model")
    write_json(run.folder / "model.json", [words.json("words")] * run.settings.finetune.epochs)
    run.cost["tokens"] = 5.0


@stage(group="export", version="1", storage="json")
def engine(run: StageRun, model: Artifact) -> None:
    """Never available here."""
    CALLS.append("engine")
    run.skip("no card")


@stage(group="deploy", version="1", storage="json", after=("engine",), alive=switched_on)
def endpoint(run: StageRun, model: Artifact, words: Artifact) -> None:
    """A lamp."""
    CALLS.append("endpoint")
    write_text(run.home / "on", "")
    write_json(run.folder / "endpoint.json", {"words": words.version, "model": model.version})


GRAPH = (words, model, engine, endpoint)


@pytest.fixture
def home(tmp_path):
    CALLS.clear()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "words.txt").write_text("b a")
    return tmp_path / "home"


def settings_of(home: Path, *overrides: str) -> Settings:
    return load_settings(None, None, [f"corpus.path={home.parent / 'corpus'}", *overrides], {})


def run_all(home: Path, *overrides: str, force: tuple[str, ...] = ()) -> dict[str, StageResult]:
    """A run of the whole graph by a new process, as far as the store can tell."""
    store, settings = Store(home), settings_of(home, *overrides)
    done: dict[str, StageResult] = {}
    for declared in GRAPH:
        inputs = {name: result.artifact for name, result in done.items()}
        result = run_stage(declared, settings, store, inputs, declared.name in force)
        store.point(result.artifact, result.key, result.outcome, result.seconds)
        done[declared.name] = result
    return done


def outcomes(done: dict[str, StageResult]) -> dict[str, str]:
    return {name: result.outcome for name, result in done.items()}


def plan(home: Path, *overrides: str, force: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Reasons of the stages that would be computed."""
    steps = make_plan(GRAPH, settings_of(home, *overrides), Store(home), force)
    assert all(bool(step.reasons) == (step.action == "compute") for step in steps.values())
    return {name: step.reasons for name, step in steps.items() if step.action == "compute"}


REUSED = {"words": "reused", "model": "reused", "engine": "skipped", "endpoint": "reused"}


def test_the_declaration_is_read_from_the_function():
    assert (words.name, words.inputs, model.inputs, endpoint.upstream) == (
        "words",
        (),
        ("words",),
        ("model", "words", "engine"),
    )
    assert model.description == "One line an epoch."


def test_a_first_run_computes_everything_and_a_second_one_nothing(home):
    assert plan(home) == {
        "words": ("never computed",),
        "model": ("follows words",),
        "engine": ("follows model",),
        "endpoint": ("follows model", "follows words"),
    }
    first = run_all(home)
    assert outcomes(first) == {"words": "computed", "model": "computed", "engine": "skipped", "endpoint": "computed"}
    assert CALLS == ["words", "model", "engine", "endpoint"]
    assert plan(home) == {}
    second = run_all(home)
    assert outcomes(second) == REUSED
    assert len(CALLS) == 4
    assert {name: one.artifact for name, one in second.items()} == {name: one.artifact for name, one in first.items()}


def test_a_setting_recomputes_its_stage_and_what_follows(home):
    run_all(home)
    assert plan(home, "finetune.epochs=2") == {
        "model": ("setting finetune.epochs changed",),
        "engine": ("follows model",),
        "endpoint": ("follows model",),
    }
    done = run_all(home, "finetune.epochs=2")
    assert outcomes(done) == {"words": "reused", "model": "computed", "engine": "skipped", "endpoint": "computed"}


def test_every_changed_setting_is_named_also_inside_a_section(home):
    run_all(home)
    reasons = plan(home, "finetune.epochs=2", "encoder.query_prompt=q: ", "encoder.batch_size=1")["model"]
    assert reasons == ("setting encoder.query_prompt changed", "setting finetune.epochs changed")


def test_a_setting_of_no_concern_recomputes_nothing(home):
    run_all(home)
    assert plan(home, "encoder.device=cuda", "finetune.seed=7", "deploy.port=9") == {}


def test_going_back_costs_nothing(home):
    first = run_all(home)
    run_all(home, "finetune.epochs=2")
    calls = len(CALLS)
    assert plan(home) == {}
    assert run_all(home)["model"].artifact == first["model"].artifact
    assert len(CALLS) == calls
    assert Store(home).current("model") == first["model"].artifact


def test_an_outside_change_is_named_and_recomputes_what_follows(home):
    run_all(home)
    (home.parent / "corpus" / "words.txt").write_text("a b c")
    assert plan(home)["words"] == ("corpus changed",)
    assert outcomes(run_all(home))["model"] == "computed"


def test_the_same_content_from_a_changed_input_stops_there(home):
    run_all(home)
    (home.parent / "corpus" / "words.txt").write_text("a  b a")
    assert plan(home)["model"] == ("follows words",)  # a plan cannot know that the content will be the same
    done = run_all(home)
    assert outcomes(done) == REUSED | {"words": "computed"}
    assert plan(home) == {}


def test_a_higher_stage_version_recomputes(home, monkeypatch):
    import dataclasses

    run_all(home)
    newer = dataclasses.replace(model, version="4")
    steps = make_plan((words, newer, engine, endpoint), settings_of(home), Store(home))
    assert steps["model"].reasons == ("stage version 3 -> 4",)


def test_an_input_that_changed_is_named_once_it_is_known(home):
    run_all(home)
    (home.parent / "corpus" / "words.txt").write_text("a b c")
    store, settings = Store(home), settings_of(home)
    result = run_stage(words, settings, store, {})
    store.point(result.artifact, result.key, result.outcome, result.seconds)
    assert plan(home) == {
        "model": ("input words changed",),
        "engine": ("follows model",),
        "endpoint": ("follows model",),
    }


def test_force_recomputes_and_the_same_content_is_the_same_version(home):
    first = run_all(home)
    assert plan(home, force=("model",)) == {
        "model": ("forced",),
        "engine": ("follows model",),
        "endpoint": ("follows model",),
    }
    done = run_all(home, force=("model",))
    assert outcomes(done) == REUSED | {"model": "computed"}
    assert done["model"].artifact == first["model"].artifact


def test_what_no_longer_runs_is_brought_back_without_touching_the_rest(home):
    first = run_all(home)
    (home / "on").unlink()
    steps = make_plan(GRAPH, settings_of(home), Store(home))
    assert plan(home) == {"endpoint": ("not running any more, or failed its last check",)}
    assert steps["endpoint"].version == first["endpoint"].artifact.version
    assert outcomes(run_all(home)) == REUSED | {"endpoint": "computed"}


def test_a_skipped_stage_is_remembered_with_its_reason(home):
    run_all(home)
    lines: list[str] = []

    class Listener:
        def message(self, text: str) -> None:
            lines.append(text)

    done = run_all(home)
    with reporting(Listener()):  # type: ignore[arg-type]
        for result in done.values():
            announce(result)
    assert lines[2].startswith("engine: skipped (no card)")
    assert lines[0].startswith("words: reused, words 2  [")


def test_a_failure_leaves_nothing_half_written_and_the_artifact_before(home):
    first = run_all(home)
    (home.parent / "corpus" / "words.txt").write_text("bad a")
    with pytest.raises(InputError, match="bad word"):
        run_all(home)
    store = Store(home)
    assert store.current("words") == first["words"].artifact
    assert {path.name for path in (home / "artifacts" / "words").iterdir()} == {
        first["words"].artifact.version,
        "keys",
        "current.json",
    }
    assert not list(home.rglob("half.json"))
    (home.parent / "corpus" / "words.txt").write_text("b a")
    assert outcomes(run_all(home)) == REUSED


def test_a_damaged_artifact_is_recomputed_and_its_followers_reused(home):
    first = run_all(home)
    (first["model"].artifact.path / "model.json").write_text("[]")
    assert plan(home)["model"] == ("stored artifact damaged",)
    assert outcomes(run_all(home)) == REUSED | {"model": "computed"}
    assert first["model"].artifact.json("model") == [["a", "b"]]


def test_a_removed_artifact_is_recomputed(home):
    first = run_all(home)
    shutil.rmtree(first["words"].artifact.folder)
    assert plan(home)["words"] == ("stored artifact damaged",)
    assert outcomes(run_all(home)) == REUSED | {"words": "computed"}


def test_the_manifest_tells_how_the_artifact_came_to_be(home):
    done = run_all(home, "finetune.epochs=2")
    manifest = done["model"].artifact.manifest()
    assert manifest.settings["finetune.epochs"] == 2
    assert "device" not in manifest.settings["encoder"]
    assert manifest.inputs == {"words": done["words"].artifact.version}
    assert (manifest.device, manifest.cost, manifest.stage_version) == ("gpu", {"tokens": 5.0}, "3")
    assert manifest.libraries["polars"] == pl.__version__
    assert done["words"].artifact.manifest().external == words.outside(settings_of(home), home)


def test_a_plan_in_one_line(home):
    steps = make_plan(GRAPH, settings_of(home), Store(home))
    assert describe_plan(steps) == "4 of 4 assets to compute: words, model, engine, endpoint"
    run_all(home)
    steps = make_plan(GRAPH, settings_of(home), Store(home))
    assert describe_plan(steps) == "nothing to do: all 4 assets are up to date"


def test_planning_changes_nothing(home):
    run_all(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    plan(home, "finetune.epochs=2", force=("words",))
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_table_that_breaks_its_schema_is_refused_before_it_is_stored(home):
    @stage(group="prep", version="1", storage="table", schema=Splits)
    def splits(run: StageRun) -> None:
        """A table with an unknown split."""
        row = {"item_type": "document", "item_id": "a", "component": "a", "split": "holdout"}
        run.write_table(pl.DataFrame([row]))

    with pytest.raises(ArtifactError, match="Splits"):
        run_stage(splits, settings_of(home), Store(home), {})
    assert Store(home).current("splits") is None
    assert not list(home.rglob("*.parquet"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        pl.exceptions.ComputeError("underlying IO error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_plainly_and_nothing_remains(home, error):
    @stage(group="prep", version="1", storage="json")
    def large(run: StageRun) -> None:
        """Too much."""
        write_text(run.folder / "part.json", "x")
        raise error

    with pytest.raises(DiskFullError, match="large"):
        run_stage(large, settings_of(home), Store(home), {})
    assert not list(home.rglob("part.json"))


def test_a_really_full_disk(tmp_path, home):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")

    @stage(group="prep", version="1", storage="table")
    def large(run: StageRun) -> None:
        """More than fits."""
        run.write_table(pl.DataFrame({"a": range(run.settings.finetune.epochs * 100_000)}))

    try:
        small = Store(disk / "home")
        with pytest.raises(DiskFullError, match="no space left"):
            run_stage(large, settings_of(home, "finetune.epochs=50"), small, {})
        assert not list(disk.rglob("*.parquet"))
        assert not list(disk.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_other_errors_pass_as_they_are(home):
    @stage(group="prep", version="1", storage="json")
    def broken(run: StageRun) -> None:
        """Fails."""
        raise TrainingError("loss is NaN at step 3.") from OSError(errno.EACCES, "unrelated")

    with pytest.raises(TrainingError, match="NaN"):
        run_stage(broken, settings_of(home), Store(home), {})


@stage(group="prep", version="1", storage="json")
def slow(run: StageRun) -> None:
    """Takes a while and counts its runs."""
    with (run.home / "runs.txt").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    write_json(run.folder / "slow.json", 1)


def run_slow(home: Path) -> None:
    settings = load_settings(None, None, (), {})
    for _ in range(2):
        run_stage(slow, settings, Store(home), {})


def test_two_processes_with_the_same_work_do_it_once(home):
    home.mkdir()
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    workers = [context.Process(target=run_slow, args=(home,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (home / "runs.txt").read_text() == "x"


@pytest.mark.parametrize("error", [TrainingError("no"), ValueError("broken"), KeyboardInterrupt()])
def test_a_failure_leaves_no_empty_scratch_behind(home, error):
    @stage(group="sdg", version="1", storage="json")
    def imported(run: StageRun) -> None:
        """Fails before it has written anything."""
        assert run.work.is_dir()
        raise error

    with pytest.raises(type(error)):
        run_stage(imported, settings_of(home), Store(home), {})
    assert list((home / "work").iterdir()) == []


def test_scratch_of_a_killed_stage_is_there_for_the_next_try_and_then_gone(home):
    @stage(group="finetune", version="1", storage="json")
    def training(run: StageRun) -> None:
        """Fails the first time, half way."""
        half = run.work / "half.json"
        if not half.exists():
            write_json(half, 1)
            raise TrainingError("interrupted")
        write_json(run.folder / "whole.json", 2)

    settings, store = settings_of(home), Store(home)
    with pytest.raises(TrainingError):
        run_stage(training, settings, store, {})
    assert run_stage(training, settings, store, {}).outcome == "computed"
    assert not list(home.rglob("half.json"))
