"""The command line as a user runs it: exit codes, one clear line, nothing half-written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parents[2] / "examples" / "loft_stations" / "docs"
DOCUMENT = "# Valve OA-7\n\nThe valve releases lift gas when the lung is too full. Turn it left to open it. " * 4


def cli(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embed_pipeline.cli", *arguments]
    values = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=values, capture_output=True, text=True, timeout=120)


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, no traceback, one error line holding the words."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    for word in words:
        assert word in errors[0]


def no_artifacts(home: Path) -> None:
    """Nothing half-written: no artifact, no temporary folder."""
    assert not list(home.rglob("table.parquet"))
    assert not list(home.rglob("*.tmp"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "valve.md").write_text(DOCUMENT)
    (folder / "drum.md").write_text(DOCUMENT.replace("valve", "drum").replace("OA-7", "OA-9"))
    return folder


def test_missing_corpus_folder(tmp_path):
    refused(cli("run", "--corpus", "absent", "--home", "home", cwd=tmp_path), "absent")
    no_artifacts(tmp_path / "home")


def test_no_corpus_named(tmp_path):
    refused(cli("run", "--home", "home", cwd=tmp_path), "corpus.path", "--corpus")


def test_empty_corpus_folder(tmp_path):
    (tmp_path / "nothing").mkdir()
    refused(cli("run", "--corpus", "nothing", "--home", "home", cwd=tmp_path), "nothing")
    no_artifacts(tmp_path / "home")


def test_only_unsupported_files(tmp_path):
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "a.exe").write_bytes(bytes(range(256)))
    refused(cli("run", "--corpus", "binary", "--home", "home", cwd=tmp_path), "a.exe")
    no_artifacts(tmp_path / "home")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("finetune.learning_rat=1", ("finetune.learning_rat", "finetune.learning_rate")),
        ("finetune.epochs=many", ("finetune.epochs", "many")),
        ("prep.train_ratio=0.9", ("train_ratio", "must be 1")),
        ("nonsense", ("nonsense", "section.key=value")),
        ("base_model=package:not_there", ("package:not_there",)),
    ],
)
def test_bad_settings(tmp_path, corpus, override, words):
    refused(cli("run", "--corpus", str(corpus), "--home", "home", "--set", override, "--plan", cwd=tmp_path), *words)


def test_unreadable_settings_file(tmp_path):
    refused(cli("run", "--config", "absent.yaml", cwd=tmp_path), "absent.yaml")
    (tmp_path / "broken.yaml").write_text("corpus: [")
    refused(cli("run", "--config", "broken.yaml", cwd=tmp_path), "broken.yaml", "YAML")


def test_force_of_an_unknown_stage(tmp_path, corpus):
    result = cli("run", "--corpus", str(corpus), "--home", "home", "--force", "finetun", cwd=tmp_path)
    refused(result, "finetun", "did you mean finetune")


def test_wrong_sha256_of_the_base_model(tmp_path, corpus):
    result = cli("run", "--corpus", str(corpus), "--home", "home", "--set", f"encoder.sha256={'0' * 64}", cwd=tmp_path)
    refused(result, "SHA-256", "0000000000")
    no_artifacts(tmp_path / "home")


def test_plan_runs_nothing(tmp_path, corpus):
    result = cli("run", "--corpus", str(corpus), "--home", "home", "--plan", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = {row["asset"]: row for row in json.loads(result.stdout)["assets"]}
    assert rows["corpus_manifest"] == {"asset": "corpus_manifest", "action": "compute", "reasons": ["never computed"]}
    assert rows["documents"]["reasons"] == ["follows corpus_manifest"]
    no_artifacts(tmp_path / "home")


def test_fewer_documents_than_splits_need(tmp_path, corpus):
    (corpus / "drum.md").unlink()
    result = cli("prep", "--corpus", str(corpus), "--home", "home", "--set", "sdg.min_questions=1", cwd=tmp_path)
    refused(result, "splits")


def test_a_stage_command_twice_then_touch_edit_and_undo(tmp_path, corpus):
    arguments = ("run", "--to", "passages", "--corpus", str(corpus), "--home", "home", "--json")
    first = cli(*arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    outcomes = {row["asset"]: row["outcome"] for row in json.loads(first.stdout)["assets"]}
    assert outcomes == {"corpus_manifest": "computed", "documents": "computed", "passages": "computed"}

    os.utime(corpus / "valve.md")
    plan = cli(*arguments[:-1], "--plan", cwd=tmp_path)
    assert "nothing to do" in plan.stdout

    original = (corpus / "valve.md").read_text()
    (corpus / "valve.md").write_text(original + "\n\nIt is checked once a year.\n")
    edited = json.loads(cli(*arguments, cwd=tmp_path).stdout)
    assert [row["outcome"] for row in edited["assets"]] == ["computed"] * 3

    (corpus / "valve.md").write_text(original)
    undone = json.loads(cli(*arguments, cwd=tmp_path).stdout)
    assert [row["outcome"] for row in undone["assets"]] == ["reused"] * 3
    assert [row["version"] for row in undone["assets"]] == [
        row["version"] for row in json.loads(first.stdout)["assets"]
    ]

    status = json.loads(cli("status", "--corpus", str(corpus), "--home", "home", "--json", cwd=tmp_path).stdout)
    states = {row["asset"]: row["state"] for row in status["assets"]}
    assert states["passages"] == "fresh"
    assert states["checkpoint"] == "missing"

    shown = json.loads(cli("show", "passages", "--home", "home", "--json", cwd=tmp_path).stdout)
    assert shown["rows"] > 0
    assert Path(shown["path"]).is_dir()


def test_second_run_on_the_same_home_waits_and_says_for_whom_and_gc_refuses(tmp_path, corpus):
    from embed_pipeline.store.home_lock import Holder, home_lock

    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "documents", "--corpus", str(corpus)]
    with home_lock(tmp_path / "home", Holder.here("sensor", "0123456789ab")):
        refused(cli("gc", "--home", "home", cwd=tmp_path), "run 01234567, started by sensor")
        waiting = subprocess.Popen(
            [*command, "--home", "home"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert waiting.stderr is not None
        assert "assets to compute" in waiting.stderr.readline()
        assert waiting.stderr.readline().startswith("needs ")
        assert waiting.stderr.readline().startswith("waiting for run 01234567, started by sensor")
        assert waiting.poll() is None
    _, said = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, said
    assert "documents: computed" in said


def test_show_names_what_is_missing(tmp_path):
    refused(cli("show", "metrics", "--home", "home", cwd=tmp_path), "metrics", "home")
    refused(cli("show", "metrcs", "--home", "home", cwd=tmp_path), "metrics")


def test_serve_of_a_folder_that_is_no_model(tmp_path):
    refused(cli("serve", "--model", str(tmp_path), cwd=tmp_path), "model.onnx", "encoder.json")


def test_stop_without_an_endpoint(tmp_path):
    result = cli("stop", "--home", "home", cwd=tmp_path)
    assert result.returncode == 0
    assert "no endpoint" in result.stdout


def test_doctor_finds_a_missing_corpus(tmp_path):
    result = cli("doctor", "--corpus", "absent", "--home", "home", "--json", cwd=tmp_path)
    findings = {row["check"]: row for row in json.loads(result.stdout)["checks"]}
    assert result.returncode == 1
    assert findings["corpus"]["state"] == "fail"
    assert findings["base model"]["state"] == "ok"


def test_doctor_finds_a_budget_that_no_price_supports(tmp_path):
    chosen = ("sdg.llm.base_url=http://127.0.0.1:9/v1", "sdg.llm.model=writer", "sdg.budget_usd=1")
    result = cli(
        "doctor", "--home", "home", "--json", *(word for one in chosen for word in ("--set", one)), cwd=tmp_path
    )
    (finding,) = [one for one in json.loads(result.stdout)["checks"] if one["check"] == "llm"]
    assert finding["state"] == "fail"
    assert "no price of writer" in finding["detail"]


def test_nothing_is_left_in_the_working_folder(tmp_path, corpus):
    work = tmp_path / "work"
    work.mkdir()
    cli("run", "--to", "documents", "--corpus", str(corpus), "--home", str(tmp_path / "home"), cwd=work)
    assert list(work.iterdir()) == []


def test_llm_without_a_key_or_refused(tmp_path, corpus):
    """A configured endpoint is used, so a missing or refused key stops the run before anything is asked."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"error": {"message": "bad key", "type": "auth", "code": 401}}'
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    options = ("sdg", "--corpus", str(corpus), "--home", "home", "--set", "sdg.llm.model=writer")
    absent = cli(*options, "--set", "sdg.llm.base_url=https://llm.invalid/v1", cwd=tmp_path)
    refused(absent, "EMBED_PIPELINE_LLM_API_KEY")

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        # pragma: allowlist nextline secret
        secret = "sk-very-secret"
        denied = cli(*options, "--set", f"sdg.llm.base_url={url}", cwd=tmp_path, EMBED_PIPELINE_LLM_API_KEY=secret)
        refused(denied, "EMBED_PIPELINE_LLM_API_KEY")
        assert secret not in denied.stderr + denied.stdout
        assert not any(
            secret.encode() in path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()
        )
    finally:
        server.shutdown()
        server.server_close()


def test_the_plan_says_what_the_questions_will_cost_and_the_cap_stops_cleanly(tmp_path, corpus):
    from embed_pipeline_tests.llm.chat_server import serving
    from embed_pipeline_tests.sdg.author import Author

    author = Author()
    with serving(author) as server:
        options = ["sdg", "--corpus", str(corpus), "--home", "home", "--set", "sdg.llm.model=writer"]
        options += ["--set", f"sdg.llm.base_url={server.url}"]
        unpriced = cli(*options, "--plan", cwd=tmp_path)
        assert "calls to a language model (roughly)" in unpriced.stdout
        host = server.url.split("/")[2]
        assert f"which send text of the corpus to {host}" in unpriced.stdout
        assert "cost unknown (set sdg.llm.prompt_price and completion_price)" in unpriced.stdout
        options += ["--set", "sdg.llm.prompt_price=1", "--set", "sdg.llm.completion_price=2"]
        rough = json.loads(cli(*options, "--plan", "--json", cwd=tmp_path).stdout)["llm"]["qa_candidates"]
        assert rough["rough"] and rough["calls"] > 0 and rough["usd"] > 0
        assert not server.bodies

        stopped = cli(*options, "--set", "sdg.budget_usd=0.012", cwd=tmp_path)
        assert stopped.returncode == 1
        assert "Traceback" not in stopped.stderr
        assert stopped.stderr.count(f"text of the corpus is sent to {host} (sdg.llm.base_url)") == 1
        (error,) = [line for line in stopped.stderr.splitlines() if line.startswith("error: ")]
        assert "sdg.budget_usd 0.012 is reached" in error and "run again" in error
        spent = (author.answered["prompt_tokens"] + 2 * author.answered["completion_tokens"]) / 1e6
        assert 0 < spent <= 0.012
        known = json.loads(cli(*options, "--plan", "--json", cwd=tmp_path).stdout)["llm"]["qa_candidates"]
        assert not known["rough"] and known["answered"] == author.answered["requests"]
    asked = ["--corpus", str(corpus), "--home", "other", "--set", "sdg.budget_usd=1"]
    for more in ((), ("--plan",)):
        unpriced = cli("sdg", *asked, *more, *options[5:9], cwd=tmp_path)
        refused(unpriced, "budget_usd needs llm.prompt_price", "no price of writer")
    no_artifacts(tmp_path / "other")
    known = ["--set", "sdg.llm.base_url=https://api.openai.com/v1", "--set", "sdg.llm.model=gpt-4o-mini"]
    planned = cli("sdg", *asked, "--plan", *known, cwd=tmp_path)
    assert "USD (price of gpt-4o-mini from genai-prices" in planned.stdout


def test_a_language_model_denoises_what_was_mined(tmp_path):
    from embed_pipeline.store.artifacts import Store
    from embed_pipeline_tests.llm.chat_server import serving
    from embed_pipeline_tests.sdg.author import Author

    (tmp_path / "docs").mkdir()
    for path in sorted(DOCUMENTS.iterdir())[:10]:
        shutil.copy(path, tmp_path / "docs")
    author = Author(faults=False)
    with serving(author) as server:
        chosen = ["sdg.min_questions=5", f"sdg.llm.base_url={server.url}", "sdg.llm.model=writer"]
        chosen += ["sdg.llm.judge_model=judge", "prep.denoise=llm", "prep.hard_negative_margin=1"]
        common = ["--corpus", "docs", "--home", "home", *(part for one in chosen for part in ("--set", one))]
        options = ["run", "--to", "mined_negatives", *common]
        planned = json.loads(cli(*options, "--plan", "--json", cwd=tmp_path).stdout)["llm"]
        assert planned["mined_negatives"]["rough"] and planned["mined_negatives"]["calls"] > 0
        written = cli("run", "--to", "splits", *common, cwd=tmp_path)
        assert written.returncode == 0, written.stderr
        said = cli(*options, "--plan", cwd=tmp_path).stdout
        assert "mined_negatives: about" in said and "qa_candidates: " not in said
        planned = json.loads(cli(*options, "--plan", "--json", cwd=tmp_path).stdout)["llm"]
        before = author.answered["requests"]
        ended = cli(*options, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        made = author.answered["requests"] - before
        assert cli(*options, "--force", "mined_negatives", cwd=tmp_path).returncode == 0
        assert author.answered["requests"] - before == made  # every answer is paid for once
    mined = Store(tmp_path / "home").current("mined_negatives")
    questions = mined.frame().height
    assert planned["mined_negatives"]["calls"] == 5 * questions and not planned["mined_negatives"]["rough"]
    reasons = mined.frame("rejected")["reason"].to_list()
    assert reasons.count("denoised") > 0
    taken = mined.frame()["negative_ids"].list.len().sum()
    assert made == reasons.count("denoised") + taken
    assert mined.manifest().cost["requests"] == made


def test_prompts_are_written_to_be_edited_and_a_broken_one_is_refused(tmp_path, corpus):
    written = cli("prompts", "--to", "own", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert "own: 9 prompts written" in written.stdout
    (tmp_path / "own" / "judge.md").write_text("{{ nothing }}")
    options = ["sdg", "--corpus", str(corpus), "--home", "home", "--set", "sdg.llm.model=writer", "--plan"]
    options += ["--set", "sdg.llm.base_url=http://127.0.0.1:9/v1", "--set", "sdg.prompts=own"]
    refused(cli(*options, cwd=tmp_path), "own/judge.md", "nothing", "questions")
    (tmp_path / "own" / "judge.md").unlink()
    assert cli(*options, cwd=tmp_path).returncode == 0


def test_unreadable_files_are_skipped_by_name_and_the_run_goes_on(tmp_path, corpus):
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    (corpus / "empty.md").write_bytes(b"")
    (corpus / "binary.txt").write_bytes(bytes(range(256)) * 10)
    (corpus / "loop").symlink_to(corpus)
    (corpus / "latin.txt").write_bytes(("Die Ventilklappe öffnet für größere Mengen Füllgas. " * 20).encode("latin-1"))
    result = cli("run", "--to", "documents", "--corpus", str(corpus), "--home", "home", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    shown = json.loads(cli("show", "documents", "--home", "home", "--json", cwd=tmp_path).stdout)
    assert shown["rows"] == 3  # two Markdown files and the Latin-1 text
    import polars as pl

    manifest = pl.read_parquet(next((tmp_path / "home" / "artifacts" / "corpus_manifest").glob("*/data/table.parquet")))
    reasons = dict(manifest.filter(pl.col("status") == "skipped").select("path", "reason").iter_rows())
    skipped = pl.read_parquet(Path(shown["path"]) / "skipped.parquet")
    beside = json.loads(cli("show", "skipped", "--home", "home", "--json", cwd=tmp_path).stdout)
    assert (beside["asset"], beside["rows"], beside["sample"]) == (
        "documents",
        skipped.height,
        skipped.head(3).to_dicts(),
    )
    assert "dropped, metadata, skipped" in cli("show", "documents", "--home", "home", cwd=tmp_path).stdout
    assert {"empty.md", "binary.txt"} <= set(reasons)
    assert "broken.pdf" in set(skipped["path"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 60 MB."""
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(home)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield home
    subprocess.run(["umount", str(home)], check=True)


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """Documents of 2.4 MB, of words that do not compress."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(12):
        words = [f"{(number * 7919 + index * 104729) % 9999991:x}" for index in range(30_000)]
        (folder / f"{number}.txt").write_text(" ".join(words) + ".")
    return folder


def fill_up(folder: Path, left: int) -> None:
    (folder / "filler").write_bytes(bytes(shutil.disk_usage(folder).free - left))


def test_a_disk_that_is_clearly_too_small_is_refused_before_anything_is_computed(small_disk, dense, tmp_path):
    fill_up(small_disk, 5_000_000)
    result = cli("run", "--to", "documents", "--corpus", str(dense), "--home", str(small_disk), cwd=tmp_path)
    refused(result, "5 MB are free", "nothing was computed")
    assert not list(small_disk.glob("artifacts/*"))


@pytest.mark.parametrize("left", [900_000, 1_200_000])
def test_full_disk(small_disk, dense, tmp_path, left):
    """A disk that becomes full during a run: one clear line, exit code 2, and no half-written artifact."""
    command = [sys.executable, "-m", "embed_pipeline.cli", "run", "--to", "documents", "--corpus", str(dense)]
    with subprocess.Popen(
        [*command, "--home", str(small_disk)], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        said = ""
        while "needs" not in said:  # from here on nobody looks at the room that there is
            line = running.stderr.readline()
            assert line, said
            said += line
        fill_up(small_disk, left)
        out, more = running.communicate(timeout=120)
    refused(subprocess.CompletedProcess(command, running.returncode, out, said + more), "no space left")
    for manifest in small_disk.glob("artifacts/*/*/manifest.json"):
        json.loads(manifest.read_text())
    assert not list(small_disk.glob("artifacts/*/.*.tmp"))
