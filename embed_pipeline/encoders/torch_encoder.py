"""How a text becomes a vector, decided once.

An :class:`EncoderSpec` travels inside every model artifact as ``encoder.json``. Mining, training,
evaluation, export and serving read it from there, so they cannot disagree. Anything with the methods of
:class:`Encoder` will do: the torch model here, ONNX Runtime, an HTTP endpoint.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.families import NATIVE, Prompts, known_prompts, native_folder
from embed_pipeline.errors import ArtifactError, ModelAccessError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.progress import task
from embed_pipeline.settings import EncoderSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]
Role = Literal["query", "passage"]
PoolingMode = Literal["mean", "cls", "last"]
SPEC_FILE = "encoder.json"
PLURAL: dict[Role, str] = {"query": "queries", "passage": "passages"}


class EncoderSpec(BaseModel):
    """Everything that decides a text's vector.

    Attributes:
        model: folder of the model; not part of the version.
        content_sha256: hash over the model's files.
        max_query_length, max_passage_length: tokens, special tokens included.
        dimensions: sizes offered, the full one first; smaller ones are prefixes, renormalised (Matryoshka).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    content_sha256: str
    pooling: PoolingMode = "mean"
    normalize: bool = True
    query_prompt: str = ""
    passage_prompt: str = ""
    max_query_length: int
    max_passage_length: int
    padding_side: Literal["left", "right"] = "right"
    add_special_tokens: bool = True
    attention: Literal["causal", "bidirectional"] = "bidirectional"
    dimensions: tuple[int, ...]
    trust_remote_code: bool = False

    def version(self) -> str:
        """Hash of everything but the place of the model."""
        return sha256_json(self.model_dump(exclude={"model"}))

    def prompt(self, role: Role) -> str:
        """What is put before a text of this role."""
        return self.query_prompt if role == "query" else self.passage_prompt

    def max_length(self, role: Role) -> int:
        """Tokens of a text of this role."""
        return self.max_query_length if role == "query" else self.max_passage_length

    def save(self, folder: Path) -> None:
        """Write ``encoder.json`` into a model folder."""
        write_json(folder / SPEC_FILE, self.model_dump(mode="json", exclude={"model"}))

    @classmethod
    def load(cls, folder: Path) -> "EncoderSpec":
        """Read ``encoder.json`` of a model folder.

        Raises:
            ArtifactError: missing or invalid.
        """
        try:
            values = json.loads((folder / SPEC_FILE).read_text("utf-8"))
            return cls.model_validate({**values, "model": str(folder)})
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{folder / SPEC_FILE}: not a readable encoder spec: {error}") from error


class Encoder(Protocol):
    """Texts in, float32 vectors of shape [texts, dimensions] out, normalised if the spec says so."""

    @property
    def spec(self) -> EncoderSpec: ...
    def encode(self, texts: Sequence[str], role: Role) -> Vectors: ...


def base_encoder_spec(base_model: str, settings: EncoderSettings) -> EncoderSpec:
    """The spec of a base model: what its own files say, overridden by the settings.

    Raises:
        ModelAccessError: see :func:`embed_pipeline.encoders.base_model.find_base_model`; or it has a layer or a pooling
            that is not supported.
    """
    found = find_base_model(base_model, settings.revision, settings.sha256)
    config = _read_json(found.path / "config.json")
    _check_modules(base_model, found.path)
    prompts = _read_json(found.path / "config_sentence_transformers.json").get("prompts") or {}
    hidden = int(config.get("hidden_size") or config.get("dim") or 0)
    if not hidden:
        raise ModelAccessError(f"base_model {base_model}: config.json names no hidden_size.")
    limit = int(config.get("max_position_embeddings") or 512)
    for name in ("query", "passage"):
        asked = getattr(settings, f"max_{name}_length")
        if asked > limit:
            raise ModelAccessError(
                f"encoder.max_{name}_length is {asked}, but {base_model} takes at most {limit} tokens."
            )
    family = known_prompts(base_model, found.path) or Prompts("", "")
    return EncoderSpec(
        model=str(found.path),
        content_sha256=found.content_sha256,
        pooling=settings.pooling or _pooling_of(base_model, found.path),
        query_prompt=_first(settings.query_prompt, prompts.get("query"), family.query),
        passage_prompt=_first(settings.passage_prompt, prompts.get("passage", prompts.get("document")), family.passage),
        max_query_length=settings.max_query_length,
        max_passage_length=settings.max_passage_length,
        attention=settings.attention or _attention_of(config),
        dimensions=(hidden,),
        trust_remote_code=settings.trust_remote_code,
    )


def _first(*values: str | None) -> str:
    return next(value for value in values if value is not None)


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelAccessError(f"{path}: not valid JSON: {error}") from error


_MODULES = ("Transformer", "Pooling", "Normalize")
_POOLINGS: dict[str, PoolingMode] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_POOLING_FLAGS = {  # sentence-transformers < 6 wrote pooling_mode_<flag>: true
    "cls_token": "cls",
    "mean_tokens": "mean",
    "max_tokens": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}


def _check_modules(name: str, folder: Path) -> None:
    """Refuse a model that would be another one without its further layers."""
    for module in _read_json(folder / "modules.json"):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in _MODULES:
            raise ModelAccessError(f"base_model {name}: its {kind} layer is not supported, only {', '.join(_MODULES)}.")


def _pooling_of(name: str, folder: Path) -> PoolingMode:
    """How the model's own files pool; mean when they do not say."""
    config = _read_json(folder / "1_Pooling" / "config.json")
    chosen = [mode for flag, mode in _POOLING_FLAGS.items() if config.get(f"pooling_mode_{flag}")]
    said = config.get("pooling_mode", chosen or ["mean"])
    modes = [said] if isinstance(said, str) else list(said)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelAccessError(
            f"base_model {name}: its pooling {'+'.join(modes)} is not supported, only {', '.join(_POOLINGS)}; "
            "set encoder.pooling to choose one of mean, cls, last."
        )
    return _POOLINGS[modes[0]]


def load_sentence_transformer(
    spec: EncoderSpec, device: str = "auto", attention_implementation: str | None = None
) -> "SentenceTransformer":
    """The torch model of a spec as transformer, pooling, normalisation (float32 weights).

    Args:
        attention_implementation: eager, sdpa or flash_attention_2; None: as transformers chooses.

    Raises:
        ModelAccessError: the folder cannot be loaded, or not with this attention implementation.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    trust: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code}
    attention = {} if attention_implementation is None else {"attn_implementation": attention_implementation}
    config = _read_json(Path(spec.model) / "config.json")
    try:
        with native_folder(Path(spec.model), config) as folder:
            body = Transformer(
                str(folder),
                max_seq_length=spec.max_passage_length,
                config_kwargs=trust,
                model_kwargs=trust | attention,
                processor_kwargs=trust,
            )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ModelAccessError(f"{spec.model}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if _is_decoder(config):
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


_DECODERS = ("llama", "mistral", "mixtral", "qwen", "gemma", "phi", "olmo", "granite", "gpt")


def _is_decoder(config: Mapping[str, Any]) -> bool:
    """Whether the architecture attends causally unless told otherwise."""
    family = str(config.get("model_type", "")).lower()
    return bool(config.get("is_decoder")) or family.startswith(_DECODERS)


def _attention_of(config: Mapping[str, Any]) -> Literal["causal", "bidirectional"]:
    """What the model's own files say: decoders are causal unless ``is_causal`` is false or their name says it."""
    if config.get("model_type") in NATIVE:
        return "bidirectional"
    return "causal" if _is_decoder(config) and config.get("is_causal") is not False else "bidirectional"


def resolve_device(device: str) -> str:
    """``auto`` becomes cuda where there is a GPU, else cpu."""
    if device != "auto":
        return device
    import torch

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
