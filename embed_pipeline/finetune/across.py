"""In-batch negatives across processes: a question meets the passages of every process's batch.

So ``finetune.batch_size`` means the same whatever the number of GPUs. Each process needs the passages' vectors and,
to know which of them answer its questions, their names; both come in the same order everywhere: one's own first, then
those of the others by rank. Collectives are called by all processes at the same points, by none where only one trains.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def others() -> bool:
    """Whether other processes train along."""
    import torch

    return bool(torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1)


def from_others(mine: Sequence[T]) -> list[T]:
    """What the other processes hold, by rank."""
    import torch

    if not others():
        return []
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, list(mine))
    rank = torch.distributed.get_rank()
    return [item for place, part in enumerate(parts) if place != rank for item in part]


def with_others(vectors: "torch.Tensor") -> "torch.Tensor":
    """[n, d] -> [n of all processes, d], own first; the gradient flows back to the process a vector comes from."""
    import torch

    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    sizes = [torch.zeros(1, dtype=torch.int64, device=vectors.device) for _ in range(world)]
    torch.distributed.all_gather(sizes, torch.full_like(sizes[0], len(vectors)))
    counts = [int(size) for size in sizes]
    padded = torch.nn.functional.pad(vectors, (0, 0, 0, max(counts) - len(vectors)))
    parts = _gather()(padded)
    return torch.cat([vectors, *(parts[place, :count] for place, count in enumerate(counts) if place != rank)])


@cache
def _gather() -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """[n, d] of each process -> [processes, n, d]."""
    import torch

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, mine: torch.Tensor) -> torch.Tensor:
            parts = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather(parts, mine.contiguous())
            return torch.stack(parts)

        @staticmethod
        def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
            total = gradient.clone(memory_format=torch.contiguous_format)
            torch.distributed.all_reduce(total)
            return total[torch.distributed.get_rank()]

    apply: Callable[[torch.Tensor], torch.Tensor] = Gather.apply
    return apply
