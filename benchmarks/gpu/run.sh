#!/usr/bin/env bash
# What the encoder, the search and the training do on a GPU: results.json and results.md, see ../gpu.md.
#   benchmarks/gpu/run.sh [--quick] [--out FOLDER] [--model FOLDER] [--minutes N] [--only SECTION ...]
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
if [ -z "${PYTHON:-}" ]; then
  if [ -x "$root/.venv/bin/python" ]; then PYTHON="$root/.venv/bin/python"; else PYTHON=python3; fi
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM="${TOKENIZERS_PARALLELISM:-true}" PYTHONUNBUFFERED=1
exec "$PYTHON" "$root/benchmarks/gpu/bench.py" "$@"
