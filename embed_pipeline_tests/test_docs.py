"""The documentation says what the code says: pages written from it name everything there is."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from lxml import html

from tools.docs import check, markdown
from tools.docs import pages as written

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("docs")
    return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in written.write_pages(folder)}


def titles(page: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+)$", page, flags=re.MULTILINE)


def test_every_setting_stands_on_its_page_with_default_profiles_and_key(pages):
    from embed_pipeline.settings.sources import setting_names

    rows = re.findall(r"^\| `([a-z_0-9.]+)` \|(.*)\|$", pages["reference/settings.md"], flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == setting_names()
    cells = {name: [cell.strip() for cell in row.split(" | ")] for name, row in rows}
    assert cells["finetune.epochs"] == ["`3`, cpu: `1`", "checkpoint", "Passes over the training rows. *int, ≥ 1*"]
    assert cells["finetune.reranker_epochs"][1] == "reranker"
    assert cells["eval.rerank_depth"][1] == "reranker_metrics"
    assert cells["sdg.llm.concurrency"][1] == "*runtime*"
    assert cells["sdg.llm.temperature"][1] == "qa_candidates"
    assert cells["base_model"][1] == "*no stage*"


def test_every_table_and_column_stands_on_its_page(pages):
    import dataframely as dy

    from embed_pipeline import tables

    schemas = [one for one in vars(tables).values() if isinstance(one, type) and issubclass(one, dy.Schema)]
    page = pages["reference/tables.md"]
    assert sorted(titles(page, 2)) == sorted(one.__name__ for one in schemas)
    assert len(schemas) > 10
    for schema in schemas:
        part = page.split(f"## {schema.__name__}\n", 1)[1].split("\n## ", 1)[0]
        assert re.findall(r"^\| `(\w+)`", part, flags=re.MULTILINE) == schema.column_names()


def test_every_prompt_stands_on_its_page_word_for_word(pages):
    from embed_pipeline.llm.prompts import prompt_texts

    texts = prompt_texts()
    assert titles(pages["reference/prompts.md"], 2) == list(texts)
    assert all(text.rstrip() in pages["reference/prompts.md"] for text in texts.values())


def test_every_error_stands_on_its_page_with_its_exit_code(pages):
    from embed_pipeline import errors

    kinds = [
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.EmbedPipelineError)
    ]
    found = re.findall(r"^\| `(\w+)` \| `\w+` \| (\d) \|", pages["reference/errors.md"], flags=re.MULTILINE)
    assert found == [(one.__name__, str(one.exit_code)) for one in kinds]
    tree = pages["reference/errors.md"].split("```")[1]
    assert all(one.__name__ in tree for one in kinds)


def test_every_command_stands_on_its_page(pages):
    import typer

    from embed_pipeline.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert titles(pages["reference/commands.md"], 2) == [f"`embed-pipeline {name}`" for name in commands]


def test_every_asset_and_check_stands_on_its_page(pages):
    from embed_pipeline.definitions import build_defs
    from embed_pipeline.settings import Settings

    specs = build_defs(Settings(), ROOT / ".embed_pipeline").resolve_all_asset_specs()
    page = pages["reference/assets.md"]
    made = sorted(spec.key.to_user_string() for spec in specs if spec.group_name != "outside")
    assert sorted(titles(page, 3)) == made
    assert all(f"| `{spec.key.to_user_string()}` |" in page for spec in specs if spec.group_name == "outside")
    assert "| `no_leakage` | `splits` |" in page
    assert "`sweep_comparison`" in page
    assert "`candidate_metrics`" in page
    assert "`reranker_metrics`" in page


def test_every_name_of_the_library_stands_on_its_page_with_its_signature(pages):
    import embed_pipeline

    page = pages["reference/api.md"]
    assert sorted(titles(page, 2)) == sorted(embed_pipeline.__all__)
    assert len(embed_pipeline.__all__) > 5
    assert "    role: Literal['query', 'passage'] = 'passage'\n) -> NDArray[float32]\n" in page


def test_every_benchmark_stands_on_one_page(pages):
    files = [file for file in (ROOT / "benchmarks").glob("*.md") if file.stem != "README"]
    anchors = re.findall(r"^## .* \{#(\w+)\}$", pages["measured.md"], flags=re.MULTILINE)
    assert sorted(anchors) == sorted(file.stem for file in files)
    assert set(re.findall(r"\]\(#(\w+)\)", pages["measured.md"])) <= set(anchors)


def test_every_path_that_the_architecture_names_is_there():
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", (ROOT / "docs" / "architecture.md").read_text("utf-8")))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / "embed_pipeline" / name).exists()] == []


def test_every_kind_of_loss_stands_in_the_table_of_documents():
    from embed_pipeline.corpus.parsers.losses import DROPPED, REPLACED

    page = (ROOT / "docs" / "documents.md").read_text("utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| (left out|replaced) \| (.+) \|$", page, flags=re.MULTILINE)
    expected = [
        (kind, how, about)
        for how, kinds in (("left out", DROPPED), ("replaced", REPLACED))
        for kind, about in kinds.items()
    ]
    assert rows == expected


def test_a_docstring_becomes_markdown():
    text = """Do it, see :func:`~a.b.c`.

    Args:
        one: a ``thing`` | other.

    Returns:
        What.

    Raises:
        E: bad.
    """
    found = markdown.docstring(text)
    assert "`a.b.c`" in found
    assert "| `one` | a `thing` \\| other. |" in found
    assert "**Returns** What." in found
    assert "| `E` | bad. |" in found


SITE = {
    "zensical.toml": '[project]\nnav = [{ "A" = "a.md" }, { "More" = [{ "C" = "c.md" }] }]\n',
    "docs/a.md": "",
    "docs/b.md": "",
    "site/a.html": '<a href="b.html#there">x</a><img src="p.png"><link rel="canonical" href="https://example.com/">',
    "site/b.html": '<p id="there"><a href="https://example.com/">x</a></p>',
    "site/p.png": "",
}
BROKEN = {
    '<a href="gone.html">': "a.html: gone.html does not exist",
    '<a href="b.html#nowhere">': "a.html: b.html#nowhere does not exist",
    '<img src="gone.png">': "a.html: gone.png does not exist",
    '<script src="https://a.example/x.js"></script>': "a.html: https://a.example/x.js would be fetched from elsewhere",
    '<link rel="stylesheet" href="//a.example/x.css">': "a.html: //a.example/x.css would be fetched from elsewhere",
}
MENU = ["c.md is in the menu of zensical.toml, but not in docs/", "docs/b.md is not in the menu of zensical.toml"]


@pytest.mark.parametrize("markup", ["", *BROKEN])
def test_what_is_wrong_with_a_site_is_told(tmp_path, markup):
    for name, text in SITE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + markup if name == "site/a.html" else text)
    expected = ([BROKEN[markup]] if markup else []) + MENU
    assert check.faults(tmp_path / "site", tmp_path / "zensical.toml") == expected


@pytest.mark.skipif(find_spec("zensical") is None, reason="the extra docs is not installed")
def test_the_site_builds_and_nothing_in_it_is_broken(tmp_path):
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    written.write_pages(tmp_path / "docs")
    words = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert check.faults(tmp_path / "site", tmp_path / "zensical.toml") == []
    settings = html.parse(tmp_path / "site" / "reference" / "settings.html").getroot().text_content()
    assert "finetune.early_stopping_patience" in settings


def test_one_page_says_how_to_write_a_gold_set_and_the_others_send_there():
    texts = {file.name: file.read_text("utf-8") for file in (ROOT / "docs").glob("*.md")}
    described = [name for name, text in texts.items() if re.search(r"qrels/test\.tsv +query-id <tab>", text)]
    assert described == ["gold_sets.md"]
    for name in ("own_data.md", "verdict.md", "search.md"):
        assert "](gold_sets.md" in texts[name], name
    assert "docs/gold_sets.md" in (ROOT / "README.md").read_text("utf-8")
