"""How large the base model is, and what training it takes of memory."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.settings import Settings

WEIGHTS = (".safetensors", ".bin")
HALF = ("float16", "bfloat16")
FLOATS_A_TOKEN = 20
"""Floats that training keeps of a token in each layer, in widths of the model."""
SCORES_A_TOKEN = 3
"""Floats of attention that it keeps for each pair of tokens, head and layer."""
WHOLE_TOKENS = 16_384
"""A batch of fewer tokens is held at once, see :mod:`embed_pipeline.finetune.losses`."""
PIECE_TOKENS = 4_096
"""Tokens that GradCache holds at once on a CPU, and as much again for what it keeps of the others."""


@dataclass(frozen=True)
class ModelSize:
    """Of a model in 32-bit floats.

    Attributes:
        bytes: of its weights.
        layers, width, heads: of its transformer; 0 where its config.json does not say.
    """

    bytes: int
    layers: int = 0
    width: int = 0
    heads: int = 0


def base_model_size(settings: Settings) -> ModelSize:
    """The size of the base model; nothing where it cannot be found."""
    from embed_pipeline.encoders.base_model import find_base_model

    try:
        folder = find_base_model(settings.base_model, settings.encoder.revision, settings.encoder.sha256).path
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (EmbedPipelineError, OSError, ValueError):
        return ModelSize(0)
    return _size_of(folder, config)


def _size_of(folder: Path, config: dict[str, object]) -> ModelSize:
    stored = max(sum(path.stat().st_size for path in folder.glob(f"*{suffix}")) for suffix in WEIGHTS)
    half = str(config.get("dtype") or config.get("torch_dtype")) in HALF
    numbers = [config.get(name) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")]
    layers, width, heads = (one if isinstance(one, int) else 0 for one in numbers)
    return ModelSize(stored * (2 if half else 1), layers, width, heads)


def training_bytes(settings: Settings, model: ModelSize) -> int:
    """Memory of a training: weights, gradients, two moments, and what one batch keeps until its backward pass.

    On a GPU all of it lies there, and what is told is the copy of the weights that was read.
    """
    if _trains_on_gpu(settings):
        return 2 * model.bytes
    return 4 * model.bytes + _batch_bytes(settings, model)


def _batch_bytes(settings: Settings, model: ModelSize) -> int:
    chosen = settings.finetune
    length = chosen.max_passage_length
    of_passages = chosen.batch_size * (1 + chosen.hard_negatives) * length
    tokens = of_passages + chosen.batch_size * chosen.max_query_length
    whole = chosen.grad_cache == "off" or (chosen.grad_cache == "auto" and of_passages <= WHOLE_TOKENS)
    if not whole:
        tokens = min(tokens, PIECE_TOKENS)
    kept = FLOATS_A_TOKEN * model.width + SCORES_A_TOKEN * model.heads * length
    return 4 * tokens * model.layers * kept


def _trains_on_gpu(settings: Settings) -> bool:
    device = settings.encoder.device
    return device.startswith("cuda") or (device == "auto" and shutil.which("nvidia-smi") is not None)
