"""A student: the base model with fewer of its layers, which costs less wherever it serves.

It is written as a model folder before the training, so that what is trained is what will be loaded.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embed_pipeline.encoders.base_model import find_base_model, read_config
from embed_pipeline.encoders.model_facts import CARD_FILE
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import sha256_json, temporary_folder, write_text
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

SETTING = "finetune.keep_layers"


def model_to_train(spec: EncoderSpec, settings: FinetuneSettings, work: Path) -> EncoderSpec:
    """The base model, or the student made of it in ``work``.

    Raises:
        SettingsError: the base model has no more layers than are to be kept, or none that can be found.
    """
    if settings.keep_layers is None:
        return spec
    made_of = [spec.version(), settings.keep_layers, settings.seed]
    folder = work / f"student-{sha256_json(made_of)[:16]}"
    if not folder.is_dir():
        from transformers import set_seed

        check_layers(spec, settings)
        set_seed(settings.seed)  # parts that the base model's files lack are drawn when it is loaded
        model = load_sentence_transformer(spec, "cpu")
        leave_out_layers(model, settings.keep_layers)
        model.tokenizer.init_kwargs.pop("local_files_only", None)  # of the environment, not of the model
        card = Path(spec.model) / CARD_FILE
        with temporary_folder(work, folder.name) as staged:
            model.save_pretrained(str(staged), create_model_card=False)
            if card.is_file():  # tells language and licence
                write_text(staged / CARD_FILE, card.read_text("utf-8", "replace"))
            staged.rename(folder)
    found = find_base_model(str(folder), setting=SETTING)
    return spec.model_copy(update={"model": str(found.path), "content_sha256": found.content_sha256})


def check_layers(spec: EncoderSpec, settings: FinetuneSettings) -> None:
    """Refuse to keep as many layers as there are.

    Raises:
        SettingsError: names the setting.
    """
    config = read_config(Path(spec.model) / "config.json")
    layers = config.get("num_hidden_layers") or config.get("n_layers") or config.get("num_layers")
    if settings.keep_layers is not None and layers is not None and settings.keep_layers >= layers:
        raise SettingsError(f"{SETTING} is {settings.keep_layers}, but the base model has {layers} layers. Keep fewer.")


def kept_layers(layers: int, keep: int) -> list[int]:
    """Which of ``layers`` layers are kept, from 0: ``keep`` of them at even distances.

    Of twelve 1, 4, 7 and 10, as in the example of sentence-transformers (model_distillation.py).
    """
    return [(2 * place + 1) * layers // (2 * keep) for place in range(keep)]


def leave_out_layers(model: "SentenceTransformer", keep: int) -> None:
    """Keep some layers of the transformer and make its configuration say so.

    Raises:
        SettingsError: there is no single list of as many layers as the configuration names.

    Args:
        keep: fewer than there are.
    """
    import torch

    body: Any = model[0].model
    count = int(body.config.num_hidden_layers)
    lists = [
        (name, part)
        for name, part in body.named_modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == count
    ]
    if len(lists) != 1:
        raise SettingsError(
            f"{SETTING} is {keep}, but no single list of the {count} layers of the base model "
            f"({body.config.model_type}) can be told. Leave the setting out, or choose another base model."
        )
    name, layers = lists[0]
    chosen = kept_layers(count, keep)
    parent, _, attribute = name.rpartition(".")
    setattr(body.get_submodule(parent), attribute, torch.nn.ModuleList(layers[place] for place in chosen))
    _number_anew(body.get_submodule(name))
    for key, value in body.config.to_dict().items():
        if isinstance(value, list) and len(value) == count:  # one entry a layer, such as layer_types
            setattr(body.config, key, [value[place] for place in chosen])
    body.config.num_hidden_layers = keep


def _number_anew(layers: "torch.nn.Module") -> None:
    """Some architectures number their layers, for caches."""
    for place, layer in enumerate(layers.children()):
        for part in layer.modules():
            if hasattr(part, "layer_idx"):
                setattr(part, "layer_idx", place)  # noqa: B010 - torch's types allow tensors and modules alone
