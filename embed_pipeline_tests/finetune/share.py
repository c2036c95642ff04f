"""What each process of the test of gradients across processes runs, under torchrun.

``python -m torch.distributed.run … -m embed_pipeline_tests.finetune.share SPEC SETTINGS OUT``: half of a batch of six,
forward and backward under DistributedDataParallel; rank 0 writes the gradients to the file OUT.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.gather import from_others
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.teacher import load_teacher
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import rows


def uneven_rows():
    """Six rows; the last has no negatives, so that its process has fewer passages."""
    *before, last = rows(6)
    return [*before, replace(last, negative_ids=[], negatives=[], negative_groups=[])]


def columns_of(batch):
    """The columns as the trainer hands them to a loss."""
    return [
        {name.removeprefix(f"{role}_"): value for name, value in batch.items() if name.startswith(role)}
        for role in ("query", "passage")
    ]


def main(spec_json: str, settings_json: str, out: str) -> None:
    torch.distributed.init_process_group("gloo")
    spec = EncoderSpec.model_validate_json(spec_json)
    settings = FinetuneSettings.model_validate_json(settings_json)
    model = load_sentence_transformer(spec, "cpu").eval()  # no dropout
    loss = build_loss(model, spec, settings, 3)
    shared = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)  # as the trainer wraps it
    for module in loss.modules():
        if getattr(module, "model", None) is model:
            module.model = shared
    rank = int(os.environ["RANK"])
    teacher = load_teacher(uneven_rows(), spec, settings, Path(out).parent / "work", "cpu")
    collate = Collator(uneven_rows(), model.preprocess, spec, settings, teacher, from_others)
    batch = collate([{"row": row} for row in range(3 * rank, 3 * rank + 3)])
    loss(columns_of(batch), batch["label"]).backward()
    if rank == 0:
        save_file({name: value.grad for name, value in model.named_parameters() if value.grad is not None}, out)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
