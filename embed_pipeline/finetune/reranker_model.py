"""The reranker as a model: loaded to be trained, written as an open CrossEncoder folder with a card."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.base_model import find_base_model, hub_id, is_decoder, read_config
from embed_pipeline.encoders.cross_encoder import check_outputs, is_cross_encoder
from embed_pipeline.encoders.families import NATIVE
from embed_pipeline.encoders.model_facts import CARD_FILE, max_tokens, own_card
from embed_pipeline.errors import ModelAccessError, SettingsError, TrainingError
from embed_pipeline.files import write_text
from embed_pipeline.finetune.model_card import TAKEN_OVER
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    from huggingface_hub import ModelCard
    from sentence_transformers import CrossEncoder

SETTING = "finetune.reranker_model"
COUNTED_FROM_TWO = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet")
"""Kinds of models whose first token has position 2, so that two of their positions hold none."""
TAGS = ("sentence-transformers", "cross-encoder", "reranker")


def reranker_base(base_model: Path, settings: FinetuneSettings) -> Path:
    """Folder of the model that the reranker is trained from.

    Args:
        base_model: of the bi-encoder, taken where ``finetune.reranker_model`` names none.

    Raises:
        ModelAccessError: it cannot be found, has more than one output, or can get no head of one.
    """
    named = settings.reranker_model
    folder = base_model if named is None else find_base_model(named, setting=SETTING).path
    config = read_config(folder / "config.json")
    if not is_cross_encoder(folder) and (is_decoder(config) or config.get("model_type") in NATIVE):
        which = f"base_model {folder.name}" if named is None else f"{SETTING} {named}"
        raise ModelAccessError(
            f"{which} is a decoder, which gets no head as a reranker here. Set {SETTING} to a cross-encoder or to an "
            "encoder, for example cross-encoder/ms-marco-MiniLM-L6-v2."
        )
    if is_cross_encoder(folder):
        check_outputs(folder, f"{SETTING} {named or folder.name}")
    return folder


def check_reranker(base_model: Path, settings: FinetuneSettings) -> None:
    """Refuse, before anything is computed, a model that cannot become a reranker, or pairs longer than it takes.

    Args:
        base_model: of the bi-encoder.

    Raises:
        ModelAccessError, SettingsError: see :func:`reranker_base` and :func:`max_length`.
    """
    max_length(reranker_base(base_model, settings), settings)


def max_length(folder: Path, settings: FinetuneSettings) -> int:
    """Tokens of question and passage together, special ones included.

    Raises:
        SettingsError: ``finetune.reranker_max_length`` is more than the model takes.
    """
    asked, limit = settings.reranker_max_length, _positions(folder)
    if asked is None:
        wanted = settings.max_query_length + settings.max_passage_length
        return min(wanted, limit or wanted, max_tokens(folder) or wanted)
    if limit is not None and asked > limit:
        raise SettingsError(f"finetune.reranker_max_length is {asked}, but {folder.name} takes at most {limit} tokens.")
    return asked


def _positions(folder: Path) -> int | None:
    """Tokens that a model has positions for; None where its files do not say."""
    config = read_config(folder / "config.json")
    found = config.get("max_position_embeddings")
    if not isinstance(found, int):
        return None
    return found - 2 if config.get("model_type") in COUNTED_FROM_TWO else found


def load_reranker(folder: Path, device: str, longest: int, attention: str | None = None) -> "CrossEncoder":
    """A cross-encoder with one output; what is none gets a new head, drawn from torch's random state.

    Args:
        device: cpu or cuda.
        longest: tokens of a pair.
        attention: what transformers is told of its implementation; None leaves the choice to it.

    Raises:
        ModelAccessError: it cannot be loaded, or has more than one output.
    """
    from safetensors import SafetensorError
    from sentence_transformers import CrossEncoder

    more: dict[str, Any] = {} if is_cross_encoder(folder) else {"num_labels": 1}
    if attention is not None:
        more["model_kwargs"] = {"attn_implementation": attention}
    try:
        with _without_notes():
            loaded: Any = CrossEncoder(str(folder), device=device, max_length=longest, local_files_only=True, **more)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelAccessError(f"{folder}: cannot be loaded as a reranker: {' '.join(str(error).split())[:300]}") from (
            error
        )
    outputs = int(loaded.config.num_labels)
    if outputs != 1:
        raise ModelAccessError(f"{folder} has {outputs} outputs; a cross-encoder with one relevance score is needed.")
    model: CrossEncoder = loaded
    return model


@contextmanager
def _without_notes() -> Iterator[None]:
    """That a head is new is wanted, and not worth a warning."""
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def write_reranker(base: Path, trained: Path, output: Path, longest: int, weight: float | None = None) -> None:
    """Write the weights of the checkpoint ``trained`` as a model folder with README.md.

    Everything but the weights comes from the base: a checkpoint's tokenizer remembers the last truncation, which would
    make the files depend on the course of the training.

    Raises:
        TrainingError: the weights hold values that are not numbers.
    """
    import torch

    model = load_reranker(base, "cpu", longest)
    tuned = load_reranker(trained, "cpu", longest).state_dict()
    broken = [name for name, value in tuned.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(
            f"The reranker's weights {broken[0]} are not numbers. Lower finetune.reranker_learning_rate."
        )
    model.load_state_dict(tuned)
    model.tokenizer.init_kwargs.pop("local_files_only", None)  # of how it was loaded, not of the model
    model.save_pretrained(str(output), create_model_card=False)
    write_text(output / CARD_FILE, f"{reranker_card(base, longest, weight)}\n")


def reranker_card(base: Path, longest: int, weight: float | None = None) -> "ModelCard":
    """README.md: what the hub reads, and how to use the model; no date, no path of this machine, no result.

    Args:
        base: folder of the model it was trained from.
        longest: tokens of a pair.
        weight: beside the score of the search; None: not known.
    """
    from huggingface_hub import ModelCard, ModelCardData

    origin = hub_id(base)
    facts: dict[str, Any] = {name: value for name, value in own_card(base).items() if name in TAKEN_OVER}
    if origin is not None:
        facts |= {"base_model": origin, "base_model_relation": "finetune"}
    data = ModelCardData(library_name="sentence-transformers", pipeline_tag="text-ranking", tags=list(TAGS), **facts)
    template = resources.files("embed_pipeline.finetune").joinpath("templates/reranker_card.md.j2").read_text("utf-8")
    card: ModelCard = ModelCard.from_template(data, template_str=template, longest=longest, weight=weight)
    return card
