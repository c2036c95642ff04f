import json

import docx
import pytest

from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.parsers.registry import BY_SUFFIX, Format
from embed_pipeline.corpus.sources import files as files_module
from embed_pipeline.corpus.told import told_by_document
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.formats.beir import write_retrieval_set
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.records import RetrievalSet
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, validate
from embed_pipeline.text.language import detect_language
from embed_pipeline_tests.corpus.parsers.pdf_files import column, make_pdf

SETTINGS = CorpusSettings()
SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger."
SCRIPTS = {
    "de": "Die Plattform wird an einem Seil gehalten. Der Wind treibt zwei Rotoren an, die Strom erzeugen.",
    "zh": "平台由缆绳系住。风驱动两个转子发电。操作员每天检查缆绳，并把结果写入日志。如果风速过高，平台必须降落。",
    "th": "แพลตฟอร์มถูกผูกไว้ด้วยสายเคเบิล ลมหมุนโรเตอร์สองตัวเพื่อผลิตไฟฟ้า เจ้าหน้าที่ตรวจสอบสายเคเบิลทุกวัน",
    "ar": "المنصة مربوطة بكابل. تدير الرياح دوارين لتوليد الكهرباء. يفحص المشغل الكابل كل يوم؟ نعم، كل يوم.",
    "ru": "Платформа удерживается тросом. Ветер вращает два ротора и вырабатывает электричество.",
    "ja": "プラットフォームはケーブルでつながれています。風が二つのローターを回して発電します。毎日点検します。",
}


def read(root, settings=SETTINGS):
    return read_documents(root, scan_corpus(root, settings), settings)


def test_every_format_becomes_a_document(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text(f"Notes\n\n{SENTENCE}")
    (tmp_path / "b.MD").write_text(f"# Head\n\n{SENTENCE}")
    (tmp_path / "sub" / "c.rst.txt").write_text(f"Head\n====\n\n{SENTENCE}")
    (tmp_path / "d.html").write_text(f"<title>Page</title><p>{SENTENCE}</p>")
    (tmp_path / "e.pdf").write_bytes(make_pdf([column([SENTENCE[:45], SENTENCE[46:]])], title="Paper"))
    document = docx.Document()
    document.add_paragraph(SENTENCE)
    document.save(tmp_path / "f_g.docx")
    frame = read(tmp_path).documents
    assert frame["doc_id"].to_list() == ["a.txt", "b.MD", "d.html", "e.pdf", "f_g.docx", "sub/c.rst.txt"]
    assert frame["title"].to_list() == ["Notes", "Head", "Page", "Paper", "f_g", "Head"]
    assert [SENTENCE in text for text in frame["text"]] == [True] * 6
    assert frame["language"].to_list() == ["en"] * 6
    assert validate(Documents, frame).equals(frame)


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(SENTENCE)
    assert read(tmp_path).documents.serialize() == read(tmp_path).documents.serialize()


def test_what_cannot_be_read_is_skipped_by_name_and_the_run_goes_on(tmp_path):
    (tmp_path / "good.txt").write_text(SENTENCE)
    (tmp_path / "short.txt").write_text("Too short.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nonsense")
    (tmp_path / "locked.pdf").write_bytes(make_pdf([column([SENTENCE])], encrypted=True))
    (tmp_path / "scan.pdf").write_bytes(make_pdf([[]]))
    (tmp_path / "broken.docx").write_bytes(b"PK\x03\x04 nonsense")
    (tmp_path / "odd.txt").write_bytes(bytes(range(128, 256)) * 40)
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        parsed = read(tmp_path)
    reasons = dict(parsed.skipped.rows())
    assert parsed.documents["doc_id"].to_list() == ["good.txt"]
    assert reasons == {
        "broken.docx": "not a valid Word document (.docx)",
        "broken.pdf": "not a valid PDF",
        "locked.pdf": "an encrypted PDF",
        "odd.txt": "its character encoding cannot be told: read as cp1253, which fits best, 77% of the "
        "characters beyond ASCII suit a language (90% are needed); save it as UTF-8",
        "scan.pdf": "no text in the PDF; corpus.ocr reads scanned pages (with the extra documents)",
        "short.txt": "only 10 characters of text (corpus.min_document_chars is 50)",
    }
    assert "skipped locked.pdf: an encrypted PDF" in lines


def test_a_parser_that_fails_in_an_unforeseen_way_skips_only_its_file(tmp_path, monkeypatch):
    def fail(data):
        raise IndexError("too deep")

    monkeypatch.setitem(BY_SUFFIX, ".html", Format("html", (".html",), fail))
    (tmp_path / "a.html").write_text("<p>x</p>")
    (tmp_path / "b.txt").write_text(SENTENCE)
    assert read(tmp_path).skipped.rows() == [("a.html", "cannot be parsed as html (IndexError: too deep)")]


def test_deeply_nested_input_does_not_stop_the_run(tmp_path):
    (tmp_path / "a.html").write_text("<div>" * 5000 + SENTENCE)
    (tmp_path / "b.md").write_text(">" * 3000 + SENTENCE)
    (tmp_path / "c.txt").write_text(SENTENCE)
    parsed = read(tmp_path)
    assert "c.txt" in parsed.documents["doc_id"].to_list()
    assert parsed.documents.height + parsed.skipped.height == 3


def test_no_document_left(tmp_path):
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(InputError, match=r"no document of the corpus can be used \(a.txt: only 5 characters"):
        read(tmp_path)


@pytest.mark.parametrize("change", [lambda path: path.write_text("other"), lambda path: path.unlink()])
def test_a_file_that_changes_meanwhile_stops_the_run(tmp_path, change):
    (tmp_path / "a.txt").write_text(SENTENCE)
    manifest = scan_corpus(tmp_path, SETTINGS)
    change(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"a\.txt: changed while it was being read.*run again"):
        read_documents(tmp_path, manifest, SETTINGS)


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_languages(language):
    assert detect_language(SCRIPTS[language]) == language


def test_too_little_text_has_no_language():
    assert detect_language("OK 123 456 789 101112 131415") == "und"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Merrin handbook\n\n" + SENTENCE, "Merrin handbook"),
        ("EXHIBIT 10.2\n\nService Agreement\n\n" + SENTENCE, "Service Agreement"),
        ("Apollo 11\n\n" + SENTENCE, "Apollo 11"),
        ("[FORM]\n\nHosting Agreement\n\n" + SENTENCE, "Hosting Agreement"),
        ("Execution copy\n\nEXHIBIT ‘B’\n\nLease\n\n" + SENTENCE, "Lease"),
        (SENTENCE, "the_name"),
    ],
)
def test_title_of_plain_text(tmp_path, text, title):
    (tmp_path / "the_name.txt").write_text(text)
    assert read(tmp_path).documents["title"].to_list() == [title]


def test_a_title_from_the_name_of_a_file_is_one_line(tmp_path):
    (tmp_path / "two\nlines.txt").write_text(SENTENCE)
    assert read(tmp_path).documents["title"].to_list() == ["two lines"]


def write_beir(root, *lines):
    (root / "corpus.jsonl").write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))


def test_metadata_of_beir_rows_comes_along_and_goes_round(tmp_path):
    told = {"URL": "https://a.example/1", "tags": ["a", "b"], "date": "1/2/2026", "pubmed_id": 17, "parts": {"x": 1}}
    write_beir(
        tmp_path,
        {"_id": "1", "text": "One pump.", "metadata": told},
        {"_id": "2", "text": "Two pumps.", "metadata": {"url": "javascript:alert(1)", "": "x", " \n": "y"}},
        {"_id": "3", "text": "No pump.", "metadata": ["url"]},
    )
    parsed = read(tmp_path)
    rows = [("1", "url", "https://a.example/1"), ("1", "tags", "a"), ("1", "tags", "b"), ("1", "pubmed_id", "17")]
    assert parsed.metadata.rows() == rows
    assert dict(parsed.dropped.select("doc_id", "examples").rows()) == {
        "1": ["date: 1/2/2026", "parts: a mapping"], "2": ["url: javascript:alert(1)"],
    }  # fmt: skip
    built = RetrievalSet("set", {"1": "One pump."}, {"q": "which?"}, {"q": {"1": 1}})
    write_retrieval_set(built, tmp_path / "again", "test", told_by_document(parsed.metadata))
    assert read(tmp_path / "again").metadata.rows() == rows


def test_beir_rows_are_documents_with_their_ids(tmp_path):
    write_beir(
        tmp_path,
        {"_id": "z", "title": "T", "text": "short\r\ntext"},
        {"_id": 7, "text": "no title"},
        "",
        {"_id": "e", "title": "only a title", "text": ""},
        {"_id": "nothing", "title": "", "text": " "},
    )
    parsed = read(tmp_path)
    assert parsed.documents.select("doc_id", "path", "title", "text").rows() == [
        ("z", "corpus.jsonl", "T", "short\ntext"),
        ("7", "corpus.jsonl", "", "no title"),
        ("e", "corpus.jsonl", "", "only a title"),
    ]
    assert parsed.skipped.rows() == [("nothing", "line 5 has neither text nor title")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{broken", "not valid JSON"),
        ("[1]", r"must be a JSON object with _id and text, not \[1\]"),
        ({"text": "x"}, "needs an _id that is text or a whole number, not None"),
        ({"_id": "", "text": "x"}, "needs an _id"),
        ({"_id": "b"}, "needs a text that is text, not None"),
        ({"_id": "b", "text": 5}, "needs a text that is text, not 5"),
        ({"_id": "b", "text": "x", "title": 5}, "needs a title that is text, not 5"),
        ({"_id": "a", "text": "x"}, "the id 'a' stands already in line 1"),
    ],
)
def test_a_bad_beir_line_is_named(tmp_path, line, expected):
    write_beir(tmp_path, {"_id": "a", "text": "good"}, line)
    with pytest.raises(InputError, match=f"corpus.jsonl, line 2: .*{expected}"):
        read(tmp_path)


def test_beir_that_is_not_utf8(tmp_path):
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "a", "text": "x"}\n{"_id": "b", "text": "\xe9"}')
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read(tmp_path)


def test_recognition_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "is_installed", lambda package: False)
    (tmp_path / "a.txt").write_text(SENTENCE)
    with pytest.raises(SettingsError, match=r"corpus\.ocr needs the extra documents: pip install"):
        read(tmp_path, CorpusSettings(ocr=True))
