"""``s3://`` against moto's server on loopback."""

import pytest

from embed_pipeline.corpus.addresses import file_systems
from embed_pipeline.corpus.addresses.mirror import Mirror
from embed_pipeline.corpus.addresses.reading import address_version, corpus_at
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.selection import selection_of
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings
from embed_pipeline_tests.corpus.addresses.conftest import zipped

TEXT = b"The loft warden checks the skein before every lofting and writes it into the gust ledger."
SETTINGS = CorpusSettings()


@pytest.fixture(scope="module")
def store():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def bucket(store, monkeypatch, tmp_path):
    """A client, and a bucket ``corpus`` of its own."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-secret")  # pragma: allowlist secret
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    client = boto3.client("s3")
    client.create_bucket(Bucket="corpus")
    yield client
    for found in client.list_objects_v2(Bucket="corpus").get("Contents", []):
        client.delete_object(Bucket="corpus", Key=found["Key"])
    client.delete_bucket(Bucket="corpus")
    client.close()


def put(bucket, **files):
    for name, data in files.items():
        bucket.put_object(Bucket="corpus", Key=name, Body=data)


def version(home, address="s3://corpus/docs"):
    return address_version(address, home, selection_of(SETTINGS))


def listed(home, address="s3://corpus/docs"):
    with corpus_at(address, home) as root:
        return scan_corpus(root, SETTINGS).filter(status="read")["path"].to_list()


@pytest.fixture
def fetched(monkeypatch):
    paths, fetch = [], file_systems.FileSystem.fetch

    def noted(self, entry, part, check):
        fetch(self, entry, part, check)
        paths.append(entry.path)

    monkeypatch.setattr(file_systems.FileSystem, "fetch", noted)
    return paths


def test_a_prefix_is_a_folder_and_only_what_changed_is_fetched(bucket, home, fetched):
    put(bucket, **{"docs/a.md": TEXT, "docs/sub/b.md": TEXT * 2, "docs/": b"", "docs2/c.md": TEXT, "d.md": TEXT})
    before = version(home)
    assert listed(home) == ["a.md", "sub/b.md"]
    put(bucket, **{"docs/a.md": TEXT})  # the same once more has the same ETag
    fetched.clear()
    assert version(home) == before
    assert fetched == []
    put(bucket, **{"docs/sub/b.md": TEXT * 3})
    assert version(home) != before
    assert fetched == ["sub/b.md"]


def test_a_whole_bucket_and_an_archive_in_it(bucket, home):
    put(bucket, **{"a.md": TEXT, "packed.zip": zipped({"x/b.md": TEXT, "x/c.md": TEXT * 2})})
    version(home, "s3://corpus")
    assert listed(home, "s3://corpus") == ["a.md"]
    version(home, "s3://corpus/packed.zip")
    assert listed(home, "s3://corpus/packed.zip") == ["b.md", "c.md"]


def test_large_files_come_in_pieces_and_stay_whole(bucket, home, monkeypatch):
    monkeypatch.setattr(file_systems, "PIECE", 1000)
    put(bucket, **{"docs/a.md": TEXT * 200})
    version(home)
    assert (Mirror.of("s3://corpus/docs", home).tree / "a.md").read_bytes() == TEXT * 200


def test_what_is_not_there_is_told(bucket, home):
    with pytest.raises(InputError, match=r"s3://corpus/none: (nothing lies|there is nothing) at this address"):
        version(home, "s3://corpus/none")
    with pytest.raises(InputError, match=r"s3://no-such-bucket/x: (nothing lies|there is nothing) at this address"):
        version(home, "s3://no-such-bucket/x")


def test_without_credentials_the_variables_are_named(bucket, home, monkeypatch):
    put(bucket, **{"docs/a.md": TEXT})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(
        InputError, match=r"access is refused. Credentials come from the environment \(AWS_ACCESS_KEY_ID"
    ):
        version(home)


def test_a_store_that_cannot_be_reached_is_told(bucket, home, monkeypatch):
    from embed_pipeline_tests.ports import free_port

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InputError, match=r"s3://corpus/docs: cannot be reached"):
        version(home)


def test_keys_that_differ_by_a_slash_are_not_one_file(bucket, home):
    put(bucket, **{"docs/x.md": TEXT, "docs//x.md": TEXT * 2})
    version(home)
    with corpus_at("s3://corpus/docs", home) as root:
        found = dict(scan_corpus(root, SETTINGS).select("path", "reason").iter_rows())
    assert found["x.md"] is None
    assert found["/x.md"] == "its name cannot be that of a file below the corpus"
