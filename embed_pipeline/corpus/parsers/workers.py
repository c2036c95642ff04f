"""Reading files in several processes, a line of JSON to and fro: ``python -m embed_pipeline.corpus.parsers.workers``.

Plain subprocesses rather than a pool of :mod:`multiprocessing`: nothing is pickled, a script that calls this
without a main guard is not run again, and a worker ends by itself when whoever started it is gone.
"""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

from embed_pipeline.corpus.parsers.file import DocumentRow, FileBatch, Skipped, parse_batch
from embed_pipeline.errors import InputError, StageError

_MOST_PROCESSES = 8
_BATCHES_PER_PROCESS = 2
_PACKAGE_FOLDER = Path(__file__).parents[3]

Parsed = list[DocumentRow | Skipped]


def default_processes() -> int:
    """One process per core that this one may use, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_PROCESSES)


def parse_batches(batches: Iterable[FileBatch], processes: int) -> Iterator[Parsed]:
    """What :func:`~embed_pipeline.corpus.parsers.file.parse_batch` gives, in the order of the batches.

    Args:
        batches: at most two per process are under way, so that memory stays bounded.
        processes: with 1 everything happens in this process.

    Raises:
        InputError: as ``parse_batch``.
        StageError: a process ended before its time.
    """
    if processes < 2:
        yield from map(parse_batch, batches)
        return
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker()) for _ in range(processes)]
        idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for worker in workers:
            idle.put(worker)
        threads = stack.enter_context(ThreadPoolExecutor(processes))
        stack.enter_context(_killed_on_error(workers, threads))
        waiting: deque[Future[Parsed]] = deque()
        for batch in batches:
            waiting.append(threads.submit(_ask_one, idle, batch))
            if len(waiting) >= processes * _BATCHES_PER_PROCESS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _worker() -> "Iterator[subprocess.Popen[bytes]]":
    paths = [str(_PACKAGE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "embed_pipeline.corpus.parsers.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.communicate()  # the end of its input is the end of it


@contextmanager
def _killed_on_error(workers: "list[subprocess.Popen[bytes]]", threads: ThreadPoolExecutor) -> Iterator[None]:
    """Nobody waits for files that are no longer wanted, after Ctrl-C for example."""
    try:
        yield
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        raise


def _ask_one(idle: "SimpleQueue[subprocess.Popen[bytes]]", batch: FileBatch) -> Parsed:
    worker = idle.get()
    try:
        return _ask(worker, batch)
    finally:
        idle.put(worker)


def _ask(worker: "subprocess.Popen[bytes]", batch: FileBatch) -> Parsed:
    assert worker.stdin is not None
    assert worker.stdout is not None
    question = json.dumps([str(batch.root), batch.files, batch.min_document_chars, batch.ocr])
    try:
        worker.stdin.write(question.encode() + b"\n")
        worker.stdin.flush()
        answer = json.loads(worker.stdout.readline())
    except (OSError, ValueError) as error:
        first, last = batch.files[0][0], batch.files[-1][0]
        raise StageError(
            f"A process that reads documents ended before its time, between {first} and {last}; the machine may be "
            "out of memory. Set corpus.processes to 1, or remove the file that it cannot bear."
        ) from error
    if isinstance(answer, str):
        raise InputError(answer)
    return [row if isinstance(row, dict) else Skipped(*row) for row in answer]


def _answer(question: str) -> object:
    root, files, least, ocr = json.loads(question)
    try:
        return parse_batch(FileBatch(Path(root), [(path, sha256) for path, sha256 in files], least, ocr))
    except InputError as error:
        return str(error)


def main() -> None:
    """Answer every line of standard input until it ends; whatever a parser prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one closes its input
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    for question in sys.stdin:
        print(json.dumps(_answer(question)), file=answers, flush=True)


if __name__ == "__main__":
    main()
