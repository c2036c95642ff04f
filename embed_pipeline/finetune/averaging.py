"""The average of the weights before and after training: what ships, and so what is validated.

Averaging keeps what the base model knew and often serves the new domain better as well (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models", arXiv 2109.01903).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


def copied_weights(model: "SentenceTransformer") -> "dict[str, torch.Tensor]":
    """The weights as they are now, in main memory."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def averaged(base: "Mapping[str, torch.Tensor]", tuned: "Mapping[str, torch.Tensor]", base_weight: float) -> Any:
    """``base_weight`` times the base model's weights plus the rest times the tuned ones; integers are the tuned ones'.

    Returns:
        name -> tensor, for :meth:`torch.nn.Module.load_state_dict`.
    """
    return {
        name: value.lerp(base[name].to(value.device), base_weight) if value.is_floating_point() else value
        for name, value in tuned.items()
    }


@contextmanager
def as_shipped(
    model: "SentenceTransformer", base: "Mapping[str, torch.Tensor] | None", base_weight: float
) -> Iterator[None]:
    """Inside the block the model is the one that would ship; afterwards it is exactly the trained one again.

    Args:
        base: the weights before training; None for a model with adapters, whose share is scaled down instead, which
            comes to the same, since only they differ from the base model.
        base_weight: share of the base model's weights; with 0 nothing is changed.
    """
    if not base_weight:
        yield
        return
    if base is None:
        with _scaled_adapters(model, 1 - base_weight):
            yield
        return
    trained = copied_weights(model)
    model.load_state_dict(averaged(base, trained, base_weight))
    try:
        yield
    finally:
        model.load_state_dict(trained)


@contextmanager
def _scaled_adapters(model: "SentenceTransformer", share: float) -> Iterator[None]:
    layers: list[Any] = list(model.modules())
    adapters: list[dict[str, float]] = [
        layer.scaling for layer in layers if isinstance(getattr(layer, "scaling", None), dict)
    ]
    before = [dict(scaling) for scaling in adapters]
    for scaling in adapters:
        scaling.update({name: value * share for name, value in scaling.items()})
    try:
        yield
    finally:
        for scaling, values in zip(adapters, before, strict=True):
            scaling.update(values)
