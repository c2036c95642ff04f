"""One of several training processes: ``torchrun … -m embed_pipeline.finetune JOB_FOLDER``."""

import sys
from pathlib import Path

from embed_pipeline.finetune.torchrun import run_process

if __name__ == "__main__":
    sys.exit(run_process(Path(sys.argv[1])))
