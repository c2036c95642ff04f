"""What the model forgot: questions of general knowledge, answered by the base and by the tuned model."""

from importlib import resources
from pathlib import Path
from typing import Any

from embed_pipeline.evaluation.compare import Comparison
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EvalSettings

GENERAL = "general"


def general_set(folder: Path | None = None) -> RetrievalSet:
    """The general questions: a BEIR folder's, or those that come with the pipeline.

    Raises:
        InputError: see :func:`embed_pipeline.formats.beir.read_retrieval_set`.
    """
    if folder is not None:
        return read_retrieval_set(folder.expanduser(), "test", GENERAL, kind="general")
    with resources.as_file(resources.files("embed_pipeline.evaluation") / GENERAL) as bundled:
        return read_retrieval_set(bundled, "test", GENERAL, kind="general")


def forgetting(found: Comparison, settings: EvalSettings) -> dict[str, Any]:
    """Base against tuned there, and whether more was lost than ``eval.max_forgetting`` allows, significantly.

    Significantly: even the better end of the interval lies beyond the bound.

    Args:
        found: nDCG@10 on the general questions.

    Returns:
        ``{"base", "tuned", "relative", "ci95", "bound", "blocks", "reason"}``; ``relative`` is the change as a share
        of the base, ``ci95`` its interval.
    """
    base = found.base or 1.0
    relative, (low, high) = found.delta / base, (bound / base for bound in found.ci95)
    blocks = high < -settings.max_forgetting
    words = "lost" if relative < 0 else "gained"
    reason = (
        f"on general questions the tuned model {words} {abs(relative):.1%} of the base's nDCG@10 ({found.base:.3f} -> "
        f"{found.tuned:.3f}, interval {low:+.1%} to {high:+.1%}); eval.max_forgetting accepts a loss of "
        f"{settings.max_forgetting:.1%}"
    )
    return {
        "base": found.base,
        "tuned": found.tuned,
        "relative": round(relative, 6),
        "ci95": [round(low, 6), round(high, 6)],
        "bound": settings.max_forgetting,
        "blocks": blocks,
        "reason": reason,
    }
