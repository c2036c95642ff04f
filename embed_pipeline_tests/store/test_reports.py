"""A report is found by its version, and nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.files import temporary_folder
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline.store.reports import find_report
from embed_pipeline_tests.store.test_artifacts import values


def commit(
    store: Store, text: str, name: str = "report.html", asset: str = "metrics", inputs: dict[str, str] | None = None
) -> Artifact:
    with temporary_folder(store.staging(asset), "new") as staged:
        (staged / DATA).mkdir()
        (staged / DATA / name).write_text(text)
        return store.commit(staged, {**values(text, asset), "inputs": inputs or {}})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_by_version_by_its_beginning_and_the_one_in_use(store):
    old, new = commit(store, "old"), commit(store, "new")
    store.point(new, "new", "computed", 1.0)
    for artifact, text in ((old, "old"), (new, "new")):
        for version in (artifact.version, artifact.version[:12], artifact.version[:8]):
            assert find_report(store, version).read_text() == text
    assert find_report(store, "current").read_text() == "new"


def test_the_whole_report_is_shown_while_it_is_of_the_metrics_in_use(store):
    measured = commit(store, "of metrics")
    store.point(measured, "one", "computed", 1.0)
    whole = commit(store, "whole", asset="report", inputs={"metrics": measured.version})
    store.point(whole, "one", "computed", 1.0)
    assert find_report(store, "current").read_text() == "whole"
    assert find_report(store, whole.version[:12]).read_text() == "whole"
    assert find_report(store, measured.version[:12]).read_text() == "of metrics"
    later = commit(store, "of later metrics")
    store.point(later, "two", "computed", 1.0)
    assert find_report(store, "current").read_text() == "of later metrics"  # which were refused, perhaps


def test_the_one_of_a_reranker_is_found_by_its_version_alone(store):
    reranked = commit(store, "of a reranker", asset="reranker_metrics")
    store.point(reranked, "one", "computed", 1.0)
    assert find_report(store, reranked.version[:12]).read_text() == "of a reranker"
    with pytest.raises(InputError, match="metrics has not been computed"):
        find_report(store, "current")


@pytest.mark.parametrize(
    "version",
    ["", "..", "../../home", "0" * 7, "0" * 65, "A" * 12, "*" * 12, "0000000*", "00000000/..", "00000000\n", "keys"],
)
def test_what_is_no_version_is_refused(store, version):
    commit(store, "text")
    with pytest.raises(InputError, match="is named by a version"):
        find_report(store, version)


@given(st.text(max_size=40))
def test_nothing_but_a_report_is_ever_found(tmp_path_factory, version):
    store = Store(tmp_path_factory.mktemp("reports"))
    commit(store, "text")
    (store.home / "artifacts" / "metrics" / "report.html").write_text("outside")
    try:
        found = find_report(store, version)
    except InputError:
        return
    assert found.read_text() == "text"


def test_none_yet_and_none_like_it(store):
    with pytest.raises(InputError, match="has not been computed"):
        find_report(store, "current")
    with pytest.raises(InputError, match="gc may have removed it"):
        find_report(store, "0" * 64)


def test_a_link_and_what_is_half_written_are_no_reports(store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    linked, half = commit(store, "linked"), commit(store, "half")
    linked.file("report.html").unlink()
    (linked.path / "report.html").symlink_to(secret)
    (half.folder / "manifest.json").unlink()
    for artifact in (linked, half):
        with pytest.raises(InputError):
            find_report(store, artifact.version)


def test_a_beginning_of_two_is_refused(store):
    first = commit(store, "text")
    twin = first.folder.with_name(first.version[:12] + "0" * 52)
    first.folder.rename(twin)
    other = commit(store, "text")
    assert other.version[:12] == twin.name[:12]
    with pytest.raises(InputError, match="more than one"):
        find_report(store, first.version[:12])
    assert find_report(store, first.version).read_text() == "text"
