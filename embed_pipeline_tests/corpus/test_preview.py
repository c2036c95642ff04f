"""What a preview says of documents is what a run makes of them."""

import json

import pytest

from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.registry import BY_SUFFIX, Format
from embed_pipeline.corpus.parsers.text import parse_text
from embed_pipeline.corpus.passages import cut_passages
from embed_pipeline.corpus.preview import Choice, Most, preview_corpus, shortened
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline_tests.corpus.sources.test_sdg_records import ALPHA, BETA, record, write

SETTINGS = CorpusSettings(passage_tokens=64)
SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger."


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "sub").mkdir(parents=True)
    for number in range(30):
        body = f"# Page {number}\n\n{SENTENCE} " + f"Number {number} stands here, and nobody else. " * (number + 1)
        (folder / ("sub" if number % 2 else ".") / f"page{number:02}.md").write_text(body)
    (folder / "short.md").write_text("no")
    (folder / "table.xyz").write_text("x")
    return folder


def look(root, spec, *names, count=10, seed=0, settings=SETTINGS):
    return preview_corpus(root, settings, spec, Choice(names, count, seed))


def test_documents_and_passages_are_those_of_a_run(root, base_model_spec):
    found = look(root, base_model_spec)
    parsed = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS)
    passages = cut_passages(parsed.documents, parsed.kind, None, base_model_spec, SETTINGS)
    documents = {row["doc_id"]: row for row in parsed.documents.to_dicts()}
    assert len(found["documents"]) in (9, 10)  # short.md may be one of the ten
    for shown in found["documents"]:
        row = documents[shown["doc_id"]]
        assert (shown["title"], shown["language"], shown["characters"]) == (
            row["title"], row["language"], len(row["text"]),
        )  # fmt: skip
        assert [one["heading"] for one in shown["sections"]] == [one["heading"] for one in row["sections"]]
        assert shown["lines"][0] == shown["title"]
        made = passages.filter(doc_id=shown["doc_id"]).to_dicts()
        assert [(one["passage_id"], one["start"], one["end"], one["text"]) for one in shown["passages"]] == [
            (one["passage_id"], one["start"], one["end"], one["text"]) for one in made
        ]
        assert [one["tokens"] for one in shown["passages"]] == [one["token_count"] for one in made]


def test_the_same_seed_chooses_the_same_and_another_one_others(root, base_model_spec):
    def ids(seed):
        return [one["doc_id"] for one in look(root, base_model_spec, count=5, seed=seed)["documents"]]

    assert ids(1) == ids(1)
    assert len({tuple(ids(seed)) for seed in range(4)}) == 4
    before = set(ids(1))
    (root / "another.md").write_text(f"# Another\n\n{SENTENCE}")
    assert len(before & set(ids(1))) >= 4  # a file that comes takes the place of one of them at most


def test_by_name(root, base_model_spec):
    found = look(root, base_model_spec, "page02.md", "sub/page1*.md", count=4)
    assert found["matching"] == 6
    assert found["readable"] == 31
    assert found["chosen"] == len(found["documents"]) == 4
    assert {one["doc_id"] for one in look(root, base_model_spec, "page0[13].md")["documents"]} == {
        "sub/page01.md",
        "sub/page03.md",
    }


def test_what_is_skipped_is_listed_with_the_reason_and_what_was_named_first(root, base_model_spec):
    found = look(root, base_model_spec, "short.md")
    assert found["documents"] == []
    assert found["skipped"] == [
        {"path": "short.md", "reason": "only 2 characters of text (corpus.min_document_chars is 50)"},
        {"path": "table.xyz", "reason": "unsupported format .xyz"},
    ]
    assert look(root, base_model_spec, "*.xyz")["skipped"][0]["path"] == "table.xyz"


@pytest.mark.parametrize(
    ("name", "said"), [("page0l.md", r"did you mean page\d\d.md\?"), ("*.docx", r"'\*\.docx'; patterns may hold")]
)
def test_a_name_that_nothing_has_is_an_error(root, base_model_spec, name, said):
    with pytest.raises(InputError, match=said):
        look(root, base_model_spec, name)


def test_every_name_that_fits_nothing_is_named_beside_those_that_do(root, base_model_spec):
    with pytest.raises(InputError, match=r"is called 'nothing\.md'; "):
        look(root, base_model_spec, "*.md", "nothing.md")
    with pytest.raises(InputError, match=r"is called 'x\.pdf' or 'y/\*'; patterns may hold"):
        look(root, base_model_spec, "x.pdf", "*.md", "y/*")


def test_what_is_named_as_it_is_is_among_those_that_are_shown(root, base_model_spec):
    for name in ("page02.md", "sub/page29.md", "page15.md"):
        shown = [one["doc_id"] for one in look(root, base_model_spec, "*.md", name, count=2)["documents"]]
        assert any(one.endswith(name) for one in shown)


def test_a_pattern_of_the_settings_that_fits_nothing_is_told(root, base_model_spec):
    settings = SETTINGS.model_copy(update={"include": ("*.md", "*.docx")})
    (told,) = look(root, base_model_spec, settings=settings)["warnings"]
    assert told.startswith("corpus.include: '*.docx' fits none of the 32 files looked at (page00.md, ")
    assert look(root, base_model_spec)["warnings"] == []


def test_what_was_dropped_is_told_of_each_and_of_all(root, base_model_spec, monkeypatch):
    def parse(data):
        losses = Losses()
        losses.add("furniture", "Page 1 of 2")
        losses.add("furniture", "Page 2 of 2")
        losses.add("undecodable", "caf\ufffd", count=2)
        return parse_text(data).__class__(parse_text(data).blocks, losses=losses.told())

    monkeypatch.setitem(BY_SUFFIX, ".md", Format("markdown", (".md",), parse))
    found = look(root, base_model_spec, "page0*.md", count=3)
    furniture, undecodable = found["documents"][0]["dropped"]
    assert furniture["count"] == 2
    assert furniture["characters"] == 16
    assert furniture["examples"] == ["Page 1 of 2", "Page 2 of 2"]
    assert undecodable["characters"] == 0
    totals = {row["kind"]: (row["count"], row["characters"], row["documents"]) for row in found["dropped"]}
    assert totals == {"furniture": (6, 48, 3), "undecodable": (6, 0, 3)}
    assert all(0 < one["lost"] < 0.2 for one in found["documents"])


def test_text_in_no_passage_and_tokens_that_the_encoder_does_not_see(tmp_path, base_model_spec):
    short = base_model_spec.model_copy(update={"max_passage_length": 24})
    (tmp_path / "a.md").write_text(f"# Head\n\n{SENTENCE} {SENTENCE} {SENTENCE}")
    (shown,) = look(tmp_path, short)["documents"]
    (passage,) = shown["passages"]
    assert passage["tokens"] > passage["seen"] == 21  # the title takes one, [CLS] and [SEP] two
    assert passage["text"][: passage["seen_end"]].endswith("gust ledger. The")
    text = "".join(one["between"] + one["text"] for one in shown["passages"]) + shown["rest"]
    assert len(text) == shown["characters"]


def test_rows_of_a_beir_folder_are_passages_as_they_are(tmp_path, base_model_spec):
    (tmp_path / "beir").mkdir()
    rows = [{"_id": f"row{number}", "title": "T", "text": f"{SENTENCE} {number} " * 30} for number in range(12)]
    (tmp_path / "beir" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = look(tmp_path / "beir", base_model_spec, "row1*")
    assert (found["kind"], found["matching"], found["readable"]) == ("beir", 3, 12)
    assert [[one["passage_id"] for one in shown["passages"]] for shown in found["documents"]] == [
        [shown["doc_id"]] for shown in found["documents"]
    ]
    assert all(one["seen"] < one["tokens"] for shown in found["documents"] for one in shown["passages"])


def test_chunks_of_records_are_passages_as_they_are(tmp_path, base_model_spec):
    write(tmp_path, record(ALPHA), record(BETA))
    (shown,) = look(tmp_path, base_model_spec, "alpha.md")["documents"]
    assert shown["doc_id"] == "guides/alpha.md"
    assert [one["text"] for one in shown["passages"]] == ["Alpha is first. It stands alone.", "Alpha ends here."]


def test_of_much_a_page_is_given_some_and_how_much_is_left_out(root, base_model_spec):
    found = look(root, base_model_spec, "page28.md")
    (shown,) = shortened(found, Most(passages=2, sections=0, characters=40, skipped=0))["documents"]
    (whole,) = found["documents"]
    assert shown["passages_left_out"] == len(whole["passages"]) - 2 > 0
    assert shown["sections_left_out"] == 1
    assert [len(one["text"]) for one in shown["passages"]] == [40, 40]
    tokens = [one["tokens"] for one in whole["passages"]]
    assert (shown["token_range"], shown["cut_off"]) == ([min(tokens), max(tokens)], 0), "of those left out, too"
    assert shown["passages"][0]["characters_left_out"] == len(whole["passages"][0]["text"]) - 40
    assert shortened(found, Most(skipped=0))["skipped_left_out"] == len(found["skipped"]) > 0
    assert shortened(found, Most())["documents"][0]["passages_left_out"] == 0
