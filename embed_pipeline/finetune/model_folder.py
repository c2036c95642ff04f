"""The tuned model as a folder that sentence-transformers and this package load."""

from pathlib import Path

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.model_facts import CARD_FILE
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import TrainingError
from embed_pipeline.files import write_text
from embed_pipeline.finetune.averaging import averaged
from embed_pipeline.finetune.lora import merged_weights
from embed_pipeline.finetune.model_card import model_card
from embed_pipeline.settings import FinetuneSettings


def write_model(spec: EncoderSpec, trained: Path, output: Path, settings: FinetuneSettings) -> EncoderSpec:
    """Write the weights of the checkpoint ``trained`` as a model folder, with ``encoder.json`` and README.md.

    Everything but the weights comes from the base model: a checkpoint's tokenizer remembers the last
    truncation, which would make the files depend on the course of the training.

    Args:
        spec: the base model.
        trained: folder with the trained weights, or with adapters, which are merged.
        output: becomes the model folder.
        settings: ``base_weight`` is the share of the base model's weights in the result, see
            :mod:`embed_pipeline.finetune.averaging`.

    Returns:
        The spec of the written model; its hash covers weights, tokenizer and configuration.

    Raises:
        TrainingError: the weights hold values that are not numbers.
    """
    import torch

    model = load_sentence_transformer(spec, "cpu")
    if settings.lora.rank:
        tuned = merged_weights(spec, settings, trained)
    else:
        tuned = load_sentence_transformer(spec.model_copy(update={"model": str(trained)}), "cpu").state_dict()
    broken = [name for name, value in tuned.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"The trained weights {broken[0]} are not numbers. Lower finetune.learning_rate.")
    if settings.base_weight:
        tuned = averaged(model.state_dict(), tuned, settings.base_weight)
    model.load_state_dict(tuned)
    model.prompts = {"query": spec.query_prompt, "document": spec.passage_prompt}
    model.tokenizer.init_kwargs.pop("local_files_only", None)  # of the environment (HF_HUB_OFFLINE), not of the model
    model.save_pretrained(str(output), create_model_card=False)
    written = spec.model_copy(
        update={"model": str(output), "content_sha256": find_base_model(str(output)).content_sha256}
    )
    written.save(output)
    write_text(output / CARD_FILE, f"{model_card(written, Path(spec.model))}\n")
    return written
