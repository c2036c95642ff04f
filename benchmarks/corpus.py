"""What does reading a corpus cost? Seconds and peak memory of every step, on Markdown of a chosen size.

    python benchmarks/corpus.py ../shared/corpora/nvidia-docs/docs ../shared/corpora/nih-health-docs/docs

The Markdown files of the folders are read in place; copies of them, each with its sections shuffled and three
words in ten exchanged for others, fill a temporary folder up to ``--files`` and ``--megabytes``; ``--sections`` takes
single sections instead of whole pages, for many small files. Every step runs in a process of its own, so that its peak
memory is its own; then a line is added to one file and every step runs once more with what is kept of the first time.
Tables of Markdown are printed at the end.
"""

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_CHANGED = 0.3
_WORD = re.compile(r"\b[a-z]{4,12}\b")
_BEFORE_HEADING = re.compile(r"^(?=#{1,6} )", re.MULTILINE)


def make_corpus(sources: Sequence[Path], folder: Path, files: int, megabytes: float, sections: bool = False) -> int:
    """Fill ``folder`` with varied copies; returns the bytes written. The same arguments give the same files."""
    paths = sorted(path for source in sources for path in source.rglob("*.md"))
    texts = [path.read_text("utf-8") for path in paths]
    if sections:
        texts = [part for text in texts for part in _BEFORE_HEADING.split(text) if 300 < len(part) < 3000]
    vocabulary = sorted({word for text in texts for word in _WORD.findall(text)})
    chooser = random.Random(0)
    written = taken = 0
    for number in range(files):
        parts: list[str] = []
        while not parts or written + sum(map(len, parts)) < megabytes * 1e6 * number / files:
            parts.append(_varied(texts[taken % len(texts)], vocabulary, chooser))
            taken += 1
        path = folder / f"part-{number % 30:02d}" / f"page-{number:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        written += path.write_bytes("\n\n".join(parts).encode())
    return written


def _varied(text: str, vocabulary: Sequence[str], chooser: random.Random) -> str:
    sections = _BEFORE_HEADING.split(text)
    chooser.shuffle(sections)
    return _WORD.sub(
        lambda match: chooser.choice(vocabulary) if chooser.random() < _CHANGED else match.group(), "".join(sections)
    )


# -- steps, each in a process of its own; tables go from one to the next as files ------------------------


def manifest(corpus: Path, work: Path) -> str:
    from embed_pipeline.corpus.manifest import scan_corpus
    from embed_pipeline.settings import CorpusSettings

    frame = scan_corpus(corpus, CorpusSettings())
    frame.write_parquet(work / "manifest.parquet")
    return f"{frame.height} files"


def documents(corpus: Path, work: Path) -> str:
    import polars as pl

    from embed_pipeline.corpus.documents import read_documents
    from embed_pipeline.corpus.kept import KeptCorpus
    from embed_pipeline.settings import CorpusSettings

    with KeptCorpus.of(work / "home") as kept:
        parsed = read_documents(corpus, pl.read_parquet(work / "manifest.parquet"), CorpusSettings(), kept)
    parsed.documents.write_parquet(work / "documents.parquet")
    return f"{parsed.documents.height} documents"


def passages(_: Path, work: Path) -> str:
    import polars as pl

    from embed_pipeline.corpus.kept import KeptCorpus
    from embed_pipeline.corpus.passages import cut_passages
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.settings import CorpusSettings, Settings

    settings = Settings()
    spec = base_encoder_spec(settings.base_model, settings.encoder)
    with KeptCorpus.of(work / "home") as kept:
        found = pl.read_parquet(work / "documents.parquet")
        frame = cut_passages(found, "files", None, spec, CorpusSettings(), kept)
    return f"{frame.height} passages, {frame['group_id'].n_unique()} groups"


STEPS: dict[str, Callable[[Path, Path], str]] = {"manifest": manifest, "documents": documents, "passages": passages}


def _run_step(name: str, corpus: Path, work: Path) -> None:
    """Run one step here and print what it took."""
    began = time.perf_counter()
    result = STEPS[name](corpus, work)
    seconds = time.perf_counter() - began
    own, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    row = {
        "step": name,
        "result": result,
        "seconds": seconds,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in (own, workers)),
        "own": own.ru_maxrss / 1024,
        "worker": workers.ru_maxrss / 1024,
    }
    print(json.dumps(row))


def _measure(corpus: Path, work: Path) -> list[dict[str, Any]]:
    rows = []
    for name in STEPS:
        command = [sys.executable, __file__, "--step", name, "--corpus", str(corpus), "--work", str(work)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
        print(rows[-1], file=sys.stderr)
    return rows


def _show(rows: Sequence[dict[str, Any]]) -> None:
    print("\n| step | result | seconds | CPU seconds | peak MiB, process | peak MiB, largest worker |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        figures = (f"{row['seconds']:.1f}", f"{row['cpu']:.1f}", f"{row['own']:.0f}", f"{row['worker']:.0f}")
        print(f"| {' | '.join((row['step'], row['result'], *figures))} |")
    seconds, cpu = (sum(row[name] for row in rows) for name in ("seconds", "cpu"))
    print(f"| together | | {seconds:.1f} | {cpu:.1f} | {max(row['own'] for row in rows):.0f} | |")


def main() -> None:
    """Make the folder, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, help="folders with Markdown files")
    parser.add_argument("--files", type=int, default=2700)
    parser.add_argument("--megabytes", type=float, default=40.0)
    parser.add_argument("--sections", action="store_true", help="files of one section each")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        _run_step(given.step, given.corpus, given.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus, work = Path(folder, "corpus"), Path(folder, "work")
        work.mkdir()
        size = make_corpus(given.sources, corpus, given.files, given.megabytes, given.sections)
        print(f"{given.files} files, {size / 1e6:.1f} MB of Markdown")
        _show(_measure(corpus, work))
        with (corpus / "part-00" / "page-00000.md").open("a") as file:
            file.write("\nOne more line of words that were not there before.\n")
        print("\nAgain, after a change of one file:")
        _show(_measure(corpus, work))


if __name__ == "__main__":
    main()
