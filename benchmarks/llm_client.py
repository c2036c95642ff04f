"""How close the chat client comes to what an endpoint can give, and whether its memory stays flat.

    .venv/bin/python benchmarks/llm_client.py

The endpoint runs in a process of its own and answers every request after a fixed time, so with N requests in
flight at most N / latency answers a second are possible. Prompts of 8 kB, answers of 3 kB; every reply is on the
disk (fsync) before it counts. Prints the table of benchmarks/llm_client.md.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMPT_BYTES, ANSWER_BYTES = 8000, 3000


def answer_bytes() -> bytes:
    """A whole HTTP response: 4 questions in a chat completion of about 3 kB."""
    text = "the lock is opened when the gauge shows less than the limit on both sides; " * 100
    questions = [{"question": f"Which {number}?", "evidence": text[: ANSWER_BYTES // 4 - 60]} for number in range(4)]
    message = {"role": "assistant", "content": json.dumps({"questions": questions})}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": PROMPT_BYTES // 4, "completion_tokens": ANSWER_BYTES // 4}
    body = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """The least HTTP/1.1 a client can talk to: counts a request's bytes, answers after ``latency`` seconds."""

    latency = 0.5
    response = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self.buffer) >= end + 4 + length:
            self.buffer = self.buffer[end + 4 + length :]
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, self.response)


def serve(latency: float, ports: "multiprocessing.Queue[int]") -> None:
    """Run the endpoint until the process is ended."""
    Connection.latency, Connection.response = latency, answer_bytes()

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=512)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def ask(url: str, records: int, concurrency: int, home: Path) -> dict[str, float]:
    """Ask ``records`` questions and read every answer; seconds, CPU seconds and peak memory of this process."""
    from pydantic import BaseModel

    from embed_pipeline.llm.ask import Round, ask_all
    from embed_pipeline.llm.client import ChatClient
    from embed_pipeline.llm.ledger import Ledger, Price
    from embed_pipeline.llm.responses import ResponseStore
    from embed_pipeline.settings import LLMSettings

    class Question(BaseModel):
        question: str
        evidence: str

    class Questions(BaseModel):
        questions: list[Question]

    store = ResponseStore(home / "responses.sqlite")
    settings = LLMSettings(base_url=url, model="m", concurrency=concurrency)
    ledger = Ledger(store, "benchmark", {"m": Price(1.0, 2.0)}, 1e6, None)
    client = ChatClient(settings, store, ledger, None, {})
    passage = "The reading of the gauge is noted before the lock is opened. " * 200

    def prompts():
        return ((f"r{number}", f"{number}: {passage[: PROMPT_BYTES - 10]}") for number in range(records))

    times, began, cpu = {}, time.monotonic(), time.process_time()
    for phase in ("ask", "again"):
        outcomes = ask_all(Round(client, "m", Questions, "benchmark"), prompts, records)
        times[phase], began = time.monotonic() - began, time.monotonic()
        times[f"cpu_{phase}"], cpu = time.process_time() - cpu, time.process_time()
        assert sum(outcome.answer is not None for _, outcome in outcomes) == records
        times[f"read_{phase}"], began, cpu = time.monotonic() - began, time.monotonic(), time.process_time()
    assert ledger.totals()["requests"] == records
    store.close()
    return {**times, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(records: int, concurrency: int, latency: float) -> dict[str, float]:
    """One run: server and client each in a fresh process, at most ten minutes."""
    ports = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(latency, ports), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ports.get(timeout=30)}/v1"
        with tempfile.TemporaryDirectory() as home:
            values = [url, str(records), str(concurrency), home]
            command = [sys.executable, __file__, "--client", *values]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
        return json.loads(done.stdout)
    finally:
        server.terminate()
        server.join()


def row(records: int, concurrency: int, latency: float) -> str:
    """One line of the table."""
    got = measure(records, concurrency, latency)
    ideal = concurrency / latency
    rate = records / got["ask"]
    cells = [
        f"{records}",
        f"{concurrency}",
        f"{latency * 1000:.0f}",
        f"{rate:.1f}",
        f"{ideal:.0f}",
        f"{rate / ideal:.0%}",
        f"{got['cpu_ask'] / records * 1000:.2f}",
        f"{records / got['read_ask']:.0f}",
        f"{records / got['again']:.0f}",
        f"{got['peak_mb']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = """\
| records | in flight | latency ms | answers/s | ideal/s | share | CPU ms/answer | read/s | second run/s | peak MB |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""
CASES = [(2000, 64, 0.5), (2000, 16, 0.5), (2000, 64, 0.02), (20_000, 64, 0.02)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", nargs=4, metavar=("URL", "RECORDS", "CONCURRENCY", "HOME"))
    parser.add_argument("--quick", action="store_true", help="the first row only")
    options = parser.parse_args()
    if options.client:
        url, records, concurrency, home = options.client
        print(json.dumps(ask(url, int(records), int(concurrency), Path(home))))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.platform()}\n\n{HEADER}")
    for case in CASES[: 1 if options.quick else None]:
        print(row(*case), flush=True)


if __name__ == "__main__":
    main()
