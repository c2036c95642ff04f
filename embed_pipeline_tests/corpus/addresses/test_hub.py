import pytest

from embed_pipeline.corpus.addresses.hub import repository
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import address_version, corpus_at, revision_of
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.text.addresses import taken_apart
from embed_pipeline_tests.corpus.addresses.hub_server import Hub, Repo, handler_of
from embed_pipeline_tests.corpus.addresses.web_server import WebServer

TEXT = b"The loft warden checks the skein before every lofting and writes it into the gust ledger."
SETTINGS = CorpusSettings()
NAME = "loft/stations"


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    found = Hub()
    found.repos[NAME] = Repo()
    found.repos[NAME].commit({"README.md": TEXT, "docs/a.md": TEXT, "docs/sub/b.md": TEXT * 2, "p.png": b"x"})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with WebServer().serving(handler_of(found)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield found


def version(home, address=f"hf://{NAME}"):
    return address_version(address, home, selection_of(SETTINGS))


def listed(home, address=f"hf://{NAME}"):
    with corpus_at(address, home) as root:
        return scan_corpus(root, SETTINGS).filter(status="read")["path"].to_list()


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("hf://a/b", ("a/b", None, "")),
        ("hf://datasets/a/b", ("a/b", None, "")),
        ("hf://a/b/docs/de", ("a/b", None, "docs/de")),
        ("hf://a/b@v1.0", ("a/b", "v1.0", "")),
        ("hf://a/b@v1.0/docs", ("a/b", "v1.0", "docs")),
        ("hf://datasets/a/b@refs/convert/parquet/default", ("a/b", "refs/convert/parquet", "default")),
        ("hf://a/b@feature%2Fx/docs", ("a/b", "feature/x", "docs")),
    ],
)
def test_addresses_name_repository_revision_and_folder(address, named):
    assert tuple(repository(taken_apart(address))) == named


@pytest.mark.parametrize("address", ["hf://a", "hf://a/b@", "hf://a/b/docs@v1", "hf://models/a/b", "hf://"])
def test_other_addresses_are_refused(address):
    with pytest.raises(SettingsError, match=r"hf://owner/name"):
        repository(taken_apart(address))


def test_a_repository_is_read_and_its_commit_is_known(hub, home):
    found = version(home)
    assert listed(home) == ["README.md", "docs/a.md", "docs/sub/b.md"]
    assert revision_of(f"hf://{NAME}", home) == hub.repos[NAME].refs["main"]
    assert sorted(hub.downloads()) == ["README.md", "docs/a.md", "docs/sub/b.md"]
    assert version(home, f"hf://datasets/{NAME}") == found
    assert hub.tokens == {None}


def test_another_commit_costs_the_files_that_it_changes(hub, home):
    before = version(home)
    files = next(iter(hub.repos[NAME].commits.values()))
    hub.asked.clear()
    hub.repos[NAME].commit(files | {"p.png": b"y"})
    assert version(home) == before
    assert hub.downloads() == []
    hub.repos[NAME].commit(files | {"docs/a.md": TEXT * 3})
    assert version(home) != before
    assert hub.downloads() == ["docs/a.md"]


def test_a_folder_and_a_revision_are_chosen(hub, home):
    old = hub.repos[NAME].refs["main"]
    hub.repos[NAME].refs["v1"] = old
    hub.repos[NAME].commit({"docs/new.md": TEXT})
    version(home, f"hf://{NAME}/docs")
    assert listed(home, f"hf://{NAME}/docs") == ["new.md"]
    version(home, f"hf://{NAME}@v1/docs")
    assert listed(home, f"hf://{NAME}@v1/docs") == ["a.md", "sub/b.md"]
    with pytest.raises(InputError, match=r"the repository holds no nowhere at this revision"):
        version(home, f"hf://{NAME}/nowhere")


def test_a_commit_that_is_there_is_read_without_asking(hub, home, monkeypatch):
    pinned = f"hf://{NAME}@{hub.repos[NAME].refs['main']}"
    before = version(home, pinned)
    hub.asked.clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert version(home, pinned) == before
    assert hub.asked == []


def test_a_single_file_of_rows_is_read(hub, home):
    hub.repos[NAME].commit({"data/rows.csv": b"body\n" + TEXT + b"\n"})
    settings = CorpusSettings(columns={"text": "body"})
    address = f"hf://{NAME}/data/rows.csv"
    address_version(address, home, selection_of(settings))
    with corpus_at(address, home) as root:
        assert scan_corpus(root, settings)["path"].to_list() == ["rows.csv"]


def test_the_token_of_the_environment_opens_what_is_private_and_is_kept_nowhere(hub, home, monkeypatch):
    hub.repos[NAME].token = "hf_secret"  # pragma: allowlist secret
    with pytest.raises(InputError, match=rf"{NAME} is private, or not there \(401\): set HF_TOKEN"):
        version(home)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"the hub refuses the token in HF_TOKEN") as refused:
        version(home)
    assert "hf_wrong" not in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    version(home)
    assert listed(home) == ["README.md", "docs/a.md", "docs/sub/b.md"]
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(b"hf_secret" in data for data in files)


def test_a_token_that_somebody_has_logged_in_with_is_not_used(hub, home, monkeypatch, tmp_path):
    from huggingface_hub import constants

    (tmp_path / "token").write_text("hf_logged_in")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    version(home)
    assert hub.tokens == {None}


def test_each_refusal_has_its_sentence(hub, home, monkeypatch):
    hub.repos["loft/gated"] = Repo(token="t", gated=True)
    with pytest.raises(InputError, match=r"loft/gated is gated. Ask for access on its page"):
        version(home, "hf://loft/gated")
    with pytest.raises(InputError, match=r"loft/none is private, or not there"):
        version(home, "hf://loft/none")
    with pytest.raises(InputError, match=r"has no revision v9. Name a branch, a tag or a commit"):
        version(home, f"hf://{NAME}@v9")
    monkeypatch.setenv("HF_TOKEN", "hf_any")
    with pytest.raises(InputError, match=r"the hub has no data set loft/none, or it is private"):
        version(home, "hf://loft/none")


def test_without_network_it_says_what_to_do(hub, home, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"hf://loft/stations: the hub cannot be reached. Check the network"):
        version(home)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"the hub cannot be asked while HF_HUB_OFFLINE is set. Unset it"):
        version(home)


def test_nothing_of_the_client_stays_in_the_copy(hub, home):
    version(home)
    folder = Mirror.of(f"hf://{NAME}", home).folder
    assert sorted(path.name for path in folder.iterdir()) == ["fetched.jsonl", "lock", "mirror.json", "tree"]
    assert not list(folder.glob("tree/.*"))
