"""What a model's files tell of it: its size, and its card."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from embed_pipeline.encoders.base_model import read_config
from embed_pipeline.errors import ModelAccessError

CARD_FILE = "README.md"


@dataclass(frozen=True)
class ModelFacts:
    """Size of a model.

    Attributes:
        parameters: numbers in its weights; None where these are no safetensors.
        bytes: of its weights on the disk; None likewise.
        max_tokens: the longest text it was made for; None where its files do not say.
    """

    parameters: int | None
    bytes: int | None
    max_tokens: int | None


def model_facts(folder: Path) -> ModelFacts:
    """Read the headers of the weights, not the weights.

    Raises:
        ModelAccessError: a file of weights is damaged.
    """
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return ModelFacts(None, None, max_tokens(folder))
    parameters = 0
    for file in files:
        try:
            with safe_open(file, "numpy") as weights:
                names = weights.keys()
                parameters += sum(prod(weights.get_slice(name).get_shape()) for name in names)
        except SafetensorError as error:
            raise ModelAccessError(f"{file}: is damaged ({error}); fetch the model again.") from error
    return ModelFacts(parameters, sum(file.stat().st_size for file in files), max_tokens(folder))


def max_tokens(folder: Path) -> int | None:
    """The longest text a model was made for: what sentence-transformers cuts at, else its positions."""
    found = read_config(folder / "sentence_bert_config.json").get("max_seq_length") or read_config(
        folder / "config.json"
    ).get("max_position_embeddings")
    return found if isinstance(found, int) else None


def own_card(folder: Path) -> dict[str, Any]:
    """The metadata of a model folder's own card; empty where there is none that can be read."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        return metadata_load(folder / CARD_FILE) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
