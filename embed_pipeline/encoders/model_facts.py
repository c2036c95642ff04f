"""How large a model is, from its files alone."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from embed_pipeline.encoders.base_model import read_config


@dataclass(frozen=True)
class ModelFacts:
    """Size of a model.

    Attributes:
        parameters: numbers in its weights.
        bytes: of its weights on the disk.
        max_tokens: the longest text it was made for; None where its files do not say.
    """

    parameters: int
    bytes: int
    max_tokens: int | None


def model_facts(folder: Path) -> ModelFacts:
    """Read the headers of the weights, not the weights."""
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    parameters = 0
    for file in files:
        with safe_open(file, "numpy") as weights:
            parameters += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return ModelFacts(parameters, sum(file.stat().st_size for file in files), max_tokens(folder))


def max_tokens(folder: Path) -> int | None:
    """The longest text a model was made for: what sentence-transformers cuts at, else its positions."""
    found = read_config(folder / "sentence_bert_config.json").get("max_seq_length") or read_config(
        folder / "config.json"
    ).get("max_position_embeddings")
    return found if isinstance(found, int) else None
