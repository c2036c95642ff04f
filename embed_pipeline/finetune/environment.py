"""Training under transformers: its own output switched off, its failures explained in this package's words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embed_pipeline.encoders.torch_encoder import resolve_device
from embed_pipeline.errors import EmbedPipelineError, SettingsError, TrainingError, disk_full
from embed_pipeline.settings import FinetuneSettings

_FULL = ("No space left", "file write failed", "File too large", "Disk quota exceeded")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Inside the block only errors of transformers are shown, and no bars; afterwards all is as before."""
    from transformers.utils import logging as module

    logging: Any = module
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def explained_failures(work: Path) -> Iterator[None]:
    """Translate what torch and safetensors raise for a full disk or full GPU memory.

    Raises:
        DiskFullError: no space left under ``work``.
        TrainingError: the batch does not fit into the GPU's memory.
    """
    try:
        yield
    except EmbedPipelineError:
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise TrainingError(
                "The GPU's memory is too small for this training. Set finetune.mini_batch_size to less (with "
                "finetune.grad_cache on), lower finetune.max_passage_length, finetune.batch_size or "
                "finetune.hard_negatives, or choose a smaller base_model."
            ) from error
        number = error.errno if isinstance(error, OSError) else None
        named = any(sign in str(error) for sign in _FULL)
        full = disk_full(OSError(errno.ENOSPC if named else number or 0, str(error)), work)
        if full is None:
            raise
        raise full from error


def training_device(device: str) -> str:
    """``cpu`` or ``cuda``; Apple's GPU (``mps``) encodes and searches, but training stays on the CPU.

    Raises:
        SettingsError: a GPU other than the first visible one, which the trainer cannot be made to use.
    """
    resolved = resolve_device(device)
    if resolved == "mps":
        return "cpu"
    if resolved in ("cpu", "cuda", "cuda:0"):
        return resolved.partition(":")[0]
    raise SettingsError(
        f"encoder.device is {device}, but training takes the first visible GPU. "
        f"Set CUDA_VISIBLE_DEVICES={resolved.partition(':')[2] or 0} and encoder.device to cuda."
    )


def trains_in_bf16(settings: FinetuneSettings, device: str) -> bool:
    """Whether ``finetune.precision`` asks for bf16, or leaves the choice and the device multiplies it in hardware.

    GPUs do from Ampere on, CPUs with AMX, where a training step of MiniLM takes half the time.
    """
    import torch

    if settings.precision != "auto":
        return settings.precision == "bf16"
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_amx_tile_supported())
