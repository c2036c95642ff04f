"""A batch shared out to two processes trains as one process does with the whole of it."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from embed_pipeline.encoders.torch_encoder import load_sentence_transformer
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.gather import from_others, have_others
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.teacher import load_teacher
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import tiny_model
from embed_pipeline_tests.finetune.share import columns_of, uneven_rows

SETTINGS = FinetuneSettings(hard_negatives=1, temperature=0.1)
WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "in pieces": {"grad_cache": "on", "mini_batch_size": 2},
    "smaller dimensions": {"matryoshka_dimensions": (8,)},
    "in pieces, smaller dimensions": {"grad_cache": "on", "mini_batch_size": 2, "matryoshka_dimensions": (8,)},
    "group": {"objective": "group"},
    "in pieces, with BM25": {"grad_cache": "on", "mini_batch_size": 2, "lexical_share": 0.3},
    "taught by the hybrid": {"teacher": "hybrid", "distillation_weight": 0.5},
}


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_two_processes_are_those_of_one(tmp_path, way):
    spec, settings = tiny_model(tmp_path / "base"), SETTINGS.model_copy(update=WAYS[way])
    out = tmp_path / "gradients.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "embed_pipeline_tests.finetune.share"]
    command += [spec.model_dump_json(), settings.model_dump_json(), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    model = load_sentence_transformer(spec, "cpu").eval()
    teacher = load_teacher(uneven_rows(), spec, settings, tmp_path / "work", "cpu")
    batch = Collator(uneven_rows(), model.preprocess, spec, settings, teacher)([{"row": row} for row in range(6)])
    build_loss(model, spec, settings, 6)(columns_of(batch), batch["label"]).backward()
    expected = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    torch.testing.assert_close(load_file(out), expected, atol=1e-4, rtol=1e-3)


def test_one_process_has_no_others():
    assert not have_others()
    assert from_others(["a passage"]) == []
