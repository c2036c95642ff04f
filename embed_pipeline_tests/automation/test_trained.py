"""What a home was trained on is read from its pointers, whoever moved them."""

import pytest

from embed_pipeline.automation.trained import (
    content_in_use,
    files_trained_on,
    is_complete,
    is_trained,
)
from embed_pipeline.corpus.manifest import corpus_fingerprint
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.automation.build import pretend_run


class Home:
    def __init__(self, folder):
        self.corpus = folder / "corpus"
        self.corpus.mkdir()
        self.settings = load_settings(None, None, [f"corpus.path={self.corpus}"], {})
        self.store, self.graph = Store(folder / "home"), stages(self.settings)

    def write(self, text):
        (self.corpus / "a.md").write_text(text)
        return corpus_fingerprint(self.corpus)

    def run(self, **how):
        pretend_run(self.store, self.graph, self.settings, **how)

    def trained(self, content):
        return is_trained(self.store, self.graph, content)

    def complete(self, content):
        return is_complete(self.store, self.graph, self.settings, content)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_a_new_home_was_trained_on_nothing(home):
    content = home.write("A")
    assert content_in_use(home.store) is None
    assert files_trained_on(home.store) is None
    assert not home.trained(content)
    assert not home.complete(content)


def test_a_whole_run_is_known_without_any_history(home):
    content = home.write("A")
    home.run()
    assert content_in_use(home.store) == content
    assert home.trained(content)
    assert home.complete(content)
    assert not home.trained("something else")


@pytest.mark.parametrize(("up_to", "trained"), [("qa_pairs", False), ("checkpoint", False), ("metrics", True)])
def test_a_run_that_went_part_of_the_way(home, up_to, trained):
    content = home.write("A")
    home.run(up_to=up_to)
    assert home.trained(content) is trained
    assert not home.complete(content)


def test_a_run_on_new_content_that_failed_leaves_the_story_of_the_old_one_incomplete(home):
    a = home.write("A")
    home.run()
    b = home.write("B")
    home.run(up_to="checkpoint")
    assert content_in_use(home.store) == b
    assert not home.trained(a)
    assert not home.trained(b)
    assert files_trained_on(home.store).keys() == {"a.md"}


def test_it_compares_with_the_corpus_of_the_model_in_use_not_with_the_one_read_last(home):
    home.write("A")
    home.run()
    trained_on = files_trained_on(home.store)
    home.write("Bbb")
    home.run(up_to="qa_pairs")
    assert files_trained_on(home.store) == trained_on


def test_there_and_back(home):
    a = home.write("A")
    home.run()
    b = home.write("B")
    home.run()
    assert home.trained(b)
    assert not home.trained(a)
    home.write("A")
    home.run()
    assert home.trained(a)


def test_other_settings_do_not_make_other_content(home):
    content = home.write("A")
    home.run()
    home.settings = load_settings(None, None, [f"corpus.path={home.corpus}", "finetune.epochs=9"], {})
    assert home.trained(content)
    home.run()
    assert home.trained(content)


def test_settings_that_make_the_graph_grow_or_a_run_part_of_the_way_do_not_either(home):
    content = home.write("A")
    home.run()
    home.settings = load_settings(
        None, None, [f"corpus.path={home.corpus}", "prep.mining_rounds=2", "finetune.hard_negatives=1"], {}
    )
    home.graph = stages(home.settings)
    assert home.trained(content)
    home.run(up_to="qa_pairs")
    assert home.trained(content)


def test_a_file_that_no_text_is_read_from_is_trained_on_once_a_run_has_seen_it(home):
    home.write("A")
    home.run()
    (home.corpus / "picture.png").write_bytes(b"x")
    content = corpus_fingerprint(home.corpus)
    assert not home.trained(content)
    home.run(same_documents=True)
    assert home.trained(content)


def test_an_endpoint_outside_its_tolerance_is_not_complete(home):
    content = home.write("A")
    home.run(within_tolerance=False)
    assert home.trained(content)
    assert not home.complete(content)
