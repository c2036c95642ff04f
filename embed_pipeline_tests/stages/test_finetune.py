"""The stage of the checkpoint: what an endpoint as teacher costs, what is kept of it, and what is refused before."""

from dataclasses import asdict

import polars as pl
import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.embeddings import encoders_in_use
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.embeddings_server import TOKENS, embeddings_server
from embed_pipeline_tests.finetune.build import rows, tiny_model

SMALL = (
    *("encoder.max_query_length=16", "encoder.max_passage_length=32"),
    *("finetune.epochs=1", "finetune.batch_size=16", "finetune.warmup_steps=1", "finetune.learning_rate=0.001"),
)


def settings_with(base, *overrides: str):
    return load_settings(None, None, [f"base_model={base}", *SMALL, *overrides], {})


def trained(home, settings, force=False):
    """Run the asset on 32 rows."""
    store = Store(home)

    @stage(group="x", version="1", storage="table")
    def training_set(run: StageRun) -> None:
        """Rows of a test."""
        run.write_table(pl.DataFrame([asdict(row) for row in rows(32)]))

    given = run_stage(training_set, settings, store, {}, force=True).artifact
    with reporting(SilentReporter()):
        done = run_stage(stages(settings)["checkpoint"], settings, store, {"training_set": given}, force)
    store.point(done.artifact, done.key, done.outcome, done.seconds)
    return done


def test_what_an_endpoint_costs_is_told_and_its_vectors_are_kept(tmp_path):
    tiny_model(tmp_path / "base")
    texts = len({text for row in rows(32) for text in (row.positive, *row.negatives)}) + 32
    with embeddings_server() as server:
        teacher = (f"finetune.teacher={server.url}#words", "finetune.distillation_weight=0.5")
        settings = settings_with(tmp_path / "base", *teacher)
        done = trained(tmp_path / "home", settings)
        assert done.outcome == "computed"
        cost = done.artifact.manifest().cost
        assert cost["prompt_tokens"] == TOKENS * (texts + 1)  # one asks for the length of a vector
        assert cost["requests"] == len(server.asked)
        folders = {path.name for path in (tmp_path / "home" / "cache" / "embeddings").iterdir()}
        assert folders <= encoders_in_use(settings)([done.artifact]), "gc would remove what was paid for"
        sent = len(server.asked)
        assert trained(tmp_path / "home", settings).outcome == "reused"
        other = settings_with(tmp_path / "base", *teacher, "finetune.temperature=0.1")
        assert trained(tmp_path / "home", other).outcome == "computed"
        assert len(server.asked) == sent + 1


def test_a_model_or_the_hybrid_as_teacher_costs_nothing_and_each_counts(tmp_path):
    tiny_model(tmp_path / "base")
    keys = set()
    for more in ((), ("finetune.teacher=hybrid", "finetune.distillation_weight=0.5"), ("finetune.lexical_share=0.3",)):
        done = trained(tmp_path / "home", settings_with(tmp_path / "base", *more))
        assert done.artifact.manifest().cost == {}
        keys.add(done.key)
    assert len(keys) == 3


@pytest.mark.parametrize(
    "looking",
    [
        ("finetune.teacher=hybrid", "finetune.distillation_weight=0.5"),
        ("finetune.lexical_share=0.3",),
        ("finetune.validate_on=hybrid",),
    ],
)
def test_how_words_are_compared_counts_where_a_training_looks_at_them(tmp_path, looking):
    tiny_model(tmp_path / "base")
    keys: dict[object, set[str]] = {}
    for words in (("eval.bm25.k1=0.9",), ("eval.bm25.k1=2",), ("eval.bm25.stemming=off",)):
        for more in ((), looking):
            settings = settings_with(tmp_path / "base", *more, *words)
            declared = stages(settings)["checkpoint"]
            key = declared.key(settings, {"training_set": "1"}, declared.outside(settings, tmp_path))
            keys.setdefault(more, set()).add(key)
    assert {more: len(found) for more, found in keys.items()} == {(): 1, looking: 3}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("finetune.base_weight=0 finetune.keep_layers=2", r"keep_layers is 2, but the base model has 2 layers"),
        ("finetune.distillation_weight=0.5", r"finetune\.teacher names no model"),
        ("finetune.teacher=hybrid", r"finetune\.distillation_weight above 0"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_computed(tmp_path, override, said):
    tiny_model(tmp_path / "base")
    settings = settings_with(tmp_path / "base", *override.split())
    with pytest.raises(SettingsError, match=said):
        stages(settings)["checkpoint"].outside(settings, tmp_path)


def test_a_student_is_the_model_of_the_asset(tmp_path):
    tiny_model(tmp_path / "base")
    done = trained(
        tmp_path / "home", settings_with(tmp_path / "base", "finetune.keep_layers=1", "finetune.base_weight=0")
    )
    assert '"num_hidden_layers": 1' in (done.artifact.path / "config.json").read_text("utf-8")
