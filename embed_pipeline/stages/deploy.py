"""deploy: the running release and its metrics."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from embed_pipeline import tables
from embed_pipeline.files import write_json
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.inputs import GOLD, gold_external, retrieval_sets
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    from embed_pipeline.deploy.protocol import Endpoint


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
    settings=("eval", "deploy.tolerance", "deploy.tolerance_at_1"),
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
