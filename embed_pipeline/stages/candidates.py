"""candidate_metrics: other models and endpoints, untrained, on the same test sets; only where there are candidates."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag

from embed_pipeline import charts, tables
from embed_pipeline.errors import EmbedPipelineError, ModelAccessError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.progress import say
from embed_pipeline.settings import EncoderSettings, Settings
from embed_pipeline.settings.addresses import is_address
from embed_pipeline.stages.declare import Stage, StageRun, Version, never_moved
from embed_pipeline.stages.embeddings import ENCODERS
from embed_pipeline.stages.inputs import (
    BASE_MODEL,
    GOLD,
    MEASURING,
    base_model_external,
    development_set,
    evaluated_sets,
    gold_external,
)
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    from embed_pipeline.encoders.spec import Encoder, EncoderSpec
    from embed_pipeline.evaluation.candidates import CandidateScores
    from embed_pipeline.records import RetrievalSet

NAME = "candidate_metrics"
SETTING = "eval.candidates"
SHOWN = (
    *("candidate", "test_set", "ndcg_at_10", "delta", "p_corrected", "fused_ndcg_at_10", "weight", "dimensions"),
    *("parameters", "MB", "max_tokens", "passages_per_second", "problem"),
)


def candidate_stages(settings: Settings) -> list[Stage]:
    """The asset that compares them; none where there are none."""
    if not settings.eval.candidates:
        return []
    return [
        Stage(
            name=NAME,
            group="eval",
            version="2",
            compute=candidate_metrics,
            inputs=("beir_benchmark", "passages", "base_metrics"),
            after=(),
            settings=MEASURING,
            external=candidates_external,
            looks_at=(SETTING, *GOLD, *BASE_MODEL),
            alive=all_measured,
            moved=never_moved,
            storage="table",
            schema=tables.CandidateMetrics,
            device="gpu",
            kinds=("beir", "parquet"),
            description="Other models and endpoints, untrained, on every test set: quality, size and speed.",
        )
    ]


def candidates_external(settings: Settings) -> dict[str, Version]:
    """The gold sets, the base model, and the candidates: models by content, endpoints by their address."""
    own = {"candidates": lambda _: _candidates_version(settings)}
    return gold_external(settings) | base_model_external(settings) | own


def all_measured(artifact: Artifact, settings: Settings, home: Path) -> bool:
    """What could not be measured is tried again."""
    return not artifact.manifest().summary.get("not_measured")


def candidate_metrics(run: StageRun, beir_benchmark: Artifact, passages: Artifact, base_metrics: Artifact) -> None:
    """Measure the base model and every candidate; one that fails is told and leaves the others their figures.

    Each is fused with BM25 at the weight that the questions of no test set choose for it, as the base model is.
    """
    from embed_pipeline.evaluation.candidates import candidate_table

    sets = evaluated_sets(run.settings, beir_benchmark, passages)
    base = run.settings.base_model
    names = [base, *(name for name in run.settings.eval.candidates if name != base)]
    weigh = _weighing(run.settings, development_set(run.settings, beir_benchmark, passages))
    found = [_measured(run, name, sets, base_metrics, weigh) for name in names]
    frame = candidate_table(sets, found, base_metrics.frame(), run.settings.eval)
    run.write_table(frame)
    write_json(run.folder / f"{ENCODERS}.json", {one.name: one.encoder for one in found if one.encoder is not None})
    failed = {one.name: one.problem for one in found if one.problem is not None}
    for problem in failed.values():
        say(f"{SETTING}: not measured: {problem}")
    first = frame.row(0, named=True)
    run.summary |= {"candidates": len(names) - 1, "best": first["candidate"], "not_measured": len(failed)}
    shown = frame.with_columns(MB=frame["bytes"] / 1e6)
    rows = [[_cell(row[name]) for name in SHOWN] for row in shown.iter_rows(named=True)]
    run.charts["candidates"] = charts.table(SHOWN, rows)


def _weighing(settings: Settings, development: "RetrievalSet | None") -> "Callable[[Encoder], float]":
    """Encoder -> its weight beside BM25, which is asked once for all of them."""
    from embed_pipeline.evaluation.fusion_weight import fusion_with
    from embed_pipeline.evaluation.lexical import found_by_words
    from embed_pipeline.evaluation.systems import depth

    sparse = None if development is None else found_by_words(development, settings.eval, depth(settings.eval))
    return lambda encoder: fusion_with(development, encoder, settings.eval, sparse).weight


def _measured(
    run: StageRun,
    name: str,
    sets: "list[RetrievalSet]",
    base_metrics: Artifact,
    weigh: "Callable[[Encoder], float]",
) -> "CandidateScores":
    from embed_pipeline.evaluation.candidates import CandidateScores, evaluate_candidate, passages_per_second
    from embed_pipeline.evaluation.runs import run_of
    from embed_pipeline.stages.eval import RUNS

    texts = list(sets[0].passages.values())
    runs = base_metrics.frame(RUNS)
    try:
        with _opened(run.settings, name) as (encoder, facts):
            facts["passages_per_second"] = passages_per_second(encoder, texts)
            remembering = _remembering(run.home, encoder)
            weight = weigh(remembering)
            dense, fused = evaluate_candidate(
                sets, remembering, lambda one: run_of(runs, one, "bm25"), run.settings.eval, weight
            )
            return CandidateScores(name, dense, fused, facts, encoder=encoder.spec.version(), weight=weight)
    except EmbedPipelineError as error:
        return CandidateScores(name, problem=str(error))


@contextmanager
def _opened(settings: Settings, name: str) -> "Iterator[tuple[Encoder, dict[str, Any]]]":
    """The encoder of a candidate, which remembers nothing, and what is known of it."""
    from embed_pipeline.encoders.model_facts import model_facts
    from embed_pipeline.encoders.openai_encoder import EmbeddingsApi, OpenAIEncoder
    from embed_pipeline.encoders.torch_encoder import TorchEncoder

    if is_address(name):
        url, model = urldefrag(name)
        _tell_host(url)
        key = os.environ.get(settings.eval.candidates_key_env, "").strip()
        with closing(EmbeddingsApi(url, key)) as api:
            remote = OpenAIEncoder(api, model or api.only_model())
            yield remote, {"dimensions": remote.spec.dimensions[0]}
        return
    spec = candidate_spec(settings, name)
    facts = model_facts(Path(spec.model))
    encoder = TorchEncoder.load(spec, settings.encoder.device, settings.encoder.batch_size)
    yield encoder, {"dimensions": spec.dimensions[0], **vars(facts)}


def _tell_host(url: str) -> None:
    from embed_pipeline.llm.endpoint import host_of

    say(f"passages and questions are sent to {host_of(url)} ({SETTING})")


def _remembering(home: Path, encoder: "Encoder") -> "Encoder":
    from embed_pipeline.encoders.cached_encoder import CachedEncoder

    return CachedEncoder(encoder.spec, lambda: encoder, home / "cache" / "embeddings")


def candidate_spec(settings: Settings, name: str) -> "EncoderSpec":
    """How a candidate encodes: as its own files say, cut at the lengths of ``encoder`` and at what it can take.

    Raises:
        ModelAccessError: see :func:`embed_pipeline.encoders.base_model.base_encoder_spec`.
    """
    from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model, read_config

    chosen = settings.encoder
    if name == settings.base_model:
        return base_encoder_spec(name, chosen)
    folder = find_base_model(name, setting=SETTING).path
    limit = int(read_config(folder / "config.json").get("max_position_embeddings") or 512)
    own = EncoderSettings(
        max_query_length=min(chosen.max_query_length, limit), max_passage_length=min(chosen.max_passage_length, limit)
    )
    return base_encoder_spec(name, own)


def _candidates_version(settings: Settings) -> str:
    return sha256_json([[name, _version(settings, name)] for name in settings.eval.candidates])


def _version(settings: Settings, name: str) -> str:
    """An endpoint is its address; a model that is not there is told when it is measured."""
    if is_address(name):
        return "address"
    try:
        return candidate_spec(settings, name).version()
    except ModelAccessError:
        return "missing"


def _cell(value: object) -> object:
    """Numbers as they are shown; nothing where nothing is known."""
    if value is None:
        return ""
    return (
        charts.escaped(value, 200) if isinstance(value, str) else round(value, 4) if isinstance(value, float) else value
    )
