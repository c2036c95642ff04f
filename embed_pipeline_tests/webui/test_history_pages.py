"""The page of all runs, behind the guard, in a real browser."""

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.history import History
from embed_pipeline.webui.accounts import add_user
from embed_pipeline.webui.guard import Guard
from embed_pipeline.webui.history_pages import HistoryPages
from embed_pipeline.webui.login import Login
from embed_pipeline.webui.origins import ServedNames
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.ports import free_port
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.store.test_reports import commit as commit_report
from embed_pipeline_tests.store.test_run_comparison import SUMMARY, commit, record

EVIL = "<img src=x onerror=document.title='broken'>"
browser_only = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


class Served:
    """The page of a home."""

    def __init__(self, home, known: set[str], access: Path | None = None) -> None:
        port = free_port()
        login = None if access is None else Login(access, port)
        self.url, self.home = f"http://127.0.0.1:{port}/embed_pipeline/history", home
        app = Guard(
            Starlette(routes=HistoryPages(home, lambda: known).routes()), ServedNames("127.0.0.1", port, []), login
        )
        self.server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        wait_until(lambda: self.server.started, 30, lambda: "not started")

    def get(self, path: str = "") -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, trust_env=False)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)


def summary(tuned: float, version: str = "a1") -> dict:
    changed = copy.deepcopy(SUMMARY)
    changed["test_sets"]["synthetic"] |= {"tuned": {"ndcg@10": tuned, "recall@10": 0.7}, "bm25": {"ndcg@10": 0.55}}
    return changed | {"test_set_versions": {"synthetic": version}}


def write_runs(home) -> None:
    """Seven runs; the third failed, and the sixth was measured on other questions than those before."""
    store = Store(home)
    for place, tuned in enumerate((0.6, 0.62, None, 0.61, 0.66, 0.71, 0.69)):
        made = None if tuned is None else commit(store, summary(tuned, "a1" if place < 5 else "b2"))
        day, error = f"2026-03-{place + 1:02d}", {"text": f"checkpoint: {EVIL}", "exit_code": 1}
        settings = {"corpus.path": "/data/docs", "finetune.epochs": 1 + place // 2}
        one = record(
            f"{place}aaa1111-2222-3333", made,
            started=f"{day}T09:00:00+00:00", finished=f"{day}T09:{10 + 7 * place}:00+00:00",
            settings=settings | ({"sdg.llm.model": EVIL} if place == 4 else {}),
            git=f"{place}" * 40 + "-dirty" * (place == 1), cost={"usd": place / 10, "prompt_tokens": 120_000.0},
            started_by=("cli", "ui", "sensor")[place % 3],
            **({} if made else {"status": "failed", "errors": [error]}),
        )  # fmt: skip
        History(home).write(one)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("runs")
    write_runs(home)
    found = Served(home, {"6aaa1111-2222-3333"})
    yield found
    found.stop()


@pytest.fixture
def trials(tmp_path) -> Iterator[Served]:
    """Four runs: one measured nothing anew, one had overrides."""
    store = Store(tmp_path)
    first, tried, last = (commit(store, summary(tuned)) for tuned in (0.6, 0.7, 0.65))
    for day, (made, changed) in enumerate(
        [(first, {}), (first, {}), (tried, {"experiment": True, "overrides": ["finetune.epochs=9"]}), (last, {})], 1
    ):
        started = f"2026-03-0{day}T09:00:00+00:00"
        History(tmp_path).write(record(f"{day}aaa1111", made, started=started, finished=None, **changed))
    found = Served(tmp_path, set())
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as found:
        yield found


def opened(browser, url: str, width: int = 1400, **options):
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.set_default_timeout(20_000)
    page.problems = []
    page.on("console", lambda one: page.problems.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#scroll:not([hidden]), #status:has-text('No run yet')")
    return page


def order(page) -> list[str]:
    return [row.get_attribute("data-run")[0] for row in page.query_selector_all("#runs tbody tr")]


def test_rows_tell_what_differs_from_the_run_before(served):
    found = served.get("/runs").json()
    assert [run["run_id"][0] for run in found["runs"]] == list("6543210")
    newest, second = found["runs"][0], found["runs"][5]
    assert newest["changed"] == {"finetune.epochs": {"before": 3, "after": 4}}
    assert newest["run_page"] == "/runs/6aaa1111-2222-3333"
    assert second["changed"] == {}
    assert second["run_page"] is None
    assert found["runs"][-1]["changed"] is None
    assert newest["report"] is None  # these metrics hold none
    assert found["left_out"] == 0


def test_nothing_may_run_but_its_own_script_and_nobody_else_may_read_it(served):
    policy = served.get().headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    for path in ("", "/runs", "/compare?before=0&after=1"):
        foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
        assert httpx.get(served.url + path, headers=foreign, timeout=30, trust_env=False).status_code == 403


def test_where_people_sign_in_nobody_else_reads_it(tmp_path):
    access = tmp_path / "access.json"
    token = add_user(access, "ci", "viewer", None)
    found = Served(tmp_path, set(), access)
    try:
        for path in (".js", "/runs", "/compare?before=0&after=1"):
            assert found.get(path).status_code == 401
        told = httpx.get(f"{found.url}/runs", headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
        assert told.json() == {
            "runs": [],
            "names": {"base": "the base model", "tuned": "the tuned model"},
            "left_out": 0,
        }
    finally:
        found.stop()


def test_two_runs_are_compared_and_unknown_ones_told(served):
    found = served.get("/compare?before=0&after=4").json()
    assert found["test_sets"]["synthetic"]["systems"]["tuned"]["ndcg@10"]["delta"] == pytest.approx(0.06)
    for query in ("before=0&after=nothing", "before=0", ""):
        answer = served.get(f"/compare?{query}")
        assert answer.status_code == 404
        assert "history" in json.dumps(answer.json())


@browser_only
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")])
def test_the_page_in_a_browser(served, browser, width, scheme):
    page = opened(browser, served.url, width, color_scheme=scheme)
    assert order(page) == list("6543210")
    assert page.title() == "Runs · embed-pipeline"  # what an error said is text
    assert page.locator("#chart circle.tuned").count() == 6
    assert page.locator("#chart path.tuned").get_attribute("d").count("M") == 2  # other questions are not joined
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    if width == 390:
        page.select_option("#order", "tuned down")
    else:
        page.get_by_role("button", name="the tuned model", exact=True).click()
    assert order(page) == list("5641302")  # the one without figures last
    for run in ("6", "4"):
        page.locator(f"tr[data-run^='{run}'] input").check()
    compared = page.locator("#compared")
    compared.get_by_text("finetune.epochs").wait_for()
    assert compared.get_by_text("Run 4aaa1111 and run 6aaa1111").is_visible()  # the older one first
    assert compared.get_by_text("are not the same in both runs").is_visible()
    assert EVIL in compared.inner_text()
    keys = page.locator("#chart .keys > span").all_inner_texts()
    assert [one.strip() for one in keys] == ["the base model", "the tuned model", "BM25 alone"]
    page.locator("tr[data-run^='0'] input").check()
    compared.get_by_text("Run 0aaa1111 and run 4aaa1111").wait_for()
    assert compared.get_by_text("+0.0600").is_visible()
    assert compared.get_by_text("the tuned model").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = compared.locator(".part").last  # settings may be of any length, figures are not
    assert figures.evaluate("part => part.scrollWidth <= part.clientWidth")
    compared.get_by_role("button", name="Close").click()
    assert page.locator("tr.chosen").count() == 0
    assert page.problems == []
    page.close()


@browser_only
def test_a_home_without_runs_says_what_to_do(tmp_path, browser):
    empty = Served(tmp_path, set())
    try:
        page = opened(browser, empty.url)
        assert "embed-pipeline run" in page.inner_text("#status")
        assert not page.is_visible("#runs")
        assert page.problems == []
        page.close()
    finally:
        empty.stop()


@browser_only
def test_the_chart_has_what_was_measured_anew_and_joins_no_experiment(trials, browser):
    page = opened(browser, trials.url)
    chart = page.locator("#chart")
    assert chart.locator("circle.tuned").count() == 3
    assert chart.locator("circle.tuned.trial").count() == 1
    assert chart.locator("path.tuned").get_attribute("d").count("L") == 1
    assert "Hollow points are runs with overrides." in chart.inner_text()
    page.close()


def test_a_run_links_to_its_own_report_else_to_that_of_its_metrics(tmp_path):
    store = Store(tmp_path)
    metrics, whole = commit_report(store, "of metrics"), commit_report(store, "whole", asset="report")
    assets = {
        name: {"outcome": "computed", "version": of.version} for name, of in (("metrics", metrics), ("report", whole))
    }
    gone = {"metrics": {"outcome": "computed", "version": "f" * 64}}
    for run_id, made in (("a", {"metrics": assets["metrics"]}), ("b", assets), ("c", gone)):
        one = record(run_id, figures={}, verdict=None, firm=None, test_set_versions={})
        History(tmp_path).write(one | {"assets": made})
    served = Served(tmp_path, set())
    try:
        reports = {run["run_id"]: run["report"] for run in served.get("/runs").json()["runs"]}
    finally:
        served.stop()
    address = "/embed_pipeline/report/"
    assert reports == {"a": f"{address}{metrics.version}", "b": f"{address}{whole.version}", "c": None}
