"""The checkpoint as one torch module: token ids in, pooled and normalised vectors out."""

from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer

if TYPE_CHECKING:
    import torch


def load_pooled_model(spec: EncoderSpec) -> "torch.nn.Module":
    """The torch model of a checkpoint in float32 on the CPU, ready to be exported.

    ``forward(input_ids, attention_mask)``, both int64 [batch, sequence], gives float32 [batch, dimensions].
    Every pooling is a weighted mean over the tokens: all real tokens, the first one or the last one, on
    whichever side the padding lies.

    Raises:
        ModelAccessError: see :func:`embed_pipeline.encoders.torch_encoder.load_sentence_transformer`.
    """
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body = body

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = token_weights(attention_mask, spec.pooling).to(hidden.dtype).unsqueeze(-1)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(pooled, p=2.0, dim=1) if spec.normalize else pooled

    body: Any = load_sentence_transformer(spec, "cpu")[0]
    body.model.set_attn_implementation("eager")
    return Pooled(body.model).float().eval()


def token_weights(attention_mask: "torch.Tensor", pooling: str) -> "torch.Tensor":
    """Which tokens count, [batch, sequence] of 0 and 1."""
    if pooling == "mean":
        return attention_mask
    position = attention_mask.cumsum(1)
    wanted = 1 if pooling == "cls" else attention_mask.sum(1, keepdim=True)
    return attention_mask * (position == wanted).to(attention_mask.dtype)
