"""The search page in a real Chromium: alone, and as a part of the web UI with people who may do different things."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from embed_pipeline.evaluation.judged import JudgedQuestions
from embed_pipeline.webui.accounts import add_user
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.searchable import HOSTILE, Searchable, searchable, some_passages
from embed_pipeline_tests.webui.served import Ui, own_page, serving

PAGE = "/embed_pipeline/search"
PASSWORD = "correct horse battery"  # pragma: allowlist secret
MINUTE = 60_000
LION = {"query": "lion", "passage_id": "doc02.md#0000", "score": 1}
TOLD = (
    ("doc02.md", "url", "https://a.example/lion"),
    ("doc02.md", "date", "2026-01-31"),
    ("doc02.md", "tags", "<b>cats</b>"),
    ("doc02.md", "homepage", "javascript:document.title='owned'"),  # of a home made by hand
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@contextmanager
def search_page(home: Searchable, *options: str) -> Iterator[str]:
    """``embed-pipeline search`` without a query; where it serves."""
    with own_page("search", *home.options, *options) as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Searchable:
    found = searchable(tmp_path_factory.mktemp("page"))
    found.put_passages(some_passages(), TOLD)
    (found.folder / "log.txt").write_text("lion clock\nwhere the bridge stands\n")
    return found


@pytest.fixture(scope="module")
def address(home) -> Iterator[str]:
    with search_page(home, "--set", f"eval.query_log={home.folder / 'log.txt'}") as url:
        yield url


@pytest.fixture
def page(address) -> Iterator:
    from playwright.sync_api import expect

    expect.set_options(timeout=MINUTE)
    said: list[str] = []
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(MINUTE)
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.goto(address)
        yield opened
    assert said == []


def ask(page, query: str) -> None:
    page.get_by_label("Query", exact=True).fill(query)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("first passage").or_(page.get_by_text("same passage first")).wait_for()


def post(address: str, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(address + path, json=body, headers=headers, timeout=60, trust_env=False)


@in_browser
def test_search_judge_reload_undo_and_remove(page, home):
    from playwright.sync_api import expect

    judged = JudgedQuestions(home.home)
    ask(page, "where is the lion?")
    assert page.locator(".system h2").all_inner_texts() == [
        *("The base model", "The tuned model", "BM25 alone", "BM25 and the tuned model fused by scores")
    ]
    assert page.locator(".mark.only, .mark.up, .mark.down").count() > 0
    first = page.locator(".system").nth(2).locator(".hit").first
    passage = first.get_attribute("data-passage")
    first.get_by_role("button", name="Relevant", exact=True).click()
    expect(page.get_by_text("1 of 50 questions judged")).to_be_visible()
    expect(page.get_by_text(f"eval.gold: {judged.folder}")).to_be_visible()
    assert [dict(one.scores) for one in judged.all()] == [{passage: 1}]

    page.reload()
    pressed = page.locator("button[aria-pressed=true]").first
    expect(pressed).to_have_text("Relevant")
    expect(page.get_by_label("Query", exact=True)).to_have_value("where is the lion?")
    page.locator(f".judge [data-passage='{passage}'][data-score='2']").first.click()
    expect(page.get_by_text("Kept as exactly that.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Kept as relevant.")).to_be_visible()
    assert judged.all()[0].scores == {passage: 1}

    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("0 of 50 questions judged")).to_be_visible()
    assert judged.all() == []
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 of 50 questions judged")).to_be_visible()
    assert judged.all()[0].texts.keys() == {passage}


@in_browser
def test_what_the_corpus_tells_stands_below_a_passage_and_only_the_web_is_linked(page):
    from playwright.sync_api import expect

    ask(page, "where is the lion?")
    told = page.locator(".hit[data-passage='doc02.md#0000'] .told").first
    names = ("", "", "tags: ", "homepage: ")
    assert told.inner_text() == " · ".join(name + value for name, (*_, value) in zip(names, TOLD, strict=True))
    link = told.locator("a")
    expect(link).to_have_count(1)
    expect(link).to_have_attribute("href", "https://a.example/lion")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert told.locator("b").count() == 0


@in_browser
def test_hostile_and_right_to_left_text_is_text(page):
    from playwright.sync_api import expect

    ask(page, "bold lion river script")
    expect(page.get_by_role("heading", name=HOSTILE[0]).first).to_be_visible()
    assert page.title() == "Search · embed-pipeline"
    assert page.locator(".hit img, .hit script, .hit b").count() == 0
    ask(page, "المحرك النهر")
    right_to_left = page.locator(".hit h3", has_text="المحرك").first
    assert right_to_left.evaluate("element => getComputedStyle(element).direction") == "rtl"


@in_browser
def test_what_cannot_be_searched_is_said(address):
    from playwright.sync_api import expect

    with chromium() as browser:  # the browser itself puts a refused request into its console
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("the query is empty", timeout=MINUTE)


@in_browser
def test_queries_of_the_log_are_offered_one_after_the_other(page):
    from playwright.sync_api import expect

    page.get_by_role("button", name="Show queries").click()
    offered = page.locator("#log-query")
    expect(offered).to_be_visible()
    first = offered.inner_text()
    page.get_by_role("button", name="Next one").click()
    expect(offered).not_to_have_text(first)
    offered.click()
    expect(page.locator(".hit").first).to_be_visible()
    expect(page.get_by_label("Query", exact=True)).to_have_value(offered.inner_text())


@in_browser
def test_on_a_phone_and_in_the_dark_nothing_is_wider_than_the_screen(address):
    with chromium() as browser:
        phone = browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, color_scheme="dark")
        page = phone.new_page()
        page.set_default_timeout(MINUTE)
        page.goto(f"{address}?q={'longword' * 40}")
        page.locator(".hit").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(int(part) for part in background[4:-1].split(",")) < 150


@in_browser
def test_passages_that_have_changed_are_told(tmp_path):
    from playwright.sync_api import expect

    expect.set_options(timeout=MINUTE)
    home = searchable(tmp_path, checkpoint=False)
    rows = some_passages()
    judged = JudgedQuestions(home.home)
    with search_page(home) as address, chromium() as browser:
        for query, row in (("first", 5), ("second", 6)):
            passage = f"doc{row:02}.md#0000"
            shown = post(address, "/query", {"query": rows[row][1], "k": 50}).json()["passages"][passage]
            answer = post(address, "/judge", {"query": query, "passage_id": passage, "score": 1, "hash": shown["hash"]})
            assert answer.status_code == 200
        home.put_passages([*rows[:5], rows[6]])
        page = browser.new_page()
        page.set_default_timeout(MINUTE)
        page.goto(address)
        expect(page.locator("#changed")).to_contain_text("2 judged ones are not what they were")
        page.get_by_role("button", name="Take over").click()
        expect(page.locator("#changed")).to_contain_text("1 judged one is")
        page.get_by_role("button", name="Take back").click()
        expect(page.locator("#changed")).to_be_hidden()
        assert [(one.text, dict(one.scores)) for one in judged.all()] == [("second", {"doc05.md#0000": 1})]


def test_what_is_no_passage_cannot_be_judged(address, home):
    before = JudgedQuestions(home.home).all()
    answer = post(address, "/judge", LION | {"passage_id": "nope"})
    assert answer.status_code == 400
    assert "there is no passage 'nope'" in answer.json()["errors"][0]["message"]
    assert JudgedQuestions(home.home).all() == before


def test_what_other_pages_ask_for_is_refused(address, home):
    before = JudgedQuestions(home.home).all()
    assert post(address, "/judge", LION, Origin="http://evil.example").status_code == 403
    assert post(address, "/judge", LION, Host="evil.example").status_code == 421
    form = httpx.post(f"{address}/judge", data=LION, timeout=60, trust_env=False)
    assert form.status_code == 415
    assert httpx.get(f"{address}/judge", timeout=60, trust_env=False).status_code == 405
    assert JudgedQuestions(home.home).all() == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/query", {"query": ""}),
        ("/query", {"query": 7}),
        ("/query", {"query": "lion", "k": "many"}),
        ("/query", []),
        ("/judge", {"query": "lion", "passage_id": "doc02.md#0000", "score": 7}),
        ("/judge", {"query": "lion", "passage_id": "doc02.md#0000", "score": True}),
        ("/judge", {"query": "lion", "passage_id": "\ud800", "score": 1}),
        ("/judge", {"query": "lion", "score": 1}),
        ("/remove", {}),
        ("/restore", {"removed": None}),
    ],
)
def test_what_is_no_request_is_told(address, path, body):
    answer = httpx.post(
        address + path, content=json.dumps(body), headers={"Content-Type": "application/json"}, timeout=60,
        trust_env=False,
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


def test_a_long_query_and_the_policy_of_the_page(address):
    found = post(address, "/query", {"query": "lion river " * 1_000, "k": 3})
    assert found.status_code == 200
    assert len(found.json()["systems"]) == 4
    policy = httpx.get(address, timeout=60, trust_env=False).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert httpx.get(address.removesuffix(PAGE), timeout=60, trust_env=False).headers["location"] == PAGE


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    home = searchable(tmp_path_factory.mktemp("shared"))
    access = home.home / "access.json"
    add_user(access, "vera", "viewer", password=PASSWORD)
    add_user(access, "olga", "operator", password=PASSWORD)
    with serving(home.folder, *home.options[2:]) as running:
        yield running


def signed_in(browser, ui: Ui, name: str):
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.set_default_timeout(MINUTE)
    page.goto(f"{ui.url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


@in_browser
@pytest.mark.timeout(300)
def test_in_the_web_ui_a_viewer_searches_and_an_operator_judges(ui):
    from playwright.sync_api import expect

    expect.set_options(timeout=MINUTE)
    judged = JudgedQuestions(ui.home)
    with chromium() as browser:
        vera = signed_in(browser, ui, "vera")
        vera.get_by_role("link", name="Search", exact=True).click()  # at the foot of Dagster's page
        expect(vera.get_by_text("may search, not judge")).to_be_visible()
        ask(vera, "where is the lion?")
        assert vera.locator(".judge").count() == 0
        headers = {"Content-Type": "application/json"}
        refused = vera.evaluate(
            "([address, asked]) => fetch(address, asked).then((answer) => answer.status)",
            [f"{PAGE}/judge", {"method": "POST", "headers": headers, "body": json.dumps(LION)}],
        )
        assert refused == 403
        assert judged.all() == []

        olga = signed_in(browser, ui, "olga")
        olga.goto(f"{ui.url}{PAGE}?q=lion")
        olga.get_by_role("button", name="Relevant", exact=True).first.click()
        expect(olga.get_by_text("1 of 50 questions judged")).to_be_visible()
        assert len(judged.all()) == 1


def test_nobody_searches_without_signing_in(ui):
    for path in ("", ".js", "/state", "/judged", "/suggestions"):
        assert httpx.get(f"{ui.url}{PAGE}{path}", timeout=60, trust_env=False).status_code == 401
    assert post(f"{ui.url}{PAGE}", "/query", {"query": "lion"}).status_code == 401
