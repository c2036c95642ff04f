"""eval: base model, BM25, hybrid; tuned against base; the verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline import charts, tables
from embed_pipeline.errors import InputError
from embed_pipeline.files import remembered_sha256, write_json
from embed_pipeline.progress import say
from embed_pipeline.settings import Settings
from embed_pipeline.stages.about import about_model, with_disputed
from embed_pipeline.stages.declare import StageRun, Version, stage
from embed_pipeline.stages.inputs import (
    BASE_MODEL,
    EVALUATED,
    MEASURING,
    QUERY_LOG,
    base_model_external,
    development_set,
    evaluated_external,
    evaluated_sets,
    offline_questions,
    passages_alone,
    tell_unseen,
)
from embed_pipeline.stages.moved_judgements import tell_moved
from embed_pipeline.store.artifacts import Artifact, Store

if TYPE_CHECKING:
    import polars as pl

    from embed_pipeline.encoders.spec import Encoder
    from embed_pipeline.evaluation.evaluate import BaseEvaluation
    from embed_pipeline.evaluation.query_log import QueryLog
    from embed_pipeline.evaluation.trust import Trust
    from embed_pipeline.records import RetrievalSet

RUNS = "runs"
FUSION = "fusion.json"
DISPUTED = "disputed.json"
DIAGNOSIS = "diagnosis.json"


def base_evaluation_external(settings: Settings) -> dict[str, Version]:
    """The gold set and the base model."""
    return evaluated_external(settings) | base_model_external(settings)


def measured_external(settings: Settings) -> dict[str, Version]:
    """The gold sets, general questions, and the log of queries."""
    log = settings.eval.query_log
    return evaluated_external(settings) | ({} if log is None else {"query_log": lambda _: _log_version(log)})


def _log_version(path: Path) -> str:
    try:
        return remembered_sha256(path.expanduser())
    except OSError as error:
        raise InputError(f"eval.query_log {path}: cannot be read: {error.strerror or error}.") from None


def read_base_evaluation(base_metrics: Artifact) -> "BaseEvaluation":
    """What ``base_metrics`` stored."""
    from embed_pipeline.evaluation.evaluate import BaseEvaluation
    from embed_pipeline.evaluation.fusion_weight import FusionWeight

    return BaseEvaluation(base_metrics.frame(), base_metrics.frame(RUNS), FusionWeight(**base_metrics.json("fusion")))


def told_gold(
    run: StageRun, sets: "list[RetrievalSet]", passages: Artifact, training_set: Artifact
) -> "tuple[list[RetrievalSet], dict[str, int]]":
    """Say and count what of each gold set was trained on; it gets a slice of those questions."""
    from embed_pipeline.prep.splits.gold_overlap import gold_overlap

    shown: list[RetrievalSet] = []
    counted: dict[str, int] = {}
    for one in sets:
        if one.kind != "gold":
            shown.append(one)
            continue
        threshold = run.settings.corpus.near_duplicate_threshold
        found = gold_overlap(one, training_set.frame(), passages.frame(), run.base_encoder(), threshold)
        counted |= found.summary()
        for line in found.lines():
            say(line)
        shown.append(found.sliced())
    return shown, counted


def tell_language(run: StageRun, passages: Artifact) -> None:
    """Warn, in the log and in the summary, where the base model was not made for the language of the corpus."""
    from embed_pipeline.encoders.languages import language_warning

    frame = passages.frame()
    folder = Path(run.base_encoder().spec.model)
    warning = language_warning(run.settings.base_model, folder, frame["language"].to_list(), frame["text"].to_list())
    if warning is not None:
        say(f"warning: {warning}")
        run.summary["warning"] = warning


@stage(
    group="eval",
    version="5",
    storage="table",
    schema=tables.QueryMetrics,
    settings=MEASURING,
    external=base_evaluation_external,
    looks_at=(*EVALUATED, *BASE_MODEL),
    device="gpu",
    kinds=("beir", "parquet"),
)
def base_metrics(run: StageRun, beir_benchmark: Artifact, passages: Artifact) -> None:
    """BEIR metrics of the base model, BM25, and both fused, per query; what they found lies beside."""
    from embed_pipeline.evaluation.evaluate import evaluate_base
    from embed_pipeline.retrieval.stems import stemmed_languages

    sets = evaluated_sets(run.settings, beir_benchmark, passages)
    tell_unseen(run.settings, sets)
    tell_moved(run, sets)
    development = development_set(run.settings, beir_benchmark, passages)
    found = evaluate_base(sets, run.base_encoder(), run.settings.eval, development)
    run.write_table(found.query_metrics)
    run.write_table(found.runs, RUNS, tables.Runs)
    write_json(run.folder / FUSION, found.fusion.as_json())
    run.summary |= {f"{one.name}_queries": len(one.queries) for one in sets}
    run.summary |= _headline(found.query_metrics)
    if run.settings.eval.bm25.stemming == "auto":
        run.summary["stems"] = ", ".join(stemmed_languages(list(sets[0].passages.values()))) or "none"
    tell_language(run, passages)


@stage(
    group="eval",
    version="6",
    storage="table",
    schema=tables.Metrics,
    settings=MEASURING,
    external=measured_external,
    looks_at=(*EVALUATED, QUERY_LOG),
    device="gpu",
    kinds=("beir", "parquet", "html"),
)
def metrics(
    run: StageRun,
    checkpoint: Artifact,
    beir_benchmark: Artifact,
    base_metrics: Artifact,
    passages: Artifact,
    training_set: Artifact,
    qa_pairs: Artifact,
) -> None:
    """Tuned against base: every metric with interval and p-value, slices, the verdict, report.html."""
    import polars as pl

    from embed_pipeline.encoders.spec import EncoderSpec
    from embed_pipeline.evaluation.comparisons import recipe_results
    from embed_pipeline.evaluation.diagnosis import diagnose
    from embed_pipeline.evaluation.evaluate import evaluate_tuned
    from embed_pipeline.evaluation.page import write_page
    from embed_pipeline.evaluation.report import markdown_table, svg_systems

    sets, counted = told_gold(run, evaluated_sets(run.settings, beir_benchmark, passages), passages, training_set)
    encoder = run.encoder(EncoderSpec.load(checkpoint.path))
    before = read_base_evaluation(base_metrics)
    development = development_set(run.settings, beir_benchmark, passages)
    log = _query_log(run)
    trust = _trust(run, sets, qa_pairs, passages, encoder, log)
    result = evaluate_tuned(sets, encoder, before, run.settings.eval, development, trust)
    run.write_table(result.metrics)
    run.write_table(result.query_metrics, "query_metrics", tables.QueryMetrics)
    run.write_table(result.runs, RUNS, tables.Runs)
    write_json(run.folder / "summary.json", result.summary)
    write_json(run.folder / "eval_results.json", recipe_results(result.summary))
    scores = pl.concat([before.query_metrics, result.query_metrics])
    runs = pl.concat([before.runs, result.runs])
    diagnosis = diagnose(sets, scores, runs)
    write_json(run.folder / DIAGNOSIS, diagnosis)
    about = about_model(checkpoint, Store(run.home))
    disputed = None if log is None else _disputed(run, passages, encoder, log)
    if disputed is not None:
        write_json(run.folder / DISPUTED, disputed)
        about = with_disputed(about, disputed, passages)
    write_page(result.summary, result.metrics, scores, runs, sets, run.folder, about, diagnosis)
    run.summary |= {"verdict": result.summary["verdict"]} | _deltas(result.summary) | counted
    run.charts["comparison"] = markdown_table(result.summary)
    run.charts["systems"] = charts.svg_markdown("systems", svg_systems(result.summary))


def _query_log(run: StageRun) -> "QueryLog | None":
    from embed_pipeline.evaluation.query_log import read_query_log

    path = run.settings.eval.query_log
    return None if path is None else read_query_log(path.expanduser())


def _trust(
    run: StageRun,
    sets: "list[RetrievalSet]",
    qa_pairs: Artifact,
    passages: Artifact,
    tuned: "Encoder",
    log: "QueryLog | None",
) -> "Trust | None":
    """Whether the generated test may say ship; not asked where a gold set decides."""
    from embed_pipeline.evaluation.lexical import answered_by_words
    from embed_pipeline.evaluation.probes import as_written, build_probes
    from embed_pipeline.evaluation.trust import judge, look
    from embed_pipeline.evaluation.verdict import deciding_set
    from embed_pipeline.prep.rewording import reworded

    synthetic = deciding_set(sets)
    if synthetic.kind != "synthetic":
        return None
    base, pairs = run.base_encoder(), qa_pairs.frame()
    not_yet = set(synthetic.queries) - offline_questions(pairs)
    other = reworded(synthetic, not_yet, base, answered_by_words(synthetic.passages))
    written = as_written(synthetic, dict(pairs.select("question_id", "question").iter_rows()))
    probes = build_probes(written, other, passages.frame(), log.queries if log is not None else ())
    general = next(one for one in sets if one.kind == "general")
    return judge(look(probes, base, tuned, general))


def _disputed(run: StageRun, passages: Artifact, tuned: "Encoder", log: "QueryLog") -> dict[str, Any]:
    """The queries of eval.query_log on which the systems differ most."""
    from embed_pipeline.evaluation.disputed import disputed_queries

    models = {"base": run.base_encoder(), "tuned": tuned}
    return disputed_queries(log, passages_alone(passages), models, run.settings.eval)


def _headline(frame: "pl.DataFrame") -> dict[str, float]:
    import polars as pl

    chosen = frame.filter(frame["metric"].is_in(["ndcg@10", "recall@10"]))
    means = chosen.group_by("test_set", "system", "metric").agg(mean=pl.col("value").mean()).sort("test_set", "system")
    return {
        f"{test_set}_{system}_{metric.replace('@', '_at_')}": round(mean, 6)
        for test_set, system, metric, mean in means.iter_rows()
    }


def _deltas(summary: dict[str, dict[str, dict[str, dict[str, float]]]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for test_set, compared in summary["comparison"].items():
        for metric in ("ndcg@10", "recall@10"):
            row = compared[metric]
            name = f"{test_set}_{metric.replace('@', '_at_')}"
            found |= {f"{name}_base": row["base"], f"{name}_tuned": row["tuned"], f"{name}_delta": row["delta"]}
            found[f"{name}_p"] = row["p"]
    return found
