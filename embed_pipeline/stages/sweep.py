"""sweep: trainings that differ in one setting, and the table that compares them."""

from collections.abc import Callable
from typing import Any

from embed_pipeline import charts, tables
from embed_pipeline.settings import FinetuneSettings, Settings
from embed_pipeline.stages.declare import Stage, StageRun
from embed_pipeline.stages.eval import read_base_evaluation
from embed_pipeline.stages.finetune import checkpoint
from embed_pipeline.stages.inputs import MEASURING, gold_external, retrieval_sets
from embed_pipeline.store.artifacts import Artifact

COMPARISON = "sweep_comparison"


def sweep_stages(settings: Settings) -> list[Stage]:
    """One checkpoint for each variant, and the comparison; none when the sweep is off."""
    from embed_pipeline.finetune.sweep import variants

    if not settings.sweep.enabled:
        return []
    chosen = variants(settings.finetune, settings.sweep)
    trained = [
        checkpoint.renamed(
            f"checkpoint_{name}", {}, group="sweep", derive=_with(changed), description=_about(settings, changed)
        )
        for name, changed in chosen.items()
    ]
    return [*trained, _comparison(chosen)]


def _with(changed: FinetuneSettings) -> Callable[[Settings], Settings]:
    def derive(settings: Settings) -> Settings:
        return settings.model_copy(update={"finetune": changed})

    return derive


def _about(settings: Settings, changed: FinetuneSettings) -> str:
    from embed_pipeline.finetune.sweep import differing

    told = ", ".join(f"{name} {value!r}" for name, value in differing(settings.finetune, changed).items())
    return f"The checkpoint, trained with {told}."


def _comparison(chosen: dict[str, FinetuneSettings]) -> Stage:
    from embed_pipeline.finetune.sweep import UNCHANGED

    names = {f"checkpoint_{name}": name for name in chosen}
    inputs = ("checkpoint", *names, "beir_benchmark", "base_metrics", "passages")

    def compute(run: StageRun, **given: Artifact) -> None:
        models = {"checkpoint": UNCHANGED, **names}
        _compare(run, {label: given[asset] for asset, label in models.items()}, given)

    return Stage(
        name=COMPARISON,
        group="sweep",
        version="3",
        compute=compute,
        inputs=inputs,
        after=(),
        settings=MEASURING,
        external=gold_external,
        alive=checkpoint.alive,
        moved=checkpoint.moved,
        storage="table",
        schema=tables.SweepComparison,
        device="gpu",
        kinds=("beir", "parquet"),
        description="The trainings side by side; chosen by validation, the test set only informs.",
    )


def _compare(run: StageRun, models: dict[str, Artifact], given: dict[str, Artifact]) -> None:
    import polars as pl

    from embed_pipeline.finetune.sweep import saturation, saturation_sentence, winner

    sets = retrieval_sets(run.settings, given["beir_benchmark"], given["passages"])[:1]  # gold, else synthetic
    rows = [_row(run, label, model, sets, given["base_metrics"]) for label, model in models.items()]
    highest = winner(rows)
    frame = pl.DataFrame([row | {"best": place == highest} for place, row in enumerate(rows)])
    run.write_table(frame)
    run.summary |= {"best": rows[highest]["variant"], "validation_ndcg_at_10": rows[highest]["validation"]}
    shown = ("variant", "learning_rate", "epochs", "training_share", "steps", "best_step", "validation", "test", "p")
    run.charts["sweep"] = charts.table(shown, [[row[name] for name in shown] for row in rows])
    run.charts["validation"] = charts.bars("validation", {row["variant"]: row["validation"] for row in rows}, "nDCG@10")
    points = saturation(rows)
    if points:
        curves = {name: [(row["training_share"], row[name]) for row in points] for name in ("validation", "test")}
        run.charts["saturation"] = charts.lines("saturation", curves, "share of the training questions", "nDCG@10")
        run.summary["saturation"] = saturation_sentence(points)


def _row(run: StageRun, label: str, model: Artifact, sets: list[Any], base_metrics: Artifact) -> dict[str, Any]:
    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.evaluation.evaluate import evaluate_tuned
    from embed_pipeline.finetune.sweep import course_of

    course, manifest = course_of(model.path), model.manifest()
    trained = manifest.settings["finetune"]
    encoder = run.encoder(EncoderSpec.load(model.path))
    compared = evaluate_tuned(sets, encoder, read_base_evaluation(base_metrics), run.settings.eval).summary[
        "comparison"
    ]
    (test_set,) = compared
    found = compared[test_set]["ndcg@10"]
    return {
        "variant": label,
        "asset": model.asset,
        "learning_rate": trained["learning_rate"],
        "epochs": trained["epochs"],
        "training_share": trained.get("training_share", 1.0),
        "steps": course["steps"],
        "best_step": course["best_step"],
        "final_loss": course["final_loss"],
        "seconds": manifest.seconds,
        "validation_base": course["base_validation"],
        "validation": course["best_validation"],
        "test_set": test_set,
        "test_base": found["base"],
        "test": found["tuned"],
        "ci_low": found["ci95"][0],
        "ci_high": found["ci95"][1],
        "p": found["p"],
    }
