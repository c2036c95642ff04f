"""A cross-encoder: reads question and passage together and gives one relevance logit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.encoders.base_model import ModelFolder, find_base_model, read_config
from embed_pipeline.encoders.torch_encoder import resolve_device
from embed_pipeline.errors import ModelAccessError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

HEAD = "ForSequenceClassification"


def is_cross_encoder(folder: Path) -> bool:
    """Whether a model folder's config.json names a sequence-classification head."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict):
        return False
    return any(str(name).endswith(HEAD) for name in config.get("architectures") or [])


def find_cross_encoder(name: str, setting: str) -> ModelFolder:
    """Locate a cross-encoder with one output; nothing is loaded.

    Args:
        name: as for :func:`embed_pipeline.encoders.base_model.find_base_model`.
        setting: that named the model, for error messages.

    Raises:
        ModelAccessError: missing, not a cross-encoder, or with more than one output.
    """
    found = find_base_model(name, setting=setting)
    if not is_cross_encoder(found.path):
        raise ModelAccessError(
            f"{setting} {name} is not a cross-encoder: its config.json names no {HEAD} architecture. "
            "Name one that is, for example cross-encoder/ms-marco-MiniLM-L6-v2."
        )
    check_outputs(found.path, f"{setting} {name}")
    return found


def check_outputs(folder: Path, named: str) -> None:
    """Refuse a cross-encoder with more outputs than one, by what its config.json says; transformers' default is two.

    Args:
        named: which it is, for the error message.

    Raises:
        ModelAccessError: it has.
    """
    config = read_config(folder / "config.json")
    labels = config.get("id2label")
    outputs = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    if outputs != 1:
        raise ModelAccessError(f"{named} has {outputs} outputs; a cross-encoder with one relevance score is needed.")


class CrossEncoderModel:
    """A sentence-transformers CrossEncoder with one output."""

    def __init__(self, model: "CrossEncoder", batch_size: int = 32) -> None:
        self._model = model
        self._batch_size = batch_size

    @classmethod
    def load(
        cls, name: str, device: str = "auto", max_length: int | None = None, setting: str = "prep.cross_encoder"
    ) -> "CrossEncoderModel":
        """Load a hub id, a local folder or ``package:NAME``.

        Args:
            name: as for :func:`embed_pipeline.encoders.base_model.find_base_model`.
            device: auto, cpu, cuda or cuda:N.
            max_length: tokens of question and passage together; None: as the model's files say.
            setting: that named the model, for error messages.

        Raises:
            ModelAccessError: missing, not a cross-encoder, or with more than one output.
        """
        from sentence_transformers import CrossEncoder

        found = find_cross_encoder(name, setting)
        try:
            model = CrossEncoder(str(found.path), device=resolve_device(device), max_length=max_length)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelAccessError(
                f"{setting} {name}: cannot be loaded: {' '.join(str(error).split())[:300]}"
            ) from error
        return cls(model)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Logits [pairs] of (question, passage); the sigmoid is the probability of relevance."""
        if not pairs:
            return np.zeros(0, np.float32)
        import torch

        given: Any = self._model.predict(
            list(pairs),
            batch_size=self._batch_size,
            show_progress_bar=False,
            activation_fn=torch.nn.Identity(),
            convert_to_numpy=True,
        )
        return np.asarray(given, np.float32).reshape(len(pairs))
