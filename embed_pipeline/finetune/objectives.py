"""What a batch is trained for: formulas over the similarities of questions and passages.

All take the similarities ``s`` [q, p] of a batch (passage i is the positive of question i), the arrays of
:class:`embed_pipeline.finetune.collate.Collator`, and a range of questions, so that GradCache can go through a batch
in pieces: the parts of the ranges add up to the batch's loss. ``T`` is the temperature, ``s / T`` a logit.

- in_batch: InfoNCE (van den Oord et al. 2018), ``-log( exp(s(q, p+)/T) / sum_p exp(s(q, p)/T) )`` over all passages
  of the batch that are not left out;
- group: the same over the question's own positive and negatives only (the reference recipe's loss). Where a question
  has fewer negatives than asked the reference repeats them; here there are fewer terms;
- margin_mse: mean over own (positive, negative) pairs of ``((s+ - s-)/T - (t+ - t-))^2`` with the teacher's scores t
  (Hofstätter et al. 2020, arXiv 2010.02666);
- kl: ``KL(softmax(t) || softmax(s/T))`` over the own passages, mean over questions (as RocketQAv2 and
  sentence-transformers' DistillKLDivLoss).

With a false-negative margin, passages with ``s > s(q, p+) + margin`` are left out of in_batch and group as well; the
comparison takes no gradient (Qwen3 Embedding, arXiv 2506.05176, masks with a margin of 0.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Objective:
    """One of the formulas; ``scale`` is 1 / T."""

    kind: str
    scale: float
    false_negative_margin: float | None = None

    def __call__(
        self,
        queries: "torch.Tensor",
        passages: "torch.Tensor",
        labels: Mapping[str, "torch.Tensor"],
        rows: slice,
    ) -> "torch.Tensor":
        """The part of the batch's loss that questions ``rows`` of ``queries`` [q, d] bring; passages [p, d]."""
        similarity = inner_product(queries[rows], passages)
        part = {name: value[rows] for name, value in labels.items()}
        positive = _diagonal(part["own"], rows.start or 0)
        if self.kind == "margin_mse":
            pairs = (labels["own"] & ~labels["left_out"]).sum() - len(queries)
            return self._margin_mse(similarity, part, positive) / pairs.clamp(min=1)
        share = len(similarity) / len(queries)
        if self.kind == "kl":
            return self._kl(similarity, part, positive) * share
        return self._contrastive(similarity, part, positive) * share

    def _contrastive(
        self, similarity: "torch.Tensor", part: Mapping[str, "torch.Tensor"], positive: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        out = part["left_out"] if self.kind == "in_batch" else part["left_out"] | ~part["own"]
        if self.false_negative_margin is not None:
            limit = similarity.detach()[positive].unsqueeze(1) + self.false_negative_margin
            out = out | (similarity.detach() > limit)
        scores = (similarity * self.scale).masked_fill(out & ~positive, -torch.inf)
        return -(scores[positive] - torch.logsumexp(scores, dim=1)).mean()

    def _margin_mse(
        self, similarity: "torch.Tensor", part: Mapping[str, "torch.Tensor"], positive: "torch.Tensor"
    ) -> "torch.Tensor":
        pairs = part["own"] & ~part["left_out"] & ~positive
        logits, teacher = similarity * self.scale, part["teacher"]
        margins = logits[positive].unsqueeze(1) - logits
        wanted = teacher[positive].unsqueeze(1) - teacher
        return (margins - wanted)[pairs].square().sum()

    def _kl(
        self, similarity: "torch.Tensor", part: Mapping[str, "torch.Tensor"], positive: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        candidates = part["own"] & ~part["left_out"] | positive
        student = (similarity * self.scale).masked_fill(~candidates, -torch.inf).log_softmax(1)
        teacher = part["teacher"].masked_fill(~candidates, -torch.inf).log_softmax(1)
        terms = (teacher.exp() * (teacher - student))[candidates]
        return terms.sum() / len(similarity)


def _diagonal(own: "torch.Tensor", first: int) -> "torch.Tensor":
    """[rows, passages]: True at each question's own positive; ``first`` is the number of the first row."""
    import torch

    places = torch.arange(own.shape[1], device=own.device)
    return places.unsqueeze(0) == (torch.arange(len(own), device=own.device) + first).unsqueeze(1)


def inner_product(queries: "torch.Tensor", passages: "torch.Tensor") -> "torch.Tensor":
    """Inner products [q, p] of [q, d] and [p, d] in float32; the cosine, since the model normalises.

    Also under bf16 autocast, where 0.02 as temperature would turn rounding into loss.
    """
    import torch

    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ passages.float().T
