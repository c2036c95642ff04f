"""In-batch negatives across processes: a question meets the passages of every process's batch.

So ``finetune.batch_size`` means the same whatever the number of GPUs. Each process needs the passages' vectors and,
to know which of them answer its questions, their names; both come in the same order everywhere: one's own first, then
those of the others by rank. Collectives are called by all processes at the same points, by none where only one trains.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def have_others() -> bool:
    """Whether other processes train along."""
    from sentence_transformers.util import get_world_size

    return get_world_size() > 1


def from_others(mine: Sequence[T]) -> list[T]:
    """What the other processes hold, by rank."""
    import torch
    from sentence_transformers.util import get_rank, get_world_size

    if not have_others():
        return []
    parts: list[Any] = [None] * get_world_size()
    torch.distributed.all_gather_object(parts, list(mine))
    del parts[get_rank()]
    return [item for part in parts for item in part]


def with_others(vectors: "torch.Tensor") -> "torch.Tensor":
    """[n, d] -> [n of all processes, d], own first; the gradient flows back to the process a vector comes from."""
    import torch
    from sentence_transformers.util import all_gather, all_gather_with_grad, get_rank

    counts = all_gather(torch.tensor([len(vectors)], device=vectors.device)).tolist()
    padded = torch.nn.functional.pad(vectors, (0, 0, 0, max(counts) - len(vectors)))
    parts = list(torch.split(all_gather_with_grad(padded), max(counts)))
    others = [part[:count] for part, count in zip(parts, counts, strict=True)]
    del others[get_rank()]
    return torch.cat([vectors, *others])
