"""All stages in the order of the data."""

import difflib
from collections.abc import Iterable

from embed_pipeline.defs import corpus, deploy, eval, export, finetune, prep, sdg  # noqa: A004 - the stage's name
from embed_pipeline.defs.cache import Stage
from embed_pipeline.errors import SettingsError

STAGES: dict[str, Stage] = {
    one.name: one
    for one in (
        corpus.corpus_manifest,
        corpus.documents,
        corpus.passages,
        sdg.qa_candidates,
        sdg.qa_pairs,
        prep.splits,
        prep.beir_benchmark,
        prep.mined_negatives,
        prep.training_set,
        finetune.checkpoint,
        eval.base_metrics,
        eval.metrics,
        export.onnx_model,
        export.onnx_int8_model,
        export.tensorrt_engine,
        deploy.endpoint,
        deploy.endpoint_metrics,
    )
}

# The six stages of the command line; sdg reads the documents too.
GROUPS = {
    "sdg": ("corpus", "sdg"),
    "prep": ("prep",),
    "finetune": ("finetune",),
    "eval": ("eval",),
    "export": ("export",),
    "deploy": ("deploy",),
}


def assets_of(name: str) -> list[str]:
    """Assets of a stage or group, or the asset of that name.

    Raises:
        SettingsError: unknown; names the nearest.
    """
    if name in STAGES:
        return [name]
    groups = GROUPS.get(name, (name,))
    found = [stage.name for stage in STAGES.values() if stage.group in groups]
    if not found:
        names = [*GROUPS, "corpus", *STAGES]
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SettingsError(
            f"stage {name!r} is unknown{hint}; stages are {', '.join(GROUPS)}, assets are {', '.join(STAGES)}."
        )
    return found


def with_upstream(names: Iterable[str]) -> list[str]:
    """``names`` and everything they need, in the order of the data."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += STAGES[name].upstream
    return [name for name in STAGES if name in needed]


def selection(to: str | None) -> list[str]:
    """Assets of a run up to ``to``, or all."""
    return list(STAGES) if to is None else with_upstream(assets_of(to))
