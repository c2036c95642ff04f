"""What the files of well-known model families leave unsaid: prompts, and architectures that need no code of their own.

Prompts are known by name alone (a hub id, its folder in the hub's cache, or a folder of the same name), since these
models' files do not carry them. Settings override them; ``embed-pipeline doctor`` and every model folder's
``encoder.json`` show which ones are in use.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Prompts(NamedTuple):
    """Put before queries and passages, verbatim."""

    query: str
    passage: str


_E5 = Prompts("query: ", "passage: ")
_PROMPTS: tuple[tuple[str, Prompts], ...] = (
    # Model cards of the families: huggingface.co/intfloat, huggingface.co/BAAI, huggingface.co/nvidia.
    (r"intfloat/(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?", _E5),
    (
        r"BAAI/bge-(small|base|large)-en(-v1\.5)?",
        Prompts("Represent this sentence for searching relevant passages: ", ""),
    ),
    (r"BAAI/bge-(small|base|large)-zh(-v1\.5)?", Prompts("为这个句子生成表示以用于检索相关文章:", "")),
    (r"nvidia/llama-(3\.2-nv-embedqa|nemotron-embed)-1b-v2", _E5),
)
NATIVE = {"llama_bidirec": "llama"}
"""Model types with code of their own whose architecture transformers has, with attention in both directions."""


def known_prompts(name: str, folder: Path) -> Prompts | None:
    """The prompts of a well-known model; None for any other.

    Args:
        name: as in ``base_model``.
        folder: where it lies.
    """
    cached = cached_hub_id(folder)
    for pattern, prompts in _PROMPTS:
        candidates = [name, folder.name] + ([cached] if cached else [])
        short = pattern.partition("/")[2]
        if any(re.fullmatch(pattern, one) or re.fullmatch(short, one) for one in candidates):
            return prompts
    return None


def cached_hub_id(folder: Path) -> str | None:
    """The hub id of a model folder in the hub's cache (``models--owner--name/snapshots/revision``); None elsewhere."""
    cached = re.search(r"models--([^/]+)--([^/]+)/snapshots/", f"{folder.as_posix()}/")
    return f"{cached[1]}/{cached[2]}" if cached else None


def native_config(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config under which transformers loads a model of :data:`NATIVE` without its code; None for any other."""
    kind = NATIVE.get(str(config.get("model_type", "")))
    if kind is None:
        return None
    kept = {name: value for name, value in config.items() if name not in ("auto_map", "architectures", "pooling")}
    return kept | {"model_type": kind, "architectures": ["LlamaModel"], "is_causal": False}


@contextmanager
def native_folder(folder: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """The folder of a model of :data:`NATIVE` as transformers can read it: its files, with another config.json.

    For any other model the folder itself. Nothing is written into it.
    """
    native = native_config(config)
    if native is None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        view = Path(name)
        for file in folder.iterdir():
            if file.name != "config.json" and file.suffix != ".py":
                (view / file.name).symlink_to(file.resolve(), target_is_directory=file.is_dir())
        (view / "config.json").write_text(json.dumps(native), "utf-8")
        yield view
