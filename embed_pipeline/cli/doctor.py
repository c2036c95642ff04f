"""``embed-pipeline doctor``: is everything there that a run needs?"""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.settings import Settings

NEEDED = ("torch", "sentence-transformers", "transformers", "dagster", "polars", "onnxruntime", "onnx")
EITHER = (("faiss-cpu", "faiss-gpu-cu12"), ("onnxruntime", "onnxruntime-gpu"))
LEAST_FREE_GB = 2.0

Finding = dict[str, str]


def examine(load: Callable[[], Settings], home: Path) -> list[Finding]:
    """Findings ``{"check", "state": "ok|warn|fail", "detail"}``; a failure means a run would fail.

    Args:
        load: gives the settings; its error is a finding too.
        home: the home folder.
    """
    findings = [_finding("python", "ok", sys.version.split()[0]), *_packages(), _gpu(), _disk(home)]
    try:
        settings = load()
    except EmbedPipelineError as error:
        return [*findings, _finding("settings", "fail", str(error))]
    findings.append(_finding("settings", "ok", f"base model {settings.base_model}, executor {settings.executor}"))
    return [*findings, _base_model(settings), _corpus(settings), _llm(settings)]


def _finding(check: str, state: str, detail: str) -> Finding:
    return {"check": check, "state": state, "detail": detail}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        version = _version(name)
        alternative = next((b for a, b in EITHER if a == name and _version(b)), None)
        if version or alternative:
            yield _finding(name, "ok", version or f"{alternative} {_version(alternative or '')}")
        else:
            yield _finding(name, "fail", "not installed: use the extra cpu or gpu, for example pip install '.[cpu]'")
    for cpu, gpu in EITHER:
        if _version(cpu) and _version(gpu):
            detail = f"{cpu} and {gpu} overwrite each other: uninstall one"
            yield _finding(f"{cpu} or {gpu}", "fail", detail)
        elif not (_version(cpu) or _version(gpu)):
            yield _finding(f"{cpu} or {gpu}", "fail", "neither is installed: use the extra cpu or gpu")


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return _finding("gpu", "warn", "torch is not installed")
    if not torch.cuda.is_available():
        return _finding("gpu", "ok", "none: everything runs on the CPU; tensorrt_engine is skipped")
    return _finding("gpu", "ok", torch.cuda.get_device_name(0))


def _disk(home: Path) -> Finding:
    existing = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return _finding("home", "fail", f"{existing} is not writable")
    state = "ok" if free >= LEAST_FREE_GB else "warn"
    return _finding("home", state, f"{home}, {free:.1f} GB free")


def _base_model(settings: Settings) -> Finding:
    from embed_pipeline.encoders.base_model import base_encoder_spec

    try:
        spec = base_encoder_spec(settings.base_model, settings.encoder)
    except EmbedPipelineError as error:
        return _finding("base model", "fail", str(error))
    return _finding(
        "base model",
        "ok",
        f"{settings.base_model}: {spec.dimensions[0]} dimensions, {spec.pooling} pooling, "
        f"{spec.attention} attention, prompts {spec.query_prompt!r} and {spec.passage_prompt!r}",
    )


def _corpus(settings: Settings) -> Finding:
    if settings.corpus.path is None:
        return _finding("corpus", "warn", "corpus.path is not set; pass --corpus DIR")
    from embed_pipeline.corpus.manifest import scan_corpus

    try:
        frame = scan_corpus(settings.corpus.path.expanduser(), settings.corpus)
    except EmbedPipelineError as error:
        return _finding("corpus", "fail", str(error))
    skipped = frame.filter(frame["status"] == "skipped").height
    return _finding("corpus", "warn" if skipped else "ok", f"{frame.height - skipped} files to read, {skipped} skipped")


def _llm(settings: Settings) -> Finding:
    llm = settings.sdg.llm
    if llm.base_url is None:
        return _finding("llm", "ok", "none configured: the offline generator writes the questions")
    key = os.environ.get(llm.api_key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{llm.base_url.rstrip('/')}/models", headers=headers, timeout=10)
    except httpx.HTTPError as error:
        return _finding("llm", "fail", f"{llm.base_url} cannot be reached: {type(error).__name__}")
    if answer.status_code in (401, 403):
        return _finding("llm", "fail", f"{llm.base_url} refuses the key in {llm.api_key_env} ({answer.status_code})")
    state = "ok" if answer.is_success else "warn"
    return _finding("llm", state, f"{llm.base_url} answers {answer.status_code}; model {llm.model}")
