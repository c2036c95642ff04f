"""How BM25 and the fusions stand to what will be used, and what to do about it, in sentences."""

from collections.abc import Iterator, Mapping

from embed_pipeline.evaluation.compare import Comparison
from embed_pipeline.evaluation.figures import capital, p_in_words
from embed_pipeline.evaluation.systems import name_of
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

WORDS = (
    "Which of them to use, only questions of people can tell: how many words generated ones share with their passages, "
    "and so how good BM25 looks, was estimated."
)
FUSED = ("hybrid", "hybrid_tuned", "convex", "convex_tuned")


def advise(
    pair: tuple[str, str],
    best: str,
    means: Mapping[str, float],
    versus: Mapping[str, Comparison],
    settings: EvalSettings,
    chosen: RetrievalSet,
) -> Iterator[str]:
    """How BM25 and the fusions stand to what will be used, and what to do about it."""
    used = pair[1]
    asked = "your questions" if chosen.kind == "gold" else "the generated questions"
    told = [one for one in _others(settings) if one in versus]
    for system in told:
        yield (
            f"{capital(name_of(system))} {_stands(versus[system], settings)} {_alone(used)} on {asked} "
            f"({means[system]:.3f} against {means[used]:.3f}, {p_in_words(_corrected(versus[system]))})."
        )
    if chosen.kind != "gold":
        if told:
            yield WORDS
    elif best == used:
        yield f"{capital(name_of(used))} did best of all on {asked} ({means[used]:.3f})."
    elif best == pair[0] or best not in versus:
        yield f"Best on {asked}: {name_of(best)} ({means[best]:.3f})."
    elif not _significant(versus[best], settings):
        yield (
            f"Best on {asked}: {name_of(best)} ({means[best]:.3f}), but so little ahead that {name_of(used)} may be as "
            "good."
        )
    else:
        follow = ", and eval.deploys: hybrid lets the verdict follow it" if best in FUSED and used == "tuned" else ""
        yield (
            f"Best on {asked}: {name_of(best)} ({means[best]:.3f}). Use it: embed-pipeline search shows what it finds "
            f"beside the others{follow}."
        )


def _others(settings: EvalSettings) -> tuple[str, ...]:
    """The systems that are told of besides the two that decide."""
    fused = ("convex", "convex_tuned") if settings.fusion == "convex" else ("hybrid", "hybrid_tuned")
    return ("bm25", *fused) if settings.deploys == "dense" else ("bm25", "tuned")


def _stands(found: Comparison, settings: EvalSettings) -> str:
    if found.delta == 0:
        return "is as good as"
    if _significant(found, settings):
        return "is better than" if found.delta > 0 else "is worse than"
    return f"is {'ahead of' if found.delta > 0 else 'behind'}, though not significantly,"


def _significant(found: Comparison, settings: EvalSettings) -> bool:
    return _corrected(found) < settings.alpha


def _corrected(found: Comparison) -> float:
    return found.p if found.p_corrected is None else found.p_corrected


def _alone(system: str) -> str:
    return f"{name_of(system)} alone" if system == "tuned" else name_of(system)
