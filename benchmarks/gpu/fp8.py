"""8-bit floats: torch's own scaled product, its rate and its error. No encoder runs in them yet."""

from typing import Any

from kit import Bench, seconds


def run(bench: Bench) -> None:
    import torch

    if not bench.on_gpu or torch.cuda.get_device_capability() < (8, 9):
        bench.measure("matrix", lambda: {"not_run": "needs a GPU of compute capability 8.9 or newer"})
        return
    for scaling in ("tensor", "row"):
        bench.measure(f"matrix_{scaling}_scales", lambda scaling=scaling: product(bench, scaling))


def product(bench: Bench, scaling: str) -> dict[str, Any]:
    """TFLOP/s of e4m3 times e4m3 into bf16, and the error against float32, with one scale or one for each row."""
    import torch

    size = bench.size(8192, 256)
    torch.manual_seed(0)
    left, right = torch.randn(size, size, device="cuda"), torch.randn(size, size, device="cuda")
    largest = torch.finfo(torch.float8_e4m3fn).max
    if scaling == "row":
        scales = [left.abs().amax(1, keepdim=True) / largest, right.abs().amax(1, keepdim=True) / largest]
    else:
        scales = [left.abs().max() / largest, right.abs().max() / largest]
    quantised = [(value / scale).to(torch.float8_e4m3fn) for value, scale in zip((left, right), scales, strict=True)]
    scale_b = scales[1].T if scaling == "row" else scales[1]

    def multiply() -> torch.Tensor:
        return torch._scaled_mm(
            quantised[0], quantised[1].T, scale_a=scales[0], scale_b=scale_b, out_dtype=torch.bfloat16
        )

    exact = left @ right.T
    error = float((multiply().float() - exact).norm() / exact.norm())
    taken = seconds(lambda: [multiply() for _ in range(10)])
    return {"tflops": round(20 * size**3 / taken / 1e12, 1), "relative_error": round(error, 5),
            "as_expected": error < 0.06}  # fmt: skip
