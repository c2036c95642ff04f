"""The page of a preview in a real Chromium: alone, and as a part of the web UI."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from embed_pipeline.webui import page_files
from embed_pipeline.webui.accounts import add_user
from embed_pipeline_tests.browser import CHROMIUM, WHY_NOT, chromium
from embed_pipeline_tests.processes import wait_until
from embed_pipeline_tests.webui.served import Ui, corpus_of, own_page, serving

PAGE = "/embed_pipeline/preview"
PASSWORD = "correct horse battery"  # pragma: allowlist secret
MINUTE = 60_000
SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger. "
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">\n\n</p><script>document.title='owned'</script> \u202eturned "
    "\x1b[31m <b>bold</b> "
)
HEAD = "---\nurl: https://a.example/7\ndate: 2026-01-31\ntags: [<b>bold</b>, water]\ncanonical_url: javascript:x\n---\n"
in_browser = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


@contextmanager
def preview_page(folder: Path, *options: str) -> Iterator[str]:
    """``embed-pipeline preview --page``; where it serves."""
    with own_page("preview", "--page", *options, folder=folder) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A corpus of which one file is hostile, one is one long line, and one cannot be read."""
    folder = tmp_path_factory.mktemp("page")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(8):
        (corpus / f"page{number}.md").write_text(f"# Page {number}\n\n{SENTENCE * 20}\n\n## More\n\n{SENTENCE * 9}")
    with (corpus / "page7.md").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(HEAD + text)
    (corpus / "hostile.txt").write_text(HOSTILE + SENTENCE * 3)
    (corpus / "line.txt").write_text("y" * 50_000)
    (corpus / "odd\u202e<b>name.txt").write_bytes(b"\0\1" * 99)
    return folder


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with preview_page(folder, "--corpus", "corpus", "--set", "encoder.max_passage_length=100") as url:
        assert url.endswith("?count=10&seed=0")
        yield url.partition("?")[0]


@contextmanager
def opened(address: str, **options) -> Iterator:
    said: list[str] = []
    with chromium() as browser:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(MINUTE)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.locator(".document, #skipped:not([hidden])").first.wait_for()
        yield page
    assert said == []


def get(address: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(address + path, headers=headers, timeout=120, trust_env=False)


@in_browser
def test_choose_documents_and_see_what_the_encoder_sees(address, folder):
    from playwright.sync_api import expect

    with opened(f"{address}?name=page*.md&count=3") as page:
        assert page.locator(".document").count() == 3
        expect(page.locator("#status")).to_contain_text("of 8 documents called so (of 10), chosen at random")
        first = page.locator(".document").first
        expect(first.locator(".warning")).to_contain_text("The encoder cuts")
        assert " of 3 passages" in first.locator(".warning").inner_text()
        shown = first.locator(".passage").first
        assert shown.locator(".unseen").inner_text().endswith("ledger.")
        assert "the encoder sees" in shown.inner_text()
        first.get_by_text("Sections", exact=True).click()
        assert first.locator(".sections li").all_inner_texts()[1:] == ["More"]
        other = page.locator(".document").nth(1)
        other.locator("summary", has_text="passages").click()
        expect(other.locator(".passage").first).to_be_visible()

        before = page.locator(".path").all_inner_texts()
        page.get_by_role("button", name="Others at random").click()
        expect(page.locator(".path").first).not_to_have_text(before[0])
        assert "seed=1" in page.url
        page.get_by_label("Names").fill("page7.md | line.txt")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator(".document")).to_have_count(2)
        page.go_back()
        expect(page.locator(".document")).to_have_count(3)
    assert [path.name for path in folder.iterdir()] == ["corpus"]  # no home


@in_browser
def test_what_a_document_tells_is_shown_and_only_the_web_is_linked(address):
    with opened(f"{address}?name=page7.md") as page:
        told = page.locator(".document .told")
        assert told.all_inner_texts() == ["url https://a.example/7", "date 2026-01-31", "tags <b>bold</b> · water"]
        assert [one.get_attribute("href") for one in told.locator("a").all()] == ["https://a.example/7"]
        assert told.locator("b").count() == 0
        assert "url: javascript:x" in page.locator(".losses").inner_text()


@in_browser
def test_hostile_text_is_text_and_what_was_dropped_is_shown(address):
    loss = {"kind": "hidden", "meaning": "parts", "count": 2, "characters": 900}

    def with_losses(route):
        answer = route.fetch(timeout=MINUTE)
        found = answer.json()
        found["documents"][0] |= {"dropped": [{**loss, "examples": [HOSTILE, "x" * 200]}], "lost": 0.4}
        found["warnings"] = [f"corpus.include: {HOSTILE}"]
        found["dropped"] = [{**loss, "documents": 1}]
        route.fulfill(response=answer, json=found)

    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(MINUTE)
        page.route("**/documents?*", with_losses)
        page.goto(f"{address}?name=hostile.txt&name=odd*")
        page.locator(".document").first.wait_for()
        assert page.title() == "Preview · embed-pipeline"
        assert page.locator("main :is(script, img)").count() == 0
        assert page.locator(".text b, .losses b").count() == 0
        assert "⟨U+202E⟩turned" in page.locator(".passage").first.inner_text()
        assert "<b>bold</b>" in page.locator(".losses .example").first.inner_text()
        assert page.locator(".losses .example").last.inner_text() == "x" * 200 + "…"  # it was cut there
        assert "⟨U+202E⟩turned" in page.locator("#warnings").inner_text()
        assert page.locator("#warnings b").count() == 0
        assert "40 % of its characters are left out." in page.locator(".warning").all_inner_texts()
        assert page.locator("#totals tbody td").all_inner_texts() == ["hidden", "2", "900", "1", "parts"]
        assert page.locator("#skipped td").first.inner_text() == "odd⟨U+202E⟩<b>name.txt"


@in_browser
def test_on_a_phone_and_in_the_dark_nothing_is_wider_than_the_screen(address):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "color_scheme": "dark"}
    with opened(f"{address}?name=line.txt&name=page1.md", **phone) as page:
        for details in page.locator("details:not([open]) summary").all():
            if details.is_visible():
                details.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(int(part) for part in background[4:-1].split(",")) < 150


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("count=0", "count is from 1 to 100"),
        ("count=many", "count is a whole number"),
        ("seed=99999999999999999999999", "seed is a whole number"),
        ("name=../../etc/passwd", "is called"),
        ("name=nope.md", "is called 'nope.md'"),
        ("&".join(["name=a"] * 101), "at most 100"),
    ],
)
def test_what_cannot_be_shown_is_told(address, query, said):
    answer = get(address, f"/documents?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]


def test_the_policy_of_the_page_and_what_other_pages_ask_for(address):
    policy = get(address, "").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert get(address, "/documents", Origin="http://evil.example").status_code == 403
    assert get(address, "/documents", Host="evil.example").status_code == 421


def test_a_reader_that_ends_by_itself_is_told_and_the_page_stays(address):
    parent = next(
        one for one in psutil.Process().children() if "preview" in one.cmdline() and "--page" in one.cmdline()
    )
    get(address, "/documents?name=page1.md").raise_for_status()
    (child,) = (one for one in parent.children() if "embed_pipeline.webui.worker_child" in one.cmdline())
    child.kill()
    wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE, 60)
    assert get(address, "/documents?name=page1.md").status_code == 200  # another one


@pytest.fixture(scope="module")
def ui(tmp_path_factory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "home").mkdir()
    access = folder / "home" / "access.json"
    add_user(access, "vera", "viewer", password=PASSWORD)
    with serving(folder, "--corpus", str(corpus_of(folder))) as running:
        yield running


@in_browser
@pytest.mark.timeout(300)
def test_in_the_web_ui_a_viewer_may_look(ui):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(MINUTE)
        page.goto(f"{ui.url}/login")
        page.get_by_label("Name").fill("vera")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Preview", exact=True).click()  # at the foot of Dagster's page
        page.locator(".document").first.wait_for()
        assert sorted(page.locator(".path").all_inner_texts()) == ["cradle.md", "drum.md", "valve.md"]
        assert "vera (viewer)" in page.locator("#who").inner_text()


def test_each_page_has_the_script_that_all_share(address):
    shared = get(address.removesuffix(PAGE), "/embed_pipeline/shared.js")
    assert shared.status_code == 200 and "default-src 'none'" in shared.headers["content-security-policy"]
    here = Path(page_files.__file__).parent
    helpers = re.findall(r"^  const (\w+) = ", shared.text, flags=re.MULTILINE)
    assert {"byId", "make", "call"} <= set(helpers)
    for name in ("preview", "search", "history"):
        assert '<script src="/embed_pipeline/shared.js" defer>' in (here / f"{name}.html").read_text("utf-8")
        own = (here / f"{name}.js").read_text("utf-8")
        assert not re.search(r"document\.(createElement|getElementById)\(|fetch\(", own), f"{name}.js has a copy"


def test_nobody_looks_without_signing_in(ui):
    assert get(ui.url, "/embed_pipeline/shared.js").status_code == 401
    for path in ("", ".js", "/state", "/documents"):
        assert get(f"{ui.url}{PAGE}", path).status_code == 401
