"""The page of all runs in a real Chromium, and what it asks the web server for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import History
from embed_pipeline.webui.accounts import add_user
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.store.test_reports import commit as commit_report
from embed_pipeline_tests.store.test_run_comparison import SUMMARY, commit, record
from embed_pipeline_tests.webui.served import Ui, corpus_of, serving

PAGE = "/embed_pipeline/history"
MINUTE = 60_000
HOSTILE = "<img src=x onerror=alert(1)>"
PASSWORD = "correct horse battery"  # pragma: allowlist secret
in_browser = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("history")
    with serving(folder, "--corpus", str(corpus_of(folder))) as running:
        yield running


def get(ui: Ui, path: str = "", **headers: str) -> httpx.Response:
    return httpx.get(f"{ui.url}{PAGE}{path}", headers=headers, timeout=30, trust_env=False)


@contextmanager
def opened(ui: Ui, width: int = 1400, scheme: str = "light", refused: int = 0) -> Iterator:
    """The page; nothing is said in its console but of the ``refused`` answers."""
    from playwright.sync_api import expect

    expect.set_options(timeout=MINUTE)
    said: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(MINUTE)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(ui.url + PAGE)
        yield page
    assert len(said) == refused, said


def summary(ndcg: float, questions: str = "a1", verdict: str = "ship") -> dict:
    found = json.loads(json.dumps(SUMMARY))
    found["test_sets"]["synthetic"]["tuned"]["ndcg@10"] = ndcg
    return found | {"test_set_versions": {"synthetic": questions}, "verdict": verdict}


def fill(ui: Ui) -> None:
    """Runs on three days, one of them refused, one with overrides, the last on other questions."""
    store, history = Store(ui.home), History(ui.home)
    made = {
        "a000": {"metrics": commit(store, summary(0.55)), "settings": {"finetune.epochs": 1}, "git": "1" * 40},
        "b000": {"metrics": commit(store, summary(0.61)), "settings": {"finetune.epochs": 3, HOSTILE: HOSTILE}},
        "c000": {"metrics": None, "status": "failed", "errors": [{"text": HOSTILE, "exit_code": 1}]},
        "d000": {
            "metrics": commit(store, summary(0.48, verdict="regress")),
            "experiment": True,
            "overrides": ["finetune.epochs=9"],
        },
        "e000": {"metrics": commit(store, summary(0.7, questions="other")), "cost": {"usd": 12.5, "requests": 900.0}},
    }
    for day, (run_id, fields) in enumerate(made.items(), 1):
        history.write(record(run_id, started=f"2026-01-0{day}T08:00:00+00:00", finished=None, **fields))
    reported = record("f000", started="2026-01-06T08:00:00+00:00")
    version = commit_report(store, "<!doctype html><title>Report</title>").version
    reported["assets"]["metrics"] = {"outcome": "computed", "version": version, "key": "k"}
    history.write(reported | {"figures": {}})


def order(page) -> list[str]:
    return page.locator("#runs tbody tr").evaluate_all("rows => rows.map(row => row.dataset.run)")


@in_browser
def test_runs_come_sort_and_are_compared(ui):
    from playwright.sync_api import expect

    with opened(ui) as page:
        expect(page.get_by_role("status")).to_contain_text("No run yet")
        expect(page.locator("#scroll")).to_be_hidden()

    real = ui.launch("corpus_manifest")
    assert ui.finished(real) == "SUCCESS"
    fill(ui)
    with opened(ui) as page:
        expect(page.locator("#runs tbody tr")).to_have_count(7)
        assert order(page) == [real, "f000", "e000", "d000", "c000", "b000", "a000"]
        assert page.get_by_text(HOSTILE).count() >= 1  # as text: it is no element
        assert page.locator("#runs img").count() == 0

        page.get_by_role("button", name="tuned").click()
        assert order(page)[:4] == ["e000", "b000", "a000", "d000"]
        page.get_by_role("button", name="tuned").click()
        assert order(page)[:4] == ["d000", "a000", "b000", "e000"]  # what has no figure stays last
        expect(page.locator("th[aria-sort=ascending]")).to_have_text("tuned")

        chart = page.locator("#chart")
        expect(chart.get_by_role("img")).to_have_attribute("aria-label", "nDCG@10 of 4 runs on the synthetic questions")
        assert chart.locator("circle.tuned").count() == 4
        assert chart.locator("circle.tuned.trial").count() == 1
        assert chart.locator("path.tuned").get_attribute("d").count("L") == 1  # a and b; e has other questions
        expect(chart).to_contain_text("measured on other questions")

        for run_id in ("b000", "a000"):
            page.locator(f"tr[data-run={run_id}] input").check()
        compared = page.locator("#compared")
        expect(compared.get_by_role("heading").first).to_have_text("Run a000 and run b000")  # the earlier one first
        expect(compared).to_contain_text("+0.0600")
        expect(compared).to_contain_text("finetune.epochs")
        page.locator("tr[data-run=e000] input").check()  # the third takes the place of the first
        expect(compared.get_by_role("heading").first).to_have_text("Run a000 and run e000")
        expect(compared).to_contain_text("Not compared: The questions, judgements or passages")
        expect(compared).to_contain_text("12.5 USD, 900 requests")
        compared.get_by_role("button", name="Close").click()
        expect(compared).to_be_hidden()
        expect(page.locator("input:checked")).to_have_count(0)

        page.locator("tr[data-run=f000]").get_by_role("link", name="report").click()
        expect(page).to_have_title("Report")
        page.go_back()
        assert page.locator("tr[data-run=a000]").get_by_role("link").count() == 0  # neither is there
        page.locator(f"tr[data-run='{real}']").get_by_role("link", name="run").click()
        expect(page.get_by_text(real[:8]).first).to_be_visible()


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(ui, scheme):
    from playwright.sync_api import expect

    fill(ui)
    with opened(ui, width=380, scheme=scheme) as page:
        expect(page.locator("tr[data-run=b000]")).to_be_visible()
        page.get_by_label("Sorted by").select_option(label="tuned, highest first")
        assert order(page)[0] == "e000"
        for run_id in ("a000", "b000"):
            page.locator(f"tr[data-run={run_id}] input").check()
        expect(page.locator("#compared")).to_contain_text("+0.0600")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@in_browser
def test_the_web_ui_links_to_it(ui):
    from playwright.sync_api import expect

    expect.set_options(timeout=MINUTE)
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(MINUTE)
        page.goto(ui.url)
        page.locator("#embed-pipeline-notice").get_by_role("link", name="History").click()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_the_page_runs_no_script_but_its_own(ui):
    answer = get(ui)
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_runs_that_are_not_there_are_told(ui):
    fill(ui)
    answer = get(ui, "/compare?before=a000&after=nothing")
    assert answer.status_code == 404
    assert "nothing is not in the history" in answer.json()["errors"][0]["message"]
    assert get(ui, "/compare").status_code == 404
    assert get(ui, "/compare?before=a000&after=b000").json()["before"]["run_id"] == "a000"


def test_a_page_elsewhere_cannot_have_it(ui):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert [get(ui, path, **headers).status_code for path in ("/runs", "/compare", ".js")] == [403] * 3
