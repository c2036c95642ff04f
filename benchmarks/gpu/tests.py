"""The test files that run with what is there: on a machine with a GPU those that skip without one."""

import importlib.util
import re
import subprocess
import sys
from typing import Any

from kit import ROOT, Bench

FILES = ("test_cuda.py", "retrieval/test_search.py", "finetune/test_batches.py", "finetune/test_collate.py")
"""Of those that need neither a server nor a packaged model."""


def run(bench: Bench) -> None:
    missing = [name for name in ("pytest", "pytest_timeout", "hypothesis") if importlib.util.find_spec(name) is None]
    if missing:
        bench.measure("pytest", lambda: {"not_run": f"not installed: {', '.join(missing)}"})
        return
    for name in FILES[: bench.size(len(FILES), 1)]:
        bench.measure(name, lambda name=name: tested(name))


def tested(name: str) -> dict[str, Any]:
    """How the file ended; warnings are no errors here, since versions differ from the tested ones."""
    command = [sys.executable, "-m", "pytest", f"embed_pipeline_tests/{name}", "-p", "no:cacheprovider", "-rs"]
    ended = subprocess.run([*command, "-o", "filterwarnings=default"], cwd=ROOT, capture_output=True, text=True)
    counts = re.findall(r"(\d+) (passed|failed|skipped|error)", ended.stdout)
    found: dict[str, Any] = {kind: int(number) for number, kind in counts}
    found["as_expected"] = ended.returncode in (0, 5)
    if ended.returncode:
        found["output"] = (ended.stdout + ended.stderr)[-3000:]
    return found
