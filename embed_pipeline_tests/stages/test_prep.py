"""The stages of prep on stored tables, as the graph runs them."""

from dataclasses import replace

import polars as pl
import pytest

from embed_pipeline.errors import ModelAccessError
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages import prep
from embed_pipeline.stages.declare import StageRun, no_external, stage
from embed_pipeline.stages.graph import STAGES
from embed_pipeline.stages.run import StageResult, run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.finetune.build import tiny_cross_encoder, tiny_model
from embed_pipeline_tests.prep.build import WordEncoder, corpus, grouped

SPLITS = replace(prep.splits, external=no_external)  # without the base model


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(StageRun, "base_encoder", lambda _: WordEncoder())
    return tmp_path / "home"


def stored(store: Store, name: str, table: pl.DataFrame) -> Artifact:
    """An artifact of this table under this name."""

    def compute(run: StageRun) -> None:
        """Content of a test."""
        run.write_table(table)

    compute.__name__ = name
    declared = stage(group="x", version="1", storage="table")(compute)
    return run_stage(declared, load_settings(None, None, (), {}), store, {}, force=True).artifact


def split(home, documents: int, *overrides: str, force: bool = False) -> StageResult:
    """Run the splits stage on a corpus of so many documents, as a new process would."""
    store, (pairs, passages) = Store(home), corpus(documents)
    tables = {"qa_pairs": pairs, "passages": passages, "documents": grouped(passages, {})}
    inputs = {name: stored(store, name, table) for name, table in tables.items()}
    done = run_stage(SPLITS, load_settings(None, None, overrides, {}), store, inputs, force)
    store.point(done.artifact, done.key, done.outcome, done.seconds)
    return done


def placed(done: StageResult) -> dict[str, str]:
    return dict(done.artifact.frame().filter(item_type="document").select("item_id", "split").iter_rows())


@pytest.mark.parametrize(("labels", "said"), [(0, "is not a cross-encoder"), (3, "has 3 outputs")])
def test_what_cannot_denoise_is_refused_when_a_run_is_planned(tmp_path, labels, said):
    folder = tmp_path / "model"
    name = tiny_cross_encoder(folder, labels) if labels else tiny_model(folder).model
    settings = load_settings(None, None, ["prep.denoise=cross_encoder", f"prep.cross_encoder={name}"], {})
    with pytest.raises(ModelAccessError, match=said):
        STAGES["mined_negatives"].outside(settings, tmp_path)


def test_a_grown_corpus_keeps_the_splits_in_use(home, tmp_path):
    first, second = split(home, 60), split(home, 90)
    assert (first.outcome, second.outcome) == ("computed", "computed")
    assert placed(second).items() > placed(first).items()
    assert second.artifact.manifest().summary["documents_moved"] == 0
    fresh = split(tmp_path / "other", 90)
    assert second.key == fresh.key  # what was before is not part of it
    assert placed(fresh) != placed(second)
    assert split(home, 90, force=True).artifact.version == second.artifact.version
    assert split(home, 60).outcome == "reused"


@pytest.mark.parametrize("change", ["prep.seed=7", "prep.train_ratio=0.7 prep.validation_ratio=0.2"])
def test_another_seed_or_ratio_starts_afresh(home, tmp_path, change):
    split(home, 60)
    again, fresh = split(home, 90, *change.split()), split(tmp_path / "other", 90, *change.split())
    assert again.artifact.version == fresh.artifact.version


def test_a_damaged_artifact_is_not_taken_over(home, tmp_path):
    first = split(home, 60)
    table = first.artifact.file("table.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    assert split(home, 90).artifact.version == split(tmp_path / "other", 90).artifact.version


def test_the_ui_shows_questions_by_split(home):
    manifest = split(home, 60).artifact.manifest()
    assert manifest.summary["test_questions"] == 12
    assert "| all | 96 (80.0 %) | 12 (10.0 %) | 12 (10.0 %) | 120 |" in manifest.charts["questions by query type"]
    assert "| 1 | 96 (80.0 %)" in manifest.charts["questions by hops"]


def test_the_benchmark_reads_each_table_once(home, monkeypatch):
    done = split(home, 40)
    store, (pairs, passages) = Store(home), corpus(40)
    given = {"splits": done.artifact, "qa_pairs": stored(store, "qa_pairs", pairs)}
    given |= {"passages": stored(store, "passages", passages), "documents": stored(store, "documents", passages)}
    read: list[str] = []
    plain = Artifact.frame

    def noted(one: Artifact, name: str = "table") -> pl.DataFrame:
        read.append(one.asset)
        return plain(one, name)

    monkeypatch.setattr(Artifact, "frame", noted)
    declared = replace(prep.beir_benchmark, external=no_external)
    run_stage(declared, load_settings(None, None, (), {}), store, given, force=True)
    assert sorted(read) == ["passages", "qa_pairs", "splits"]
