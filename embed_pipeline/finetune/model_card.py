"""The card of a tuned model, README.md of its folder: what the hub reads, and how to use the model.

It is part of the model's version, so it holds no date, no path of this machine and no result: those are filled in when
a model is published.
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.base_model import hub_id
from embed_pipeline.encoders.model_facts import own_card
from embed_pipeline.encoders.spec import EncoderSpec

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction")
TAKEN_OVER = ("language", "license", "license_name", "license_link")
"""Of the base model's own card: what holds for a model tuned from it as well."""


def model_card(spec: EncoderSpec, base: Path) -> "ModelCard":
    """The card of a tuned model.

    Args:
        spec: of the tuned model.
        base: folder of the base model; its hub id, where it is known, and what its card says of language and license
            stand on the tuned model's card.
    """
    from huggingface_hub import ModelCard, ModelCardData

    origin = hub_id(base)
    facts: dict[str, Any] = {name: value for name, value in own_card(base).items() if name in TAKEN_OVER}
    if origin is not None:
        facts |= {"base_model": origin, "base_model_relation": "finetune"}
    data = ModelCardData(
        library_name="sentence-transformers", pipeline_tag="sentence-similarity", tags=list(TAGS), **facts
    )
    shown = spec.model_dump(exclude={"model", "content_sha256", "query_prompt", "passage_prompt"})
    prompts = {"query_prompt": _shown(spec.query_prompt), "passage_prompt": _shown(spec.passage_prompt)}
    template = resources.files("embed_pipeline.finetune").joinpath("templates/model_card.md.j2").read_text("utf-8")
    card: ModelCard = ModelCard.from_template(data, template_str=template, **shown, **prompts)
    return card


def _shown(prompt: str) -> str:
    """A prompt in a cell of a Markdown table."""
    return f"`{prompt!r}`".replace("|", r"\|") if prompt else "none"
