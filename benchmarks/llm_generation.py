"""Questions by a language model over whole folders, end to end through the command line.

    .venv/bin/python benchmarks/llm_generation.py DIR [DIR ...] [--latency SECONDS] [--kills N]

The model is a test server on loopback that answers the real prompts by rules (embed_pipeline_tests/sdg/author.py),
so this measures the pipeline and not a model. For each folder: ``embed-pipeline sdg --plan`` before anything is
known and once the passages are there, the run itself (killed N times with SIGKILL at random moments first), and a
second run. Printed: seconds, peak memory, calls, the ledger against the server's own count, prompts answered more
than once, and the funnel.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from embed_pipeline_tests.llm.chat_server import serving
from embed_pipeline_tests.sdg.author import Author

COMMAND = [str(Path(sys.executable).with_name("embed-pipeline")), "sdg"]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
LONGEST = 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=32)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        measure(folder, arguments.latency, arguments.kills, arguments.concurrency)


def measure(folder, latency, kills, concurrency):
    author = Author()

    def reply(number, body):
        answer = author(number, body)

        def act(handler):
            time.sleep(latency)
            answer(handler)

        return act

    with serving(reply) as server, tempfile.TemporaryDirectory() as home:
        command = [*COMMAND, "--corpus", str(folder), "--home", home]
        for name, value in {
            "base_url": server.url, "model": "writer", "judge_model": "judge", "concurrency": concurrency,
            "prompt_price": 0.1, "completion_price": 0.4,
        }.items():  # fmt: skip
            command += ["--set", f"sdg.llm.{name}={value}"]
        rough = plan(command)
        killed = kill_often(command, author, kills)
        began = time.monotonic()
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise SystemExit(done.stderr[-3000:])
        counted = dict(author.answered)
        again = subprocess.run([*command, "--json"], env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST)
        outcomes = {row["asset"]: row["outcome"] for row in json.loads(again.stdout)["assets"]}
        forced = subprocess.run(
            [*command, "--force", "qa_candidates"], env=ENVIRONMENT, capture_output=True, timeout=LONGEST
        )
        report(folder, home, rough, killed, seconds, counted, author, outcomes, forced.returncode)


def plan(command):
    told = subprocess.run(
        [*command, "--plan", "--json"], env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST
    )
    return json.loads(told.stdout)["llm"]


def kill_often(command, author, kills):
    """Kill the run ``kills`` times while it is asking; the calls answered before each kill."""
    dice, answered = random.Random(42), []
    for _ in range(kills):
        before = author.answered["requests"]
        running = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        patience = time.monotonic() + 600
        while author.answered["requests"] <= before + dice.randint(5, 60) and running.poll() is None:
            if time.monotonic() > patience:
                break
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        time.sleep(0.5)
        answered.append(author.answered["requests"])
    return answered


def report(folder, home, rough, killed, seconds, counted, author, outcomes, forced):
    candidates, pairs, passages = (shown(home, name) for name in ("qa_candidates", "qa_pairs", "passages"))
    ledger = candidates["ledger"]
    repeated = {
        count: sum(value == count for value in author.prompts.values()) for count in set(author.prompts.values())
    }
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"\n## {folder}")
    print(f"passages {passages['summary']['passages']}, windows {candidates['summary']['windows']}, "
          f"bundles {candidates['summary']['bundles']}")  # fmt: skip
    print(f"run {seconds:.0f} s; peak memory of any process so far {peak:.2f} GiB")
    print(f"estimate before anything was read: {rough['calls']} calls, {rough['usd']} USD")
    print(f"server: {counted}")
    print(f"ledger: {ledger}")
    print(f"killed with these many answered: {killed}" if killed else "not killed")
    print(f"prompts by how often they were answered: {repeated}; calls of the second and of a forced run: "
          f"{author.answered['requests'] - counted['requests']} (forced run exit code {forced})")  # fmt: skip
    print(f"second run: {outcomes}")
    print("funnel: " + json.dumps(pairs["summary"]))


def shown(home, name):
    import polars as pl

    told = subprocess.run(
        [COMMAND[0], "show", name, "--home", home, "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(told.stdout)
    if name == "qa_candidates":
        frame = pl.read_parquet(Path(found["path"]) / "ledger.parquet")
        names = ("requests", "prompt_tokens", "completion_tokens", "usd")
        found["ledger"] = {column: round(float(frame[column].sum()), 4) for column in names}
    return found


if __name__ == "__main__":
    main()
