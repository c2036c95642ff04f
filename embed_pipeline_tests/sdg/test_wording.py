import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.sdg.wording import longest_run, refers_to_text, same_form, words


@pytest.mark.parametrize(
    "question",
    [
        "According to the passage, what is the lung pressure?",
        "What, according to the given\n context, is a skein?",
        "Which alarm is mentioned in the text?",
        "What does the document say about nesting?",
        "What is described in this section?",
        "Based on the provided excerpt, when is the skein retired?",
        "What limit is listed above?",
        "What does the author mention first?",
        "In passage 2, which family is named?",
        "What is stated in the document on gas grade?",
        "What is the purpose of the procedure outlined in the article?",
        "Laut dem Text: wie hoch ist der Druck?",
        "Selon le texte, quelle est la pression ?",
        "D’après ce document, qui répond ?",
        "Según el texto, ¿cuál es la presión?",
        "根据上文，压力是多少？",
        "この文章によると、圧力は何ですか",
        "この文章で述べられている圧力は",
    ],
)
def test_questions_that_point_at_their_text_are_seen(question):
    assert refers_to_text(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the lung pressure of a Merrin?",
        "Which document do I need for the retrofit?",
        "How long are documents retained?",
        "Where is the text field for the station name?",
        "How high is the passage under the cradle?",
        "Which section of the skein wears first?",
        "What happens above 24 m/s?",
        "Who is the author of a gust ledger entry?",
        "context window of the Tally controller",
        "In welchem Dokument steht die Wartung?",
        "压力是多少？",
    ],
)
def test_questions_about_the_world_are_left_alone(question):
    assert not refers_to_text(question)


def test_words_are_free_of_case_and_punctuation_and_single_characters_in_chinese():
    assert words("Low-alarm: 350 Pa, Straße!") == ["low", "alarm", "350", "pa", "strasse"]
    assert words("升空限制 ABC") == ["升", "空", "限", "制", "abc"]


def test_the_same_form_ignores_case_and_punctuation_only():
    assert same_form("What is a skein?") == same_form("what is  a SKEIN")
    assert same_form("What is a skein?") != same_form("What is the skein?")
    assert same_form("???") != same_form("!!!")


@pytest.mark.parametrize(
    ("asked", "passage", "longest"),
    [
        ("b c", "a b c d", 2),
        ("c b", "a b c d", 1),
        ("b x c", "a b c d", 1),
        ("x", "a b", 0),
        ("", "a", 0),
        ("a", "", 0),
    ],
)
def test_the_longest_run_is_unbroken_and_in_order(asked, passage, longest):
    assert longest_run(asked.split(), passage.split()) == longest


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=30))
def test_the_longest_run_against_every_run(asked, passage):
    def stands(run):
        return any(passage[at : at + len(run)] == run for at in range(len(passage) - len(run) + 1))

    runs = [asked[a:b] for a in range(len(asked)) for b in range(a, len(asked) + 1)]
    assert longest_run(asked, passage) == max((len(run) for run in runs if stands(run)), default=0)
