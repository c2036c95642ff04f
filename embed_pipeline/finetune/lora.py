"""Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685) through peft: trained beside the weights, merged when saved.

``W + alpha/rank * B A`` with A [rank, in] and B [out, rank] replaces each adapted weight W [out, in]. Checkpoints hold
A and B alone; the written model holds the merged weights and loads without peft.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import FinetuneSettings, LoraSettings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

ADAPTERS = "adapters.safetensors"


def add_adapters(model: "SentenceTransformer", settings: LoraSettings) -> Any:
    """Put adapters into the model's layers and freeze everything else.

    Returns:
        peft's wrapper of the transformer, which can merge the adapters; ``model`` itself is adapted in place.

    Raises:
        SettingsError: peft is missing, or no layer has one of the names in ``finetune.lora.target_modules``.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise SettingsError(
            'finetune.lora.rank needs the package peft: pip install peft, or "embed-pipeline[cpu]" again.'
        ) from None
    body: Any = model[0].model
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules) or "all-linear",
    )
    try:
        return get_peft_model(body, config)
    except ValueError as error:
        names = sorted({name.rpartition(".")[2] for name, module in body.named_modules() if _linear(module)})
        raise SettingsError(
            f"finetune.lora.target_modules {', '.join(settings.target_modules)}: {' '.join(str(error).split())[:200]} "
            f"The base model's linear layers are called {', '.join(names)}."
        ) from error


def _linear(module: object) -> bool:
    return type(module).__name__ == "Linear"


def save_adapters(model: "SentenceTransformer", folder: Path) -> None:
    """Write the adapters of a model in training."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(_adapters(model), folder / ADAPTERS)


def load_adapters(model: "SentenceTransformer", folder: Path) -> None:
    """Read them back into an adapted model."""
    import torch
    from safetensors.torch import load_file

    stored, own = load_file(folder / ADAPTERS), _adapters(model)
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(stored[name])


def _adapters(model: "SentenceTransformer") -> "dict[str, torch.Tensor]":
    return {name: value.data for name, value in model.named_parameters() if value.requires_grad}


def merged_weights(spec: EncoderSpec, settings: FinetuneSettings, folder: Path) -> "dict[str, torch.Tensor]":
    """The base model's weights with the adapters of a checkpoint added in."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)  # parts that the base model's files lack are drawn as in training
        model = load_sentence_transformer(spec, "cpu")
        wrapper = add_adapters(model, settings.lora)
    load_adapters(model, folder)
    model[0].model = wrapper.merge_and_unload()
    state: dict[str, torch.Tensor] = model.state_dict()
    return state
