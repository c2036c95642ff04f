"""InfoNCE with in-batch and hard negatives, from sentence-transformers.

``loss = -log( exp(s(q, p+) / T) / sum over the batch's passages exp(s(q, p) / T) )`` (van den Oord et al. 2018),
``s`` the cosine and ``T`` the temperature. Batches too large to hold at once go through GradCache (Gao et al.
2021), which gives the same loss and gradients in pieces.
"""

from typing import TYPE_CHECKING

from embed_pipeline.encoder import EncoderSpec
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

TOKENS_AT_ONCE = 16_384
"""Passage tokens whose activations are held at once: about 3 GB for MiniLM in fp32, 20 GB for a 1B model in bf16."""


def build_loss(
    model: "SentenceTransformer", spec: EncoderSpec, settings: FinetuneSettings, batch_size: int
) -> "torch.nn.Module":
    """The loss for batches of two columns, queries and passages; passage i is the positive of query i.

    There may be more passages than queries: the rest are negatives of every query. Similarities are computed
    in float32, also under bf16 autocast, where 0.02 as temperature would turn rounding into loss. Without
    normalisation in the spec, the inner product is taken as it is, without temperature.
    """
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    scale = 1 / settings.temperature if spec.normalize else 1.0
    length = min(settings.max_passage_length, spec.max_passage_length)
    if batch_size * (1 + settings.hard_negatives) * length <= TOKENS_AT_ONCE:
        return MultipleNegativesRankingLoss(model, scale=scale, similarity_fct=inner_product)
    pieces = max(1, TOKENS_AT_ONCE // length)
    return CachedMultipleNegativesRankingLoss(model, scale=scale, similarity_fct=inner_product, mini_batch_size=pieces)


def inner_product(queries: "torch.Tensor", passages: "torch.Tensor") -> "torch.Tensor":
    """Inner products [q, p] of [q, d] and [p, d] in float32; the cosine, since the model normalises."""
    import torch

    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ passages.float().T
