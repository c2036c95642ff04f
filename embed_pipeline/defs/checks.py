"""Blocking checks: what must hold before anything downstream runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.defs.run_record import refusal
from embed_pipeline.defs.steps import SETTINGS_OF_CHECK
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage, cached_encoder
from embed_pipeline.stages.graph import stages
from embed_pipeline.stages.variants import asset_in
from embed_pipeline.store.artifacts import Artifact
from embed_pipeline.store.names import plain_name, variant_of

SHOWN = 5

Examine = Callable[..., dg.AssetCheckResult]
"""A function of the settings of the run, the asset and the other assets it reads."""


@dataclass(frozen=True)
class Place:
    """Where checks stand: in the main graph, or in a variant.

    Attributes:
        base: the settings of the home.
        graph: every stage for them.
        variant: None for the main graph.
    """

    base: Settings
    graph: Mapping[str, Stage]
    variant: str | None = None

    def asset(self, name: str) -> str:
        """The asset that stands there for one of the main graph."""
        return name if self.variant is None else asset_in(self.variant, name, self.graph)

    def settings(self, asset: str, pipeline: PipelineResource) -> Settings:
        """The settings of this run for an asset."""
        return self.graph[asset].derive(pipeline.settings(self.base))

    def has(self, name: str) -> bool:
        """Whether the asset that stands there is its own, and not checked elsewhere."""
        found = self.asset(name)
        return found in self.graph and variant_of(found) == self.variant


def blocking_check(
    place: Place, asset: str, decided_by: Sequence[str] = (), inputs: Sequence[str] = (), blocking: bool = True
) -> Callable[[Examine], dg.AssetChecksDefinition]:
    """Make a check of a function, under its name.

    A refusal is the error of the step, in the words of the check. Of an experiment only that error is kept: what it
    evaluates is not what the home holds.

    Args:
        place: the graph it stands in.
        asset: the asset it is about, by its name in the main graph; so are ``inputs``.
        decided_by: dotted names of the settings that decide whether it passes; it is asked again when they change.
        inputs: other assets it reads.
        blocking: whether a refusal stops what follows; else it is a warning.
    """
    about, others = place.asset(asset), [place.asset(one) for one in inputs]
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN

    def declare(examine: Examine) -> dg.AssetChecksDefinition:
        name = examine.__name__
        metadata = {SETTINGS_OF_CHECK: list(decided_by)}
        words = examine.__doc__
        spec = dg.AssetCheckSpec(
            name, asset=about, blocking=blocking, description=words, metadata=metadata, additional_deps=others
        )

        @dg.multi_asset_check(
            name=f"{about}_{name}",
            specs=[spec],
            ins={one: dg.AssetIn(one) for one in (about, *others)},
            can_subset=True,  # which lets an experiment leave its evaluation out
        )
        def check(pipeline: PipelineResource, **artifacts: Artifact) -> Iterator[dg.AssetCheckResult]:
            read = [artifacts[one] for one in others]
            result = examine(place.settings(about, pipeline), artifacts[about], *read)
            if not pipeline.overrides:
                yield result._replace(severity=severity)
            if not result.passed and blocking:
                why = refusal(name, dg.AssetKey(about), result.description)
                raise dg.Failure(why, {"check": name, "exit_code": 1}, allow_retries=False)

        return check

    return declare


def build_checks(settings: Settings, home: Path) -> list[dg.AssetChecksDefinition]:
    """Every check, of the main graph and of what variants have of their own; one reads the embeddings in ``home``."""
    graph = stages(settings)
    places = [Place(settings, graph, variant) for variant in (None, *settings.variants)]
    return [check for place in places for check in _checks(place, home)]


def _checks(place: Place, home: Path) -> Iterator[dg.AssetChecksDefinition]:
    declared: dict[str, Callable[[Place], dg.AssetChecksDefinition]] = {
        "documents": _corpus_check,
        "qa_pairs": _questions_check,
        "splits": lambda place: _leak_check(place, home),
        "metrics": _verdict_check,
        "onnx_model": _onnx_check,
        "endpoint_metrics": _endpoint_check,
    }
    for asset, declare in declared.items():
        if place.has(asset):
            yield declare(place)
    if place.has("metrics"):
        yield _forgetting_check(place)
    for name in place.graph:
        if variant_of(name) == place.variant and plain_name(name).startswith("mined_negatives"):
            yield _negatives_check(place, plain_name(name))


def _corpus_check(place: Place) -> dg.AssetChecksDefinition:
    @blocking_check(place, "documents")
    def corpus_not_empty(chosen: Settings, documents: Artifact) -> dg.AssetCheckResult:
        """At least one document has text."""
        count = documents.frame().height
        return _result(count > 0, "the corpus has no readable document", documents=count)

    return corpus_not_empty


def _questions_check(place: Place) -> dg.AssetChecksDefinition:
    @blocking_check(place, "qa_pairs", ["sdg.min_questions"])
    def enough_questions(chosen: Settings, qa_pairs: Artifact) -> dg.AssetCheckResult:
        """At least sdg.min_questions questions are left."""
        least, count = chosen.sdg.min_questions, qa_pairs.frame().height
        why = (
            f"only {count} questions passed the filters, sdg.min_questions is {least}: add documents, or lower it; "
            f"embed-pipeline show {place.asset('qa_pairs')} tells what was rejected and why"
        )
        return _result(count >= least, why, questions=count)

    return enough_questions


def _verdict_check(place: Place) -> dg.AssetChecksDefinition:
    """Of a variant it is a warning: nothing is deployed of it, and it shall stand in the comparison."""

    @blocking_check(place, "metrics", ["deploy.block_on_no_gain"], blocking=place.variant is None)
    def verdict(chosen: Settings, metrics: Artifact) -> dg.AssetCheckResult:
        """The tuned model is not significantly worse; significantly better, if deploy.block_on_no_gain asks for it."""
        outcome = metrics.json("summary")["verdict"]
        refused = outcome == "regress" or (chosen.deploy.block_on_no_gain and outcome == "no_gain")
        return _result(not refused, f"the verdict is {outcome}: nothing is exported or deployed", verdict=outcome)

    return verdict


def _forgetting_check(place: Place) -> dg.AssetChecksDefinition:
    """Of a variant it is a warning, as the verdict is."""

    @blocking_check(place, "metrics", ["eval.max_forgetting"], blocking=place.variant is None)
    def not_forgotten(chosen: Settings, metrics: Artifact) -> dg.AssetCheckResult:
        """On general questions no more was lost than eval.max_forgetting allows, or not significantly."""
        found = metrics.json("summary")["forgetting"]
        why = f"{found['reason']}: nothing is exported or deployed. Train less (finetune.epochs, learning_rate)"
        return _result(not found["blocks"], why, relative=found["relative"])

    return not_forgotten


def _onnx_check(place: Place) -> dg.AssetChecksDefinition:
    @blocking_check(place, "onnx_model", ["export.min_cosine"])
    def onnx_equals_checkpoint(chosen: Settings, onnx_model: Artifact) -> dg.AssetCheckResult:
        """Lowest cosine between graph and checkpoint, over several batch sizes and lengths."""
        least, lowest = chosen.export.min_cosine, float(onnx_model.json("parity")["lowest_cosine"])
        why = f"lowest cosine {lowest:.6f} is under export.min_cosine {least}"
        return _result(lowest >= least, why, lowest_cosine=lowest)

    return onnx_equals_checkpoint


def _endpoint_check(place: Place) -> dg.AssetChecksDefinition:
    @blocking_check(place, "endpoint_metrics", ["deploy.tolerance", "deploy.tolerance_at_1"])
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

    return endpoint_within_tolerance


def _negatives_check(place: Place, asset: str) -> dg.AssetChecksDefinition:
    """The same for every round of mining."""

    @blocking_check(place, asset, ["prep"], inputs=["qa_pairs", "passages", "splits"])
    def negatives_sane(
        chosen: Settings, mined_negatives: Artifact, qa_pairs: Artifact, passages: Artifact, splits: Artifact
    ) -> dg.AssetCheckResult:
        """Never a positive, a near-duplicate, a held-out or a rejected passage; margins and scores as stored."""
        from embed_pipeline.prep.mining.check import check_negatives

        mined, audit = mined_negatives.frame(), mined_negatives.frame("rejected")
        broken = check_negatives(mined, qa_pairs.frame(), passages.frame(), splits.frame(), audit, chosen.prep)
        return _result(not broken, f"{len(broken)} broken: {'; '.join(broken[:SHOWN])}", broken=len(broken))

    return negatives_sane


def _leak_check(place: Place, home: Path) -> dg.AssetChecksDefinition:
    """The question vectors come from the cache that the splits filled."""
    decided_by = ["base_model", "encoder", "corpus.near_duplicate_threshold"]

    @blocking_check(place, "splits", decided_by, inputs=["qa_pairs", "passages", "documents"])
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
