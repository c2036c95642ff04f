"""What the web process answers besides Dagster: the report of a version of metrics, the page of all runs."""

from collections.abc import Iterator

import httpx
import pytest

from embed_pipeline.evaluation.report_script import script_hash
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.store.test_reports import commit
from embed_pipeline_tests.webui.served import Ui, corpus_of

REPORT = "<!doctype html><title>Report</title><script>alert(1)</script><p>nDCG@10 of <b>tuned</b></p>"


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("web")
    store = Store(folder / "home")
    report = commit(store, REPORT)
    store.point(report, "key", "computed", 1.0)
    found = Ui(folder, "--corpus", str(corpus_of(folder)))
    try:
        found.wait()
        yield found
    finally:
        found.stop()


def get(ui: Ui, version: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{ui.url}/embed_pipeline/report/{version}", headers=headers, timeout=30, trust_env=False)


def test_a_report_is_a_page_that_runs_no_script_but_its_own(ui):
    artifact = Store(ui.home).current("metrics")
    for version in ("current", artifact.version[:12]):
        answer = get(ui, version)
        assert (answer.status_code, answer.text) == (200, REPORT)
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert policy.split("; ") == [
            "sandbox allow-scripts",
            "default-src 'none'",
            f"script-src '{script_hash()}'",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "frame-ancestors 'self'",
        ]


def test_what_is_no_report_is_told(ui):
    for version in ("0" * 12, "..%2F..%2Fhome.json", "history"):
        answer = get(ui, version)
        assert answer.status_code == 404
        assert "report" in answer.json()["errors"][0]["message"]


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_from_the_web_ui_to_all_runs_and_from_there_to_one(ui):
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(ui.url)
        page.locator("#embed-pipeline-notice").get_by_role("link", name="History").click()
        page.get_by_text("No run yet").wait_for()
        run_id = ui.launch("corpus_manifest")
        assert ui.finished(run_id) == "SUCCESS"
        page.reload()
        page.locator(f"tr[data-run='{run_id}']").get_by_role("link", name="run", exact=True).click()
        page.wait_for_url(f"{ui.url}/runs/{run_id}")
        page.get_by_text("corpus_manifest").first.wait_for()


def test_a_page_elsewhere_cannot_have_it(ui):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert get(ui, "current", **headers).status_code == 403


@pytest.mark.parametrize(
    "path", ["logs/x", "logs/a/b", "logs/%2e%2e/%2e%2e/secret/out", "logs/a/out", "download_debug/unknown"]
)
def test_logs_and_runs_that_are_not_there(ui, path):
    assert httpx.get(f"{ui.url}/{path}", timeout=30, trust_env=False).status_code == 404
    assert "Traceback" not in (ui.home / "dagster" / "ui.log").read_text("utf-8")
