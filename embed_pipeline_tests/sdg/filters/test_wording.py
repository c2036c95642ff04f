import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.sdg.filters.wording import longest_run, text_reference


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
        "What is the main topic of this passage?",
        "What is the document about?",
        "What does the following code print?",
        "Welcher Druck wird im Dokument genannt?",
        "Was sagt der Autor über den Alarm?",
        "Wie lautet der oben erwähnte Wert?",
        "Quelle est la pression indiquée dans l'article ?",
        "Quelle est la valeur ci-dessus ?",
        "¿Qué presión se menciona en este documento? La mencionada arriba.",
        "Qual è la pressione descritta nel testo?",
        "De acordo com o trecho, qual é a pressão?",
        "Hoe hoog is de druk volgens deze tekst?",
        "Zgodnie z tekstem, jakie jest ciśnienie?",
        "Metne göre basınç nedir?",
        "Theo đoạn văn, áp suất là bao nhiêu?",
        "Menurut teks di atas, berapa tekanannya?",
        "Согласно тексту, каково давление?",
        "Какое давление указано в документе?",
        "О чём говорится в данном отрывке?",
        "Згідно з текстом, який тиск?",
        "وفقًا للنص، ما هو الضغط؟",
        "ما الضغط المذكور في هذه الفقرة؟",
        "بحسب المقال، من يجيب؟",
        "ماذا تقول الوثيقة عن الضغط أعلاه؟",
        "طبق متن، فشار چقدر است؟",
        "לפי הטקסט, מהו הלחץ?",
        "गद्यांश के अनुसार दबाव कितना है?",
        "इस दस्तावेज़ में दबाव कितना बताया गया है?",
        "ตามข้อความข้างต้น ความดันคือเท่าใด",
        "根据该文件，压力是多少？",
        "依據這篇文章，壓力是多少？",
        "这段文字中的压力是多少？",
        "作者认为压力是多少？",
        "上述条件是什么？",
        "テキストによると、圧力は何ですか",
        "上記の圧力は何ですか",
        "본문에 따르면 압력은 얼마인가?",
        "이 글의 주제는 무엇인가?",
    ],
)
def test_questions_that_point_at_their_text_are_seen(question):
    assert text_reference(question)


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
        "Was regelt Artikel 5 der Satzung?",
        "Was gilt laut dem Artikel 5 der Satzung?",
        "Selon l'article 12, qui répond de la station ?",
        "¿Qué dice el artículo 7 sobre el gas?",
        "Was steht im Gesetzestext von 1949?",
        "Согласно статье 5, кто отвечает за станцию?",
        "Какой документ нужен для ремонта?",
        "ما هي الوثيقة المطلوبة لتجديد المحطة؟",
        "अनुच्छेद 21 के अनुसार कौन उत्तरदायी है?",
        "需要哪份文件？",
        "どの文書が必要ですか",
        "어떤 문서가 필요한가?",
        "이 밸브의 압력은 얼마인가?",
    ],
)
def test_questions_about_the_world_are_left_alone(question):
    assert text_reference(question) is None


def test_the_words_that_point_at_the_text_are_told():
    assert text_reference("What, according to the\n given context, is a skein?") == "according to the given context"
    assert text_reference("وفقًا للنص، ما هو الضغط؟") == "وفقا للنص"


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
