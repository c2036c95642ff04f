import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.places import named_absolutely
from embed_pipeline.settings.sources import absolute_overrides, load_settings, with_overrides
from embed_pipeline.text.addresses import checked_address, is_address, taken_apart

WORD = "hunter2"
SECRETS = [
    f"s3://key:{WORD}@bucket/x",
    "https://user@host/a.zip",
    f"https://host/a.zip?X-Amz-Signature={WORD}",
    f"https://host/a.zip?a=b&token={WORD}",
    f"https://host/a.zip?sv=1&sig={WORD}",
    f"https://host/a.zip?a=1;apikey={WORD}",
    f"https://host/a.zip#access_token={WORD}",
    f"https://host/a.zip;jsessionid={WORD}?a=b",
    f"https://host/a.zip#/x?token={WORD}",
    f"zip://x::https://user:{WORD}@host/a.zip",
    f"simplecache::s3://key:{WORD}@bucket/x",
    f"HTTPS://user:{WORD}@host/a.zip",
]


@pytest.mark.parametrize("address", SECRETS)
def test_credentials_in_an_address_are_refused_and_never_shown(address):
    with pytest.raises(SettingsError) as refused:
        load_settings(None, None, [f"corpus.path={address}"], {})
    assert "corpus.path" in str(refused.value)
    assert WORD not in str(refused.value) and "user" not in str(refused.value).replace("a user name", "")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("s3://bucket/folder/", "s3://bucket/folder"),
        ("S3://Bucket/Folder", "s3://Bucket/Folder"),
        ("https://host/a.zip?download=1", "https://host/a.zip?download=1"),
        ("zip://docs::s3://bucket/a.zip", "zip://docs::s3://bucket/a.zip"),
        ("hf://owner/name@v1/docs", "hf://owner/name@v1/docs"),
        ("memory://", "memory://"),
    ],
)
def test_addresses_are_kept_in_one_form(text, kept):
    assert checked_address(text) == kept == checked_address(kept)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/../x",
        "s3://bucket/%2e%2e/x",
        "file://relative/x",
        "zip://x",
        "foo::bar::s3://x",
        "s3://a b/c",
        "zip://a::b/c",
    ],
)
def test_what_cannot_be_one_is_refused(text):
    with pytest.raises(ValueError):
        checked_address(text)


@pytest.mark.parametrize("text", ["docs", "/data/docs", "./a:b", "C:/docs", "s3:/bucket", "~/docs"])
def test_paths_are_no_addresses(text):
    assert not is_address(text)


def test_archives_are_told_by_their_name_or_by_what_stands_before():
    assert taken_apart("https://host/a.tar.gz?download=1").archive
    assert taken_apart("https://host/a%20b.ZIP").archive
    assert taken_apart("memory://a.zip").archive
    assert not taken_apart("https://host/a.jsonl").archive
    assert not taken_apart("https://host.zip/a.jsonl").archive
    assert tuple(taken_apart("zip://a/b::https://host/get?id=3"))[1:] == ("https://host/get?id=3", True, "a/b")


@given(st.text(max_size=60))
def test_whatever_is_let_through_stays_as_it_is(text):
    try:
        kept = checked_address(f"s3://{text}")
    except ValueError:
        return
    assert checked_address(kept) == kept


def test_a_setting_is_an_address_a_path_or_a_path_written_as_an_address(tmp_path):
    assert load_settings(None, None, ["corpus.path=s3://bucket/x"], {}).corpus.address == "s3://bucket/x"
    local = load_settings(None, None, [f"corpus.path=file://{tmp_path}/x%20y"], {}).corpus
    assert (local.folder, local.address) == (tmp_path / "x y", None)
    packed = load_settings(None, None, [f"corpus.path=file://{tmp_path}/x.zip"], {}).corpus
    assert packed.address == f"file://{tmp_path}/x.zip"
    (tmp_path / "pipeline.yaml").write_text("corpus: {path: s3://bucket/x}\nvariants: {a: {corpus.path: hf://o/n}}\n")
    settings = load_settings(tmp_path / "pipeline.yaml", None, [], {})
    assert settings.corpus.path == "s3://bucket/x"
    assert with_overrides(settings, ["finetune.epochs=2"]).corpus.path == "s3://bucket/x"


def test_an_address_means_the_same_in_every_folder():
    assert absolute_overrides(["corpus.path=s3://bucket/x"], {}) == [*["corpus.path=s3://bucket/x"] * 2]
    assert named_absolutely({"eval": {"gold": "s3://bucket/x"}}) == []


def test_the_launchpad_cannot_read_another_address(tmp_path):
    from embed_pipeline.settings.protected import refuse_protected

    for base in ("s3://bucket/x", str(tmp_path)):
        settings = load_settings(None, None, [f"corpus.path={base}"], {})
        for other in ("s3://bucket/x/y", "s3://other", "https://host/a.zip"):
            with pytest.raises(SettingsError, match=r"corpus.path decides which files are read"):
                refuse_protected(settings, [f"corpus.path={other}"], tmp_path / "home")
        refuse_protected(settings, [f"corpus.path={base}"], tmp_path / "home")
