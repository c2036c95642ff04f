"""Blocking checks: what must hold before anything downstream runs."""

from pathlib import Path

import dagster as dg

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import cached_encoder
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Artifact

SHOWN = 5


@dg.asset_check(asset="documents", blocking=True)
def corpus_not_empty(documents: Artifact) -> dg.AssetCheckResult:
    """At least one document has text."""
    return _result(
        documents.frame().height > 0, "the corpus has no readable document", documents=documents.frame().height
    )


def _also(*assets: str) -> dict[str, dg.AssetIn]:
    """Inputs of a check besides the asset it is about."""
    return {asset: dg.AssetIn(asset) for asset in assets}


def _negatives_check(asset: str, settings: Settings) -> dg.AssetChecksDefinition:
    """The same for every round of mining; Dagster gives the parameter that is no additional input the asset itself."""

    @dg.asset_check(asset=asset, blocking=True, additional_ins=_also("qa_pairs", "passages", "splits"))
    def negatives_sane(
        pipeline: PipelineResource, mined_negatives: Artifact, qa_pairs: Artifact, passages: Artifact, splits: Artifact
    ) -> dg.AssetCheckResult:
        """Never a positive, a near-duplicate, a held-out or a rejected passage; margins and scores as stored."""
        from embed_pipeline.prep.mining.check import check_negatives

        mined, audit, chosen = (
            mined_negatives.frame(),
            mined_negatives.frame("rejected"),
            pipeline.settings(settings).prep,
        )
        broken = check_negatives(mined, qa_pairs.frame(), passages.frame(), splits.frame(), audit, chosen)
        return _result(not broken, f"{len(broken)} broken: {'; '.join(broken[:SHOWN])}", broken=len(broken))

    return negatives_sane


@dg.asset_check(asset="endpoint_metrics", blocking=True)
def endpoint_within_tolerance(endpoint_metrics: Artifact) -> dg.AssetCheckResult:
    """Every metric through the endpoint is within tolerance of the checkpoint's."""
    frame = endpoint_metrics.frame()
    outside = frame.filter(~frame["within_tolerance"])
    shown = "; ".join(
        f"{test_set} {metric} {delta:+.4f}"
        for test_set, metric, delta in outside.select("test_set", "metric", "delta").head(SHOWN).iter_rows()
    )
    return _result(outside.height == 0, f"{outside.height} metrics outside tolerance: {shown}", outside=outside.height)


def _leak_check(settings: Settings, home: Path) -> dg.AssetChecksDefinition:
    """The question vectors come from the cache that the splits filled."""

    @dg.asset_check(asset="splits", blocking=True, additional_ins=_also("qa_pairs", "passages", "documents"))
    def no_leakage(
        pipeline: PipelineResource, splits: Artifact, qa_pairs: Artifact, passages: Artifact, documents: Artifact
    ) -> dg.AssetCheckResult:
        """No passage or question of test or validation, and no near-duplicate of one or of a document, is in train."""
        from embed_pipeline.encoders.base_model import base_encoder_spec
        from embed_pipeline.prep.splits.leakage import find_leaks

        chosen = pipeline.settings(settings)
        encoder = cached_encoder(home, chosen, base_encoder_spec(chosen.base_model, chosen.encoder))
        texts = documents.scan().select("doc_id", "group_id", "text").collect()
        threshold = chosen.corpus.near_duplicate_threshold
        leaks = find_leaks(qa_pairs.frame(), passages.frame(), splits.frame(), encoder, texts, threshold)
        shown = "; ".join(f"{kind}: {train} ~ {held}" for kind, train, held in leaks.head(SHOWN).iter_rows())
        return _result(leaks.height == 0, f"{leaks.height} leaks between the splits: {shown}", leaks=leaks.height)

    return no_leakage


def build_checks(settings: Settings, home: Path) -> list[dg.AssetChecksDefinition]:
    """Every check; four of them measure by these settings, one reads the cache of embeddings in ``home``."""

    @dg.asset_check(asset="qa_pairs", blocking=True)
    def enough_questions(pipeline: PipelineResource, qa_pairs: Artifact) -> dg.AssetCheckResult:
        """At least sdg.min_questions questions are left."""
        least = pipeline.settings(settings).sdg.min_questions
        count = qa_pairs.frame().height
        why = (
            f"only {count} questions passed the filters, sdg.min_questions is {least}: add documents, or lower it; "
            "embed-pipeline show qa_pairs tells what was rejected and why"
        )
        return _result(count >= least, why, questions=count)

    @dg.asset_check(asset="metrics", blocking=True)
    def verdict(pipeline: PipelineResource, metrics: Artifact) -> dg.AssetCheckResult:
        """The tuned model is not significantly worse; significantly better, if deploy.block_on_no_gain asks for it."""
        outcome = metrics.json("summary")["verdict"]
        strict = pipeline.settings(settings).deploy.block_on_no_gain
        refused = outcome == "regress" or (strict and outcome == "no_gain")
        return _result(not refused, f"the verdict is {outcome}: nothing is exported or deployed", verdict=outcome)

    @dg.asset_check(asset="onnx_model", blocking=True)
    def onnx_equals_checkpoint(pipeline: PipelineResource, onnx_model: Artifact) -> dg.AssetCheckResult:
        """Lowest cosine between graph and checkpoint, over several batch sizes and lengths."""
        least = pipeline.settings(settings).export.min_cosine
        lowest = float(onnx_model.json("parity")["lowest_cosine"])
        return _result(
            lowest >= least, f"lowest cosine {lowest:.6f} is under export.min_cosine {least}", lowest_cosine=lowest
        )

    measured = [_leak_check(settings, home), enough_questions, verdict, onnx_equals_checkpoint]
    mined = [_negatives_check(name, settings) for name in stages(settings) if name.startswith("mined_negatives")]
    return [corpus_not_empty, endpoint_within_tolerance, *mined, *measured]


def _result(passed: bool, why_not: str, **figures: float | str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, description=None if passed else why_not, metadata=dict(figures))
