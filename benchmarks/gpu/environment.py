"""The card, the software, and the rates that everything else is a share of."""

import importlib.metadata
import platform
import subprocess
from typing import Any

from kit import Bench, seconds

PACKAGES = (
    "torch", "transformers", "sentence-transformers", "tokenizers", "accelerate", "peft", "datasets", "safetensors",
    "numpy", "pydantic", "faiss-cpu", "faiss-gpu-cuvs", "polars", "dagster", "flash-attn",
)  # fmt: skip


def run(bench: Bench) -> None:
    bench.measure("versions", versions)
    bench.measure("card", card)
    for precision in ("bf16", "fp16", "tf32", "fp32"):
        bench.measure(f"matrix_tflops_{precision}", lambda precision=precision: matrix_rate(bench, precision))
    bench.measure("copy_gb_per_s", lambda: copy_rate(bench))


def versions() -> dict[str, Any]:
    import os

    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "cuda": torch.version.cuda}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def card() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"name": f"no GPU, {platform.processor() or platform.machine()}"}
    asked = ["nvidia-smi", "--query-gpu=driver_version,memory.total,clocks.sm,power.limit", "--format=csv,noheader"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip()
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "count": torch.cuda.device_count(),
        "capability": f"{properties.major}.{properties.minor}",
        "gib": round(properties.total_memory / 2**30, 1),
        "driver": told.partition(",")[0],
        "nvidia-smi": told,
        "bf16": torch.cuda.is_bf16_supported(),
    }


def matrix_rate(bench: Bench, precision: str) -> float:
    """TFLOP/s of a product of two square matrices of random numbers."""
    import torch

    size = bench.size(8192, 256)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    left, right = (torch.randn(size, size, device=bench.device).to(kind) for _ in range(2))
    products = bench.size(10, 2)

    def multiply() -> None:
        for _ in range(products):
            left @ right

    return round(2 * size**3 * products / seconds(multiply) / 1e12, 3)


def copy_rate(bench: Bench) -> float:
    """GB/s of a copy within the device's memory, bytes read and written."""
    import torch

    values = torch.empty(bench.size(1 << 30, 1 << 20), dtype=torch.float32, device=bench.device)
    target = torch.empty_like(values)
    return round(2 * values.nbytes / seconds(lambda: target.copy_(values)) / 1e9, 1)
