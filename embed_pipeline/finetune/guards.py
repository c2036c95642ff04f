"""What must stop a training, and what the user must be told."""

import math
from collections.abc import Mapping

import numpy as np

from embed_pipeline.encoders.spec import Vectors
from embed_pipeline.errors import TrainingError
from embed_pipeline.progress import say

COLLAPSED = 0.95
"""Mean pairwise cosine of passages above which a model tells nothing apart any more."""


LOSS_ADVICE = "Lower finetune.learning_rate, raise finetune.temperature or set finetune.precision to fp32."


def check_loss(loss: float, step: int, advice: str = LOSS_ADVICE) -> None:
    """Stop on a loss that is not a number.

    Args:
        advice: what to do.

    Raises:
        TrainingError: the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(f"The training loss became {loss} at step {step}. {advice}")


def check_gradient(logs: Mapping[str, float], step: int, advice: str = LOSS_ADVICE) -> None:
    """Stop on a gradient without a length: it makes weights that are not numbers, or none that differ.

    Args:
        logs: what the trainer logs after a step.

    Raises:
        TrainingError: its norm is NaN or infinite.
    """
    norm = logs.get("grad_norm", 0.0)
    if not math.isfinite(norm):
        raise TrainingError(f"The gradient's norm became {norm} at step {step}. {advice}")


def mean_cosine(vectors: Vectors) -> float:
    """Mean cosine of all pairs of distinct rows; 0 for fewer than two rows.

    ``(|sum of unit vectors|^2 - n) / (n (n - 1))``.
    """
    count = len(vectors)
    if count < 2:
        return 0.0
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    total = (vectors / np.maximum(lengths, 1e-12)).sum(0)
    return float((total @ total - count) / (count * (count - 1)))


def check_vectors(vectors: Vectors, base: float | None, step: int) -> float:
    """Stop when passages' vectors are broken or all alike.

    Args:
        vectors: of passages, [n, d].
        base: what this function returned for the base model; None for the base model itself.

    Returns:
        Their mean pairwise cosine.

    Raises:
        TrainingError: a vector is not finite, or their mean cosine rose above 0.95 from below.
    """
    if not np.isfinite(vectors).all():
        raise TrainingError(f"The model returns vectors that are not numbers at step {step}. {_ADVICE}")
    cosine = mean_cosine(vectors)
    if base is not None and base <= COLLAPSED < cosine:
        raise TrainingError(
            f"The model collapsed: at step {step} random passages have a mean cosine of {cosine:.3f} "
            f"({base:.3f} before training), so it tells nothing apart. {_ADVICE}"
        )
    return cosine


_ADVICE = "Lower finetune.learning_rate, or look at the training set for rows that are all alike."


def warn_after_first_epoch(base: float | None, value: float) -> None:
    """Tell the user when validation after the first epoch is under the base model's."""
    if base is not None and value < base:
        say(
            f"After the first epoch validation is under the base model's (nDCG@10 {value:.4f} against {base:.4f}). "
            "If it stays so, lower finetune.learning_rate or look at the questions."
        )


def warn_below_base(base: float | None, best: float | None) -> None:
    """Tell the user when no checkpoint reached the base model on the validation questions."""
    if base is not None and best is not None and best < base:
        say(
            f"No checkpoint reached the base model on validation (nDCG@10 {best:.4f} against {base:.4f}); "
            "the best of them is kept. More questions or a lower finetune.learning_rate may help."
        )
