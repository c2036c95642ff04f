"""Blocking checks: what must hold before anything downstream runs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.defs.run_record import refusal
from embed_pipeline.defs.steps import SETTINGS_OF_CHECK
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import cached_encoder
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Artifact

SHOWN = 5

Examine = Callable[..., dg.AssetCheckResult]
"""A function of the settings of the run, the asset and the other assets it reads."""


def blocking_check(
    base: Settings, asset: str, decided_by: Sequence[str] = (), inputs: Sequence[str] = ()
) -> Callable[[Examine], dg.AssetChecksDefinition]:
    """Make a check of a function, under its name.

    A refusal is the error of the step, in the words of the check. Of an experiment only that error is kept: what it
    evaluates is not what the home holds.

    Args:
        base: the settings of the home.
        asset: the asset it is about.
        decided_by: dotted names of the settings that decide whether it passes; it is asked again when they change.
        inputs: other assets it reads.
    """

    def declare(examine: Examine) -> dg.AssetChecksDefinition:
        name = examine.__name__
        metadata = {SETTINGS_OF_CHECK: list(decided_by)}
        about = examine.__doc__
        spec = dg.AssetCheckSpec(
            name, asset=asset, blocking=True, description=about, metadata=metadata, additional_deps=list(inputs)
        )

        @dg.multi_asset_check(
            name=f"{asset}_{name}",
            specs=[spec],
            ins={one: dg.AssetIn(one) for one in (asset, *inputs)},
            can_subset=True,  # which lets an experiment leave its evaluation out
        )
        def check(pipeline: PipelineResource, **artifacts: Artifact) -> Iterator[dg.AssetCheckResult]:
            others = [artifacts[one] for one in inputs]
            result = examine(pipeline.settings(base), artifacts[asset], *others)
            if not pipeline.overrides:
                yield result
            if not result.passed:
                why = refusal(name, dg.AssetKey(asset), result.description)
                raise dg.Failure(why, {"check": name, "exit_code": 1}, allow_retries=False)

        return check

    return declare


def build_checks(settings: Settings, home: Path) -> list[dg.AssetChecksDefinition]:
    """Every check; one of them reads the cache of embeddings in ``home``."""

    @blocking_check(settings, "documents")
    def corpus_not_empty(chosen: Settings, documents: Artifact) -> dg.AssetCheckResult:
        """At least one document has text."""
        count = documents.frame().height
        return _result(count > 0, "the corpus has no readable document", documents=count)

    @blocking_check(settings, "qa_pairs", ["sdg.min_questions"])
    def enough_questions(chosen: Settings, qa_pairs: Artifact) -> dg.AssetCheckResult:
        """At least sdg.min_questions questions are left."""
        least, count = chosen.sdg.min_questions, qa_pairs.frame().height
        why = (
            f"only {count} questions passed the filters, sdg.min_questions is {least}: add documents, or lower it; "
            "embed-pipeline show qa_pairs tells what was rejected and why"
        )
        return _result(count >= least, why, questions=count)

    @blocking_check(settings, "metrics", ["deploy.block_on_no_gain"])
    def verdict(chosen: Settings, metrics: Artifact) -> dg.AssetCheckResult:
        """The tuned model is not significantly worse; significantly better, if deploy.block_on_no_gain asks for it."""
        outcome = metrics.json("summary")["verdict"]
        refused = outcome == "regress" or (chosen.deploy.block_on_no_gain and outcome == "no_gain")
        return _result(not refused, f"the verdict is {outcome}: nothing is exported or deployed", verdict=outcome)

    @blocking_check(settings, "onnx_model", ["export.min_cosine"])
    def onnx_equals_checkpoint(chosen: Settings, onnx_model: Artifact) -> dg.AssetCheckResult:
        """Lowest cosine between graph and checkpoint, over several batch sizes and lengths."""
        least, lowest = chosen.export.min_cosine, float(onnx_model.json("parity")["lowest_cosine"])
        why = f"lowest cosine {lowest:.6f} is under export.min_cosine {least}"
        return _result(lowest >= least, why, lowest_cosine=lowest)

    @blocking_check(settings, "endpoint_metrics", ["deploy.tolerance", "deploy.tolerance_at_1"])
    def endpoint_within_tolerance(chosen: Settings, endpoint_metrics: Artifact) -> dg.AssetCheckResult:
        """Every metric through the endpoint is within tolerance of the checkpoint's."""
        frame = endpoint_metrics.frame()
        outside = frame.filter(~frame["within_tolerance"])
        shown = "; ".join(
            f"{test_set} {metric} {delta:+.4f}"
            for test_set, metric, delta in outside.select("test_set", "metric", "delta").head(SHOWN).iter_rows()
        )
        why = f"{outside.height} metrics outside tolerance: {shown}"
        return _result(outside.height == 0, why, outside=outside.height)

    mined = [_negatives_check(name, settings) for name in stages(settings) if name.startswith("mined_negatives")]
    others = [corpus_not_empty, enough_questions, verdict, onnx_equals_checkpoint, endpoint_within_tolerance]
    return [_leak_check(settings, home), *mined, *others]


def _negatives_check(asset: str, settings: Settings) -> dg.AssetChecksDefinition:
    """The same for every round of mining."""

    @blocking_check(settings, asset, ["prep"], inputs=["qa_pairs", "passages", "splits"])
    def negatives_sane(
        chosen: Settings, mined_negatives: Artifact, qa_pairs: Artifact, passages: Artifact, splits: Artifact
    ) -> dg.AssetCheckResult:
        """Never a positive, a near-duplicate, a held-out or a rejected passage; margins and scores as stored."""
        from embed_pipeline.prep.mining.check import check_negatives

        mined, audit = mined_negatives.frame(), mined_negatives.frame("rejected")
        broken = check_negatives(mined, qa_pairs.frame(), passages.frame(), splits.frame(), audit, chosen.prep)
        return _result(not broken, f"{len(broken)} broken: {'; '.join(broken[:SHOWN])}", broken=len(broken))

    return negatives_sane


def _leak_check(settings: Settings, home: Path) -> dg.AssetChecksDefinition:
    """The question vectors come from the cache that the splits filled."""
    decided_by = ["base_model", "encoder", "corpus.near_duplicate_threshold"]

    @blocking_check(settings, "splits", decided_by, inputs=["qa_pairs", "passages", "documents"])
    def no_leakage(
        chosen: Settings, splits: Artifact, qa_pairs: Artifact, passages: Artifact, documents: Artifact
    ) -> dg.AssetCheckResult:
        """No passage or question of test or validation, and no near-duplicate of one or of a document, is in train."""
        from embed_pipeline.encoders.base_model import base_encoder_spec
        from embed_pipeline.prep.splits.leakage import find_leaks

        encoder = cached_encoder(home, chosen, base_encoder_spec(chosen.base_model, chosen.encoder))
        texts = documents.scan().select("doc_id", "group_id", "text").collect()
        threshold = chosen.corpus.near_duplicate_threshold
        leaks = find_leaks(qa_pairs.frame(), passages.frame(), splits.frame(), encoder, texts, threshold)
        shown = "; ".join(f"{kind}: {train} ~ {held}" for kind, train, held in leaks.head(SHOWN).iter_rows())
        return _result(leaks.height == 0, f"{leaks.height} leaks between the splits: {shown}", leaks=leaks.height)

    return no_leakage


def _result(passed: bool, why_not: str, **figures: float | str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, description=None if passed else why_not, metadata=dict(figures))
