"""Objectives as losses that sentence-transformers' trainer calls.

Batches too large to hold at once go through GradCache (Gao et al. 2021, arXiv 2101.06983), which gives the same loss
and gradients in pieces; smaller dimensions (Matryoshka, Kusupati et al. 2022, arXiv 2205.13147) add the loss of each
prefix, renormalised. Both are sentence-transformers' own machinery. Where several processes train, in-batch negatives
are those of all of them, see :mod:`embed_pipeline.finetune.gather`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import SettingsError
from embed_pipeline.finetune.gather import have_others, with_others
from embed_pipeline.finetune.objectives import OBJECTIVES, Objective
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

TOKENS_AT_ONCE = 16_384
"""Passage tokens whose activations are held at once: about 3 GB for MiniLM in fp32, 20 GB for a 1B model in bf16."""
CPU_PIECE = 2_048
"""Tokens in a piece on a CPU."""


def build_loss(
    model: "SentenceTransformer", spec: EncoderSpec, settings: FinetuneSettings, batch_size: int
) -> "torch.nn.Module":
    """The loss for batches of two columns, queries and passages; passage i is the positive of query i.

    There may be more passages than queries. Labels are those of
    :class:`embed_pipeline.finetune.collate.Collator`. Without normalisation in the spec, the inner product is taken
    as it is, without temperature.

    Raises:
        SettingsError: a Matryoshka dimension that the model does not have, or BM25 beside inner products that have no
            scale.
    """
    if settings.lexical_share and not spec.normalize:
        raise SettingsError("finetune.lexical_share needs a model whose vectors are normalised.")
    scale = 1 / settings.temperature if spec.normalize else 1.0
    mixed = (settings.false_negative_margin, settings.lexical_share, settings.distillation_weight)
    objective = OBJECTIVES[settings.objective](scale, *mixed)
    loss_at_once, loss_in_pieces = _loss_classes()
    length = min(settings.max_passage_length, spec.max_passage_length)
    loss: torch.nn.Module
    if _fits(settings, batch_size, length):
        loss = loss_at_once(model, objective)
    else:
        piece = settings.mini_batch_size or max(1, _piece(model) // length)
        loss = loss_in_pieces(model, objective, piece)
    dimensions = offered_dimensions(spec, settings)
    if len(dimensions) == 1:
        return loss
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    return MatryoshkaLoss(model, loss, dimensions)


def offered_dimensions(spec: EncoderSpec, settings: FinetuneSettings) -> tuple[int, ...]:
    """Dimensions of the tuned model, the full one first, then those trained as prefixes.

    Raises:
        SettingsError: a dimension that the model does not have, or a model that does not normalise.
    """
    full = spec.dimensions[0]
    if not settings.matryoshka_dimensions:
        return (full,)
    if not spec.normalize:
        raise SettingsError("finetune.matryoshka_dimensions needs a model whose vectors are normalised.")
    too_large = [size for size in settings.matryoshka_dimensions if size > full]
    if too_large:
        raise SettingsError(
            f"finetune.matryoshka_dimensions names {too_large[0]}, but the base model has {full} dimensions. "
            f"Name sizes below {full}."
        )
    return (full, *sorted({*settings.matryoshka_dimensions} - {full}, reverse=True))


def _fits(settings: FinetuneSettings, batch_size: int, length: int) -> bool:
    if settings.grad_cache == "auto":
        return batch_size * (1 + settings.hard_negatives) * length <= TOKENS_AT_ONCE
    return settings.grad_cache == "off"


def _piece(model: "SentenceTransformer") -> int:
    return CPU_PIECE if model.device.type == "cpu" else TOKENS_AT_ONCE


def _passages_met(passages: "torch.Tensor", objective: Objective) -> "torch.Tensor":
    """The passages that the questions of this process meet."""
    return with_others(passages) if objective.meets_other_processes and have_others() else passages


@cache
def _loss_classes() -> tuple[Any, Any]:
    """The loss over all of a batch at once, and the loss in pieces."""
    import torch
    from sentence_transformers.base.losses.gradcache import CachedLossMixin
    from sentence_transformers.base.losses.merged_forward import embed_columns

    class LossAtOnce(torch.nn.Module):
        """An objective over vectors that are all held with their activations."""

        def __init__(self, model: "SentenceTransformer", objective: Objective) -> None:
            super().__init__()
            self.model, self.objective = model, objective

        def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Mapping[str, torch.Tensor]) -> Any:
            queries, passages = embed_columns(self.model, sentence_features)
            return self.objective(queries, _passages_met(passages, self.objective), labels, slice(0, len(queries)))

    class LossInPieces(CachedLossMixin, torch.nn.Module):
        """The same through GradCache: ``mini_batch_size`` texts with their activations at once."""

        def __init__(self, model: "SentenceTransformer", objective: Objective, mini_batch_size: int) -> None:
            super().__init__()
            self.model, self.objective, self.mini_batch_size = model, objective, mini_batch_size

        def calculate_loss(self, reps: Any, labels: Any = None, *, with_backward: bool = False) -> Any:
            queries, passages = (torch.cat(pieces) for pieces in reps)
            met = _passages_met(passages, self.objective)
            held = met.detach().requires_grad_(with_backward)
            total = torch.zeros((), device=queries.device)
            for start in range(0, len(queries), self.mini_batch_size):
                rows = slice(start, min(start + self.mini_batch_size, len(queries)))
                part = self.objective(queries, held, labels, rows)
                if with_backward:
                    torch.autograd.backward(part)
                    part = part.detach()
                total = total + part
            if with_backward:
                torch.autograd.backward(met, held.grad)
            return total

        def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> Any:
            return self.forward_cached(sentence_features, labels)

    return LossAtOnce, LossInPieces
