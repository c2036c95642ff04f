"""``embed-pipeline doctor``: is everything there that a run needs?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from embed_pipeline.cli.doctor_home import examine_home
from embed_pipeline.cli.packages import Accelerator, Finding, examine_packages, finding, installed
from embed_pipeline.encoders.loopback import is_loopback
from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.files import existing_part
from embed_pipeline.settings import Settings
from embed_pipeline.stages.inputs import uses_llm

LEAST_FREE_GB = 2.0


def examine(load: Callable[[], Settings], home: Path, deep: bool = False) -> list[Finding]:
    """Findings ``{"check", "state": "ok|warn|fail", "detail"}``; a failure means a run would fail.

    Args:
        load: gives the settings; its error is a finding too.
        home: the home folder.
        deep: read every byte of its artifacts and databases.
    """
    packages = examine_packages(installed(), _accelerator())
    findings = [finding("python", "ok", sys.version.split()[0]), *packages, _disk(home)]
    try:
        settings = load()
    except EmbedPipelineError as error:
        return [*findings, finding("settings", "fail", str(error)), *examine_home(home, None, deep)]
    findings.append(finding("settings", "ok", f"base model {settings.base_model}, executor {settings.executor}"))
    findings += [_base_model(settings), _corpus(settings, home), _llm(settings)]
    return findings + examine_home(home, settings, deep)


def _accelerator() -> Accelerator:
    try:
        import torch
    except ImportError:
        return Accelerator(_driver())
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    if torch.backends.mps.is_available():
        name = "Apple's (mps)"
    return Accelerator(_driver(), name, torch.version.cuda, _providers())


def _driver() -> str | None:
    """The version of NVIDIA's driver."""
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _providers() -> tuple[str, ...]:
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def _disk(home: Path) -> Finding:
    existing = existing_part(home)
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return finding("home", "fail", f"{existing} is not writable")
    state = "ok" if free >= LEAST_FREE_GB else "warn"
    return finding("home", state, f"{home}, {free:.1f} GB free")


def _base_model(settings: Settings) -> Finding:
    from embed_pipeline.encoders.base_model import base_encoder_spec

    try:
        spec = base_encoder_spec(settings.base_model, settings.encoder)
    except EmbedPipelineError as error:
        return finding("base model", "fail", str(error))
    return finding(
        "base model",
        "ok",
        f"{settings.base_model}: {spec.dimensions[0]} dimensions, {spec.pooling} pooling, "
        f"{spec.attention} attention, prompts {spec.query_prompt!r} and {spec.passage_prompt!r}",
    )


def _corpus(settings: Settings, home: Path) -> Finding:
    if settings.corpus.path is None:
        return finding("corpus", "warn", "corpus.path is not set; pass --corpus DIR")
    from embed_pipeline.stages.corpus import corpus_listing

    try:
        frame = corpus_listing(settings, home)
    except EmbedPipelineError as error:
        return finding("corpus", "fail", str(error))
    skipped = frame.filter(frame["status"] == "skipped").height
    where = f" at {settings.corpus.address}; nothing was fetched" if settings.corpus.address else ""
    told = f"{frame.height - skipped} files to read, {skipped} skipped{where}"
    return finding("corpus", "warn" if skipped else "ok", told)


def _who_writes(settings: Settings) -> str:
    """Where questions come from without a language model."""
    sdg = settings.sdg
    if not sdg.generates:
        return f"the questions are those of sdg.import_from {sdg.import_from}"
    beside = "" if sdg.import_from is None else f", beside those of sdg.import_from {sdg.import_from}"
    return f"the offline generator writes the questions{beside}"


def _llm(settings: Settings) -> Finding:
    llm = settings.sdg.llm
    if llm.base_url is None or not (uses_llm(settings) or settings.prep.denoise == "llm"):
        configured = "none configured" if llm.base_url is None else "not needed"
        return finding("llm", "ok", f"{configured}: {_who_writes(settings)}")
    from embed_pipeline.llm.prices import check_budget

    try:
        check_budget(settings.sdg)
    except EmbedPipelineError as error:
        return finding("llm", "fail", str(error))
    key = os.environ.get(llm.api_key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        url = f"{llm.base_url.rstrip('/')}/models"
        answer = httpx.get(url, headers=headers, timeout=10, trust_env=not is_loopback(url))
    except httpx.HTTPError as error:
        return finding("llm", "fail", f"{llm.base_url} cannot be reached: {type(error).__name__}")
    if answer.status_code in (401, 403):
        return finding("llm", "fail", f"{llm.base_url} refuses the key in {llm.api_key_env} ({answer.status_code})")
    state = "ok" if answer.is_success else "warn"
    return finding("llm", state, f"{llm.base_url} answers {answer.status_code}; model {llm.model}")
