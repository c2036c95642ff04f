"""How a text becomes a vector, decided once.

An :class:`EncoderSpec` travels inside every model artifact as ``encoder.json``. Mining, training,
evaluation, export and serving read it from there, so they cannot disagree. Anything with the methods of
:class:`Encoder` will do: the torch model here, ONNX Runtime, an HTTP endpoint.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embed_pipeline.encoders.families import native_folder
from embed_pipeline.errors import ModelAccessError, SettingsError
from embed_pipeline.progress import task

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
from embed_pipeline.encoders.base_model import is_decoder, read_config
from embed_pipeline.encoders.spec import PLURAL, EncoderSpec, Role, Vectors


def load_sentence_transformer(
    spec: EncoderSpec, device: str = "auto", attention_implementation: str | None = None
) -> "SentenceTransformer":
    """The torch model of a spec as transformer, pooling, normalisation (float32 weights).

    Args:
        attention_implementation: eager, sdpa or flash_attention_2; None: as transformers chooses.

    Raises:
        ModelAccessError: the folder cannot be loaded, or not with this attention implementation.
    """
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    trust: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code}
    attention = {} if attention_implementation is None else {"attn_implementation": attention_implementation}
    config = read_config(Path(spec.model) / "config.json")
    try:
        with native_folder(Path(spec.model), config) as folder:
            body = Transformer(
                str(folder),
                max_seq_length=spec.max_passage_length,
                config_kwargs=trust,
                model_kwargs=trust | attention,
                processor_kwargs=trust,
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelAccessError(f"{spec.model}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if is_decoder(config):
        # transformers >= 5 builds a bidirectional mask when this is false; saved with the model.
        body.model.config.is_causal = spec.attention == "causal"
    body.tokenizer.padding_side = spec.padding_side
    pooling = Pooling(
        body.get_embedding_dimension(), pooling_mode={"last": "lasttoken"}.get(spec.pooling, spec.pooling)
    )
    modules: list[Any] = [body, pooling]
    if spec.normalize:
        modules.append(Normalize())
    # Weights stored as bfloat16 would otherwise stay so, and be trained so.
    return SentenceTransformer(modules=modules, device=resolve_device(device)).float()


def resolve_device(device: str) -> str:
    """``auto`` becomes cuda where there is a GPU, else cpu.

    Raises:
        SettingsError: a GPU is asked for that torch does not see.
    """
    if device == "cpu":
        return device
    import torch

    if device.startswith("cuda"):
        number, there = int(device.partition(":")[2] or 0), torch.cuda.device_count()
        if number >= there:
            raise SettingsError(
                f"encoder.device is {device}, but torch sees {there or 'no'} GPU{'s' if there > 1 else ''} here. "
                "Set it to auto or cpu; embed-pipeline doctor says what is missing."
            )
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


class TorchEncoder:
    """A sentence-transformers model behind the :class:`Encoder` protocol."""

    def __init__(self, spec: EncoderSpec, model: "SentenceTransformer", batch_size: int = 32) -> None:
        self.spec = spec
        self.model = model
        self.batch_size = batch_size

    @classmethod
    def load(cls, spec: EncoderSpec, device: str = "auto", batch_size: int = 32) -> "TorchEncoder":
        """Load the model of ``spec``."""
        return cls(spec, load_sentence_transformer(spec, device), batch_size)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors in the order of ``texts``; long texts are encoded together to save padding."""
        if not texts:
            return np.zeros((0, self.spec.dimensions[0]), np.float32)
        self.model.max_seq_length = self.spec.max_length(role)
        prompt = self.spec.prompt(role)
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        vectors = np.empty((len(texts), self.spec.dimensions[0]), np.float32)
        with task(f"encode {PLURAL[role]}", len(texts)) as running:
            for start in range(0, len(order), self.batch_size * 8):
                part = order[start : start + self.batch_size * 8]
                vectors[part] = self.model.encode(
                    [prompt + texts[index] for index in part],
                    batch_size=self.batch_size,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                ).astype(np.float32, copy=False)
                running.advance(len(part))
        return vectors
