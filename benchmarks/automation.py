"""What does a look of the corpus sensor cost? Wall and CPU seconds over a folder of many files.

    python benchmarks/automation.py --files 100000

Writes that many small files to a temporary folder. Then: everything is hashed for the first time; nothing has changed
and the sensor remembers so (it lists the folder); nothing has changed and it compares with the cache; one file in a
thousand has changed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from embed_pipeline.corpus.fingerprint_cache import RACY_SECONDS, read_state, signature
from embed_pipeline.corpus.walk import look_at

_TEXT = "A line of text that a document may hold.\n" * 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as temporary:
        corpus, cache = Path(temporary) / "corpus", Path(temporary) / "cache.json"
        for number in range(count):
            _write(corpus, number, _TEXT)
        time.sleep(RACY_SECONDS + 0.5)  # what was written just now is not remembered
        print("| look | seconds | CPU seconds |\n| --- | --- | --- |")
        _measure("the first: every file is hashed", lambda: read_state(look_at(corpus), cache))
        _measure("nothing has changed, and the sensor remembers it", lambda: signature(look_at(corpus)))
        _measure("nothing has changed, compared with the cache", lambda: read_state(look_at(corpus), cache))
        for number in range(0, count, 1000):
            _write(corpus, number, f"{_TEXT}One more.")
        _measure("one file in a thousand has changed", lambda: read_state(look_at(corpus), cache))
        print(f"\n{count} files, cache of {cache.stat().st_size / 1e6:.1f} MB")


def _write(corpus: Path, number: int, text: str) -> None:
    path = corpus / f"part-{number % 1000:03d}" / f"page-{number:06d}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {number}\n{text}")


def _measure(name: str, look: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    look()
    print(f"| {name} | {time.perf_counter() - wall:.1f} | {time.process_time() - cpu:.1f} |", flush=True)


if __name__ == "__main__":
    main()
