"""What the sections share: where they run, their models and texts, clocks, and a record that survives a kill."""

import gc
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from embed_pipeline.encoders.base_model import base_encoder_spec, find_base_model
from embed_pipeline.encoders.spec import EncoderSpec, Vectors
from embed_pipeline.encoders.torch_encoder import TorchEncoder, load_sentence_transformer
from embed_pipeline.files import write_json
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import EncoderSettings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "loft_stations" / "gold"
TRACEBACK_END = 3000
"""Characters of a traceback that are kept."""
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


@dataclass
class Bench:
    """One section under way.

    Attributes:
        file: where its results go, written anew after each of them.
        quick: tiny shapes.
        model: MiniLM, as a base model is named.
        work: scratch shared by the sections.
    """

    file: Path
    quick: bool
    model: str
    work: Path
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """``cuda`` where there is one, as ``encoder.device: auto`` chooses."""
        from embed_pipeline.encoders.torch_encoder import resolve_device

        return resolve_device("auto")

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def size(self, full: int, quick: int) -> int:
        """A number that ``--quick`` makes small."""
        return quick if self.quick else full

    def measure(self, name: str, function: Callable[[], Any]) -> Any:
        """Record what the function returns under ``name``, or the end of its traceback; None then."""
        began = time.perf_counter()
        value: Any = None
        try:
            value = function()
            self.results[name] = value
        except Exception as error:
            self.results[name] = {
                "failed": f"{type(error).__name__}: {str(error)[:500]}",
                "traceback": traceback.format_exc()[-TRACEBACK_END:],
            }
        finally:
            free_memory()
        write_json(self.file, self.results)
        print(f"  {name}: {time.perf_counter() - began:.1f} s {_short(self.results[name])}", file=sys.stderr)
        return value


def _short(value: Any) -> str:
    shown = value.get("failed", value) if isinstance(value, dict) else value
    return json.dumps(shown, default=str)[:200]


def free_memory() -> None:
    """Give back what the last measurement held on the GPU."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def synchronize() -> None:
    """Wait for the GPU, so that a clock can be read."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(function: Callable[[], Any], repeat: int = 3) -> float:
    """The shortest of ``repeat`` times after one that does not count, the GPU waited for."""
    function()
    times = []
    for _ in range(repeat):
        synchronize()
        began = time.perf_counter()
        function()
        synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def reset_peak() -> None:
    """Peak memory counts from here."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float | None:
    """Most GPU memory held by tensors since :func:`reset_peak`; None without a GPU."""
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None


# -- models ------------------------------------------------------------------------------------------------


def minilm(bench: Bench, length: int = 256) -> EncoderSpec:
    """MiniLM at a longest query and passage."""
    return base_encoder_spec(bench.model, EncoderSettings(max_query_length=length, max_passage_length=length))


def llama(bench: Bench, length: int = 256) -> EncoderSpec:
    """A bidirectional Llama of 1.24 billion random weights, shaped as Llama 3.2 1B; tiny with ``--quick``.

    It lies in ``work`` as nvidia/llama-nemotron-embed-1b-v2 does on the hub (``model_type: llama_bidirec``, bfloat16
    weights), but with MiniLM's tokenizer.
    """
    folder = bench.work / "llama"
    if not (folder / "complete").is_file():
        _write_llama(bench, folder)
    lengths = EncoderSettings(max_query_length=length, max_passage_length=length)
    return base_encoder_spec(str(folder), lengths).model_copy(update={"query_prompt": "query: "})


def _write_llama(bench: Bench, folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaModel

    shape = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32}
    shape |= {"num_key_value_heads": 8, "vocab_size": 128_256}
    if bench.quick:
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "vocab_size": 30_522}
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    with torch.device(bench.device):
        model = LlamaModel(LlamaConfig(**shape, max_position_embeddings=8192))
    model.bfloat16().save_pretrained(folder)
    del model
    config = json.loads((folder / "config.json").read_text("utf-8"))
    own = {"model_type": "llama_bidirec", "architectures": ["LlamaBidirectionalModel"], "pooling": "avg"}
    (folder / "config.json").write_text(json.dumps(config | own), "utf-8")
    base = find_base_model(bench.model).path
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    (folder / "complete").touch()
    free_memory()


def encoder(
    spec: EncoderSpec, device: str, precision: str = "fp32", batch_size: int = 32, attention: str | None = None
) -> TorchEncoder:
    """Our encoder; bf16 and fp16 cast the weights it loaded, since it has no setting for them (tf32 has no effect on
    a CPU). The precision of float32 products holds for the process, until the next call.
    """
    import torch

    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    model = load_sentence_transformer(spec, device, attention)
    if precision in ("bf16", "fp16"):
        model = model.to(torch.bfloat16 if precision == "bf16" else torch.float16)
    return TorchEncoder(spec, model, batch_size)


def flops(encoder: TorchEncoder, texts: int, tokens: int) -> float:
    """Floating-point operations of a forward pass: 2 for each weight of a matrix and token, and the attention's."""
    body = encoder.model[0].model
    matrices = sum(
        value.numel()
        for name, value in body.named_parameters()
        if value.dim() == 2 and not any(part in name.lower() for part in ("embed", "pooler"))
    )
    config = body.config
    attention = 4 * config.num_hidden_layers * tokens * config.hidden_size
    return float(texts) * tokens * (2 * matrices + attention)


# -- texts and figures -------------------------------------------------------------------------------------


def sample() -> RetrievalSet:
    """The gold set of the bundled sample: its passages, questions and judgements."""
    return read_retrieval_set(SAMPLE, "test", "gold")


def texts_of(words: Sequence[int], seed: int = 0) -> list[str]:
    """Texts of so many words each, strung together from the bundled sample; the same seed gives the same texts."""
    pool = " ".join(sample().passages.values()).split()
    starts = np.random.default_rng(seed).integers(0, len(pool), len(words)).tolist()
    doubled = pool * (2 + max(words, default=0) // len(pool))
    return [" ".join(doubled[start : start + count]) for start, count in zip(starts, words, strict=True)]


def lowest_cosine(found: Vectors, wanted: Vectors) -> float:
    """The least similar pair of rows."""
    left, right = found.astype(np.float64), wanted.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return round(float((np.einsum("nd,nd->n", left, right) / lengths).min()), 9)
