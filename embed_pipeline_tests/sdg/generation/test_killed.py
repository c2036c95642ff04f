"""kill -9 again and again: what was stored is never asked again, and the ledger is the replies stored."""

import random
import signal
import sqlite3
import subprocess
import sys
import time

from embed_pipeline.llm.ask import Round, answered
from embed_pipeline.llm.responses import ResponseStore
from embed_pipeline_tests.llm.chat_server import later, ok, serving
from embed_pipeline_tests.llm.clients import Pair, asked_all, client_of, numbered, words

RECORDS, KILLS = 120, 10
RUN = """
import sys
from pathlib import Path
from embed_pipeline_tests.llm.clients import asked_all, client_of
asked_all(client_of(sys.argv[1], Path(sys.argv[2]), concurrency=8), int(sys.argv[3]))
"""


def number_in(body):
    return int(body["messages"][0]["content"].split()[1])


def reply(_, body):
    """Every third answer needs a repair turn."""
    number = number_in(body)
    good = number % 3 or len(body["messages"]) > 1
    answer = {"word": "w", "number": number} if good else "prose"
    return later(random.uniform(0.005, 0.03), ok(answer, usage=(100 + number, number)))


def killed_after(requests, server, tmp_path):
    """A run that is killed some time after the server got so many requests."""
    target = len(server.bodies) + requests
    process = subprocess.Popen([sys.executable, "-c", RUN, server.url, str(tmp_path), str(RECORDS)])
    deadline = time.monotonic() + 60
    while len(server.bodies) < target and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.04))
    process.send_signal(signal.SIGKILL)
    process.wait()
    while server.in_flight:
        time.sleep(0.005)


def stored_records(tmp_path):
    client = client_of("http://127.0.0.1:9/v1", tmp_path)
    known = answered(Round(client, "m", Pair, "x"), numbered(RECORDS))
    return {record for record, outcome in known if outcome is not None}


def rows(tmp_path):
    """Replies stored, bookings, and bookings whose reply is not there."""
    connection = sqlite3.connect(tmp_path / "cache.sqlite")
    counts = [
        connection.execute(query).fetchone()[0]
        for query in (
            "SELECT count(*) FROM content",
            "SELECT count(*) FROM spending",
            "SELECT count(*) FROM spending WHERE key NOT IN (SELECT key FROM content)",
        )
    ]
    connection.close()
    return counts


def test_ten_kills_lose_no_answer_and_pay_none_twice(tmp_path):
    random.seed(7)
    with serving(reply) as server:
        for _ in range(KILLS):
            before, begin = stored_records(tmp_path), len(server.bodies)
            killed_after(random.randint(3, 12), server, tmp_path)
            asked = {f"r{number_in(body)}" for body in server.bodies[begin:]}
            assert not asked & before
            replies, bookings, orphans = rows(tmp_path)
            assert replies == bookings
            assert orphans == 0
        lost = len(server.bodies) - rows(tmp_path)[0]
        assert 0 < lost <= KILLS * 8  # on their way when the run was killed
        client = client_of(server.url, tmp_path, concurrency=8)
        assert client.ledger.totals()["requests"] == rows(tmp_path)[0] > KILLS
        outcomes = asked_all(client, RECORDS)
        assert [outcome.answer.number for outcome in outcomes.values()] == list(range(RECORDS))
        assert len(server.bodies) == RECORDS * 4 // 3 + lost
        totals = ResponseStore(tmp_path / "cache.sqlite").spending("test")["m"]
        turns = [2 - (number % 3 > 0) for number in range(RECORDS)]
        assert totals["requests"] == RECORDS * 4 // 3
        assert totals["prompt_tokens"] == sum(times * (100 + number) for number, times in enumerate(turns))
        assert totals["completion_tokens"] == sum(times * number for number, times in enumerate(turns))
        assert max(words(server).values()) <= 2 + KILLS
