"""variant_comparison: the main settings and every variant in one table."""

from collections.abc import Iterator, Mapping
from typing import Any

from embed_pipeline import tables
from embed_pipeline.files import sha256_json, write_text
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage, StageRun, Version, always_alive, never_moved
from embed_pipeline.stages.variants import MAIN, asset_in, differing
from embed_pipeline.store.artifacts import Artifact

COMPARISON = "variant_comparison"
COMPARED = ("documents", "passages", "qa_pairs", "beir_benchmark", "checkpoint", "metrics")
"""The assets that a row is made of."""


def comparison_stages(settings: Settings, graph: Mapping[str, Stage]) -> list[Stage]:
    """The comparison, where there is a variant."""
    if not settings.variants:
        return []
    parts = {one: compared_assets(one, graph) for one in (MAIN, *settings.variants)}
    inputs = tuple(dict.fromkeys(name for names in parts.values() for name in names.values()))

    def compute(run: StageRun, **given: Artifact) -> None:
        artifacts = {one: {part: given[name] for part, name in names.items()} for one, names in parts.items()}
        _write(run, [row for one, own in artifacts.items() for row in comparison_rows(one, run.settings, own)])

    return [
        Stage(
            name=COMPARISON,
            group="variants",
            version="1",
            compute=compute,
            inputs=inputs,
            after=(),
            settings=(),
            external=_declared,
            alive=always_alive,
            moved=never_moved,
            storage="table",
            schema=tables.VariantComparison,
            device="cpu",
            kinds=("parquet", "html"),
            description="The main settings and every variant side by side; only figures of one test set compare.",
            looks_at=("variants",),
        )
    ]


def compared_assets(variant: str, graph: Mapping[str, Stage]) -> dict[str, str]:
    """Part of a row -> the asset that holds it for a variant (or for ``main``)."""
    return {part: part if variant == MAIN else asset_in(variant, part, graph) for part in COMPARED}


def comparison_rows(variant: str, settings: Settings, parts: Mapping[str, Artifact]) -> Iterator[dict[str, Any]]:
    """One row (:class:`embed_pipeline.tables.VariantComparison`) for each test set of a variant, the deciding first.

    Args:
        parts: part -> artifact, as :data:`COMPARED` names them.
    """
    import polars as pl

    summary = parts["metrics"].json("summary")
    differs = {} if variant == MAIN else differing(settings, variant)
    common = {
        "variant": variant,
        "verdict": summary["verdict"],
        "documents": parts["documents"].scan().select(pl.len()).collect().item(),
        "questions": parts["qa_pairs"].scan().select(pl.len()).collect().item(),
        "training_seconds": parts["checkpoint"].manifest().seconds,
        "checkpoint": parts["checkpoint"].version[:12],
        "differs": ", ".join(f"{name}: {value}" for name, (_, value) in differs.items()),
    }
    for test_set, compared in summary["comparison"].items():
        ndcg, recall = compared["ndcg@10"], compared["recall@10"]
        yield common | {
            "test_set": test_set,
            "test_set_version": summary["test_set_versions"][test_set][:12],
            "base": ndcg["base"],
            "tuned": ndcg["tuned"],
            "delta": ndcg["delta"],
            "ci_low": ndcg["ci95"][0],
            "ci_high": ndcg["ci95"][1],
            "p": ndcg["p"],
            "recall_base": recall["base"],
            "recall_tuned": recall["tuned"],
        }


def _declared(settings: Settings) -> dict[str, Version]:
    """What the variants are, as the table tells."""
    declared = sha256_json(settings.model_dump(mode="json")["variants"])
    return {"variants": lambda _: declared}


def _write(run: StageRun, rows: list[dict[str, Any]]) -> None:
    import polars as pl

    from embed_pipeline.evaluation.variants import PAGE, TEXT, comparison_page, comparison_text

    frame = pl.DataFrame(rows, infer_schema_length=None)
    run.write_table(frame)
    write_text(run.folder / PAGE, comparison_page(rows))
    write_text(run.folder / TEXT, comparison_text(rows))
    run.summary |= {"variants": frame["variant"].n_unique() - 1, "test_sets": frame["test_set_version"].n_unique()}
    run.charts["variants"] = comparison_text(rows)
