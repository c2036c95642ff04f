"""deploy: the running release and its metrics."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from embed_pipeline import charts, tables
from embed_pipeline.files import write_json
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.inputs import (
    EVALUATED,
    GOLD,
    MEASURING,
    evaluated_external,
    evaluated_sets,
    gold_external,
    retrieval_sets,
)
from embed_pipeline.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    from embed_pipeline.deploy.protocol import Endpoint
    from embed_pipeline.encoders.spec import Encoder


def endpoint_alive(artifact: Artifact, settings: Settings, home: Path) -> bool:
    """Whether the release is the one served right now."""
    from embed_pipeline.deploy.targets import open_target

    facts: Endpoint = artifact.json("endpoint")
    return open_target(facts["target"], home, settings.deploy).is_serving(facts)


def endpoint_moved(artifact: Artifact, settings: Settings) -> str | None:
    """Its artifact names the address, which deploy.host and deploy.port may have changed since."""
    facts: Endpoint = artifact.json("endpoint")
    served, deploy = urlsplit(facts["url"]), settings.deploy
    if served.port != deploy.port:
        return "setting deploy.port changed"
    return "setting deploy.host changed" if facts["url"] != f"http://{deploy.host}:{deploy.port}" else None


@stage(
    group="deploy",
    version="1",
    storage="json",
    settings=("deploy.target", "deploy.model", "deploy.model_name", "deploy.host", "deploy.port"),
    after=("metrics", "tensorrt_engine"),
    alive=endpoint_alive,
    moved=endpoint_moved,
    kinds=("onnx", "http"),
)
def endpoint(run: StageRun, onnx_model: Artifact, onnx_int8_model: Artifact) -> None:
    """A running release: URL, release id, model version, target."""
    from embed_pipeline.deploy.targets import open_target
    from embed_pipeline.store.releases import create_release

    deploy = run.settings.deploy
    model = {"onnx": onnx_model, "onnx_int8": onnx_int8_model}[deploy.model]
    release = create_release(run.home, model.path, model.version, deploy.model_name)
    facts = open_target(deploy.target, run.home, deploy).deploy(release)
    write_json(run.folder / "endpoint.json", facts)
    run.summary |= facts


def tolerated(artifact: Artifact, settings: Settings, home: Path) -> bool:
    """A measurement that failed is made again rather than remembered."""
    return artifact.manifest().summary.get("outside_tolerance") == 0


@stage(
    group="deploy",
    version="1",
    storage="table",
    schema=tables.EndpointMetrics,
    settings=(*MEASURING, "deploy.tolerance", "deploy.tolerance_at_1"),
    external=gold_external,
    looks_at=GOLD,
    alive=tolerated,
    kinds=("beir", "parquet"),
)
def endpoint_metrics(
    run: StageRun,
    endpoint: Artifact,
    onnx_model: Artifact,
    metrics: Artifact,
    beir_benchmark: Artifact,
    passages: Artifact,
) -> None:
    """The same BEIR evaluation through the endpoint, compared with the checkpoint's; a bad release is rolled back."""
    from embed_pipeline.deploy.targets import open_target
    from embed_pipeline.encoders.cached_encoder import CachedEncoder
    from embed_pipeline.encoders.http_encoder import HttpEncoder
    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.evaluation.endpoint import evaluate_endpoint

    settings = run.settings
    facts: Endpoint = endpoint.json("endpoint")
    spec = EncoderSpec.load(onnx_model.path)
    with closing(HttpEncoder(facts["url"], facts["model"], spec)) as http:
        frame = evaluate_endpoint(
            retrieval_sets(settings, beir_benchmark, passages),
            CachedEncoder(spec, lambda: http, run.work / "vectors"),  # each text asked once
            metrics.frame("query_metrics"),
            settings.eval,
            settings.deploy.tolerance_at_1,
            settings.deploy.tolerance,
        )
    run.write_table(frame)
    outside = frame.filter(~frame["within_tolerance"]).height
    run.summary |= {
        "outside_tolerance": outside,
        "largest_delta": float(frame["delta"].abs().max() or 0.0),  # type: ignore[arg-type]
    }
    if outside:
        before = open_target(facts["target"], run.home, settings.deploy).roll_back(facts["release_id"])
        run.summary["rolled_back_to"] = before or "nothing: no earlier release"


@stage(
    group="deploy",
    version="1",
    storage="table",
    schema=tables.SystemMetrics,
    settings=MEASURING,
    external=evaluated_external,
    looks_at=EVALUATED,
    kinds=("html", "parquet"),
)
def report(
    run: StageRun,
    metrics: Artifact,
    base_metrics: Artifact,
    checkpoint: Artifact,
    onnx_int8_model: Artifact,
    endpoint_metrics: Artifact,
    beir_benchmark: Artifact,
    passages: Artifact,
) -> None:
    """report.html once more, with what was exported, what is served, and what it all took."""
    import polars as pl

    from embed_pipeline.evaluation.page import write_page
    from embed_pipeline.evaluation.report import markdown_table, svg_systems
    from embed_pipeline.evaluation.served import system_frame, with_endpoint, with_model
    from embed_pipeline.stages.about import about_work, with_disputed
    from embed_pipeline.stages.eval import DISPUTED

    sets = evaluated_sets(run.settings, beir_benchmark, passages)
    summary = metrics.json("summary")
    scores = pl.concat([base_metrics.frame(), metrics.frame("query_metrics")])
    int8 = _int8_encoder(run, onnx_int8_model)
    if int8 is not None:
        measured = [one for one in sets if one.kind != "general"]
        summary, scores = with_model(summary, scores, measured, "onnx_int8", int8, run.settings.eval)
    summary = with_endpoint(summary, endpoint_metrics.frame())
    run.write_table(system_frame(summary))
    runs = pl.concat([base_metrics.frame("runs"), metrics.frame("runs")])
    about = about_work(checkpoint, [metrics, endpoint_metrics], Store(run.home))
    if (metrics.path / DISPUTED).is_file():
        about = with_disputed(about, metrics.json("disputed"), passages)
    diagnosis = metrics.json("diagnosis")
    write_page(summary, metrics.frame(), scores, runs, sets, run.folder, about, diagnosis)
    run.summary |= {"verdict": summary["verdict"], "systems": len(next(iter(summary["test_sets"].values())))}
    run.charts["comparison"] = markdown_table(summary)
    run.charts["systems"] = charts.svg_markdown("systems", svg_systems(summary))


def _int8_encoder(run: StageRun, model: Artifact) -> "Encoder | None":
    """None where no INT8 model was exported."""
    from embed_pipeline.encoders.cached_encoder import CachedEncoder
    from embed_pipeline.encoders.onnx_encoder import OnnxEncoder
    from embed_pipeline.encoders.spec import SPEC_FILE, EncoderSpec

    if not (model.path / SPEC_FILE).is_file():
        return None
    spec = EncoderSpec.load(model.path)
    return CachedEncoder(spec, lambda: OnnxEncoder.load(model.path), run.work / "vectors")
