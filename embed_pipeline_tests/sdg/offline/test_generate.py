import random
import re

import polars as pl
import pytest
from hypothesis import given, settings, strategies

from embed_pipeline import tables
from embed_pipeline.sdg.offline import recipes
from embed_pipeline.sdg.offline.generate import MIX, generate_offline, shares
from embed_pipeline.sdg.offline.pairs import linked_passages, two_passages
from embed_pipeline.sdg.offline.phrasing import defined_term, rephrased
from embed_pipeline.settings import SdgSettings
from embed_pipeline.text.forms import same_text_key
from embed_pipeline.text.words import TermStatistics, join, units, words
from embed_pipeline_tests.sdg.sample import documents_and_passages

SYLLABLES = ["ka", "ro", "min", "tel", "vus", "dor", "pel", "sha", "lin", "gor", "bet", "fan"]


def made_up(rng, count):
    """Words of an invented language."""
    return ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(count)]


def corpus(documents=3, passages=4):
    """Documents whose passages have six sentences of invented words between English function words."""
    rng = random.Random(5)
    texts = {}
    for number in range(documents):
        parts = []
        for _ in range(passages):
            filled = [made_up(rng, 5) for _ in range(6)]
            parts.append(" ".join("The {} of {} must {} before the {} is {}.".format(*names) for names in filled))
        texts[f"doc{number}.md"] = parts
    return documents_and_passages(texts, {doc_id: f"Manual of {doc_id[:4]}" for doc_id in texts})


def view(text, *others, language="en", heading="Care of the winch", order=None):
    statistics = TermStatistics([text, *others])
    sentences = units(text, language, 400)
    return recipes.View("p0", heading, text, language, tuple(order or sentences), statistics)


@pytest.fixture(scope="module")
def generated():
    documents, passages = corpus(4, 5)
    return documents, passages, generate_offline(documents, passages, SdgSettings())


def test_writes_as_many_questions_as_asked_from_several_recipes(generated):
    _, passages, frame = generated
    assert 0.9 * 4 * passages.height <= frame.height <= 4 * passages.height
    assert set(frame["generator"].str.strip_prefix("offline/")) >= {"inverse_cloze", "dropped_words", "keywords"}
    assert set(frame["generator"].str.strip_prefix("offline/")) <= set(MIX)


def test_is_a_valid_table_without_repeated_questions(generated):
    _, _, frame = generated
    assert tables.validate(tables.QaCandidates, frame).equals(frame)
    assert frame["question"].map_elements(same_text_key, return_dtype=pl.String).is_unique().all()


def test_evidence_stands_verbatim_in_its_passage(generated):
    _, passages, frame = generated
    text_of = dict(passages.select("passage_id", "text").iter_rows())
    hops = [hop for row in frame["hops"] for hop in row]
    assert all(hop["evidence"] in text_of[hop["passage_id"]] for hop in hops)


def test_only_inverse_cloze_is_masked_and_something_is_left_of_the_passage(generated):
    _, passages, frame = generated
    text_of = dict(passages.select("passage_id", "text").iter_rows())
    masked = frame.filter(pl.col("mask_evidence"))
    assert set(masked["query_type"]) == {"inverse_cloze"}
    assert frame.filter(pl.col("query_type") == "inverse_cloze")["mask_evidence"].all()
    for row in masked.iter_rows(named=True):
        text = text_of[row["passage_ids"][0]]
        assert len(row["hops"][0]["evidence"]) <= recipes.LARGEST_MASKED_SHARE * len(text)


def test_every_passage_is_asked_about(generated):
    _, passages, frame = generated
    assert set(frame["passage_ids"].explode()) == set(passages["passage_id"])


def test_lengths_are_within_the_settings(generated):
    documents, passages, _ = generated
    asked = SdgSettings(min_question_chars=30, max_question_chars=60)
    lengths = generate_offline(documents, passages, asked)["question"].str.len_chars()
    assert len(lengths) > 20
    assert min(lengths) >= 30
    assert max(lengths) <= 60


def test_same_seed_same_table_other_seed_other_questions(generated):
    documents, passages, frame = generated
    again = generate_offline(documents, passages.sample(fraction=1, shuffle=True, seed=1), SdgSettings())
    assert again.equals(frame)
    other = generate_offline(documents, passages, SdgSettings(seed=7))
    assert set(other["question"]) != set(frame["question"])


def test_a_tiny_corpus_still_gives_enough_questions():
    documents, passages = corpus(3, 3)
    frame = generate_offline(documents, passages, SdgSettings())
    assert frame.height >= 30


def test_a_long_corpus_is_asked_about_evenly():
    documents, passages = corpus(10, 6)
    frame = generate_offline(documents, passages, SdgSettings(max_questions=20))
    counts = frame["doc_ids"].list.first().value_counts()["count"]
    assert frame.height <= 30
    assert len(counts) == 10
    assert max(counts) <= 4


def test_one_passage_of_a_near_duplicate_group_is_asked_about():
    documents, passages = corpus(2, 2)
    doubled = passages.with_columns(group_id=pl.lit("doc0.md#0"))
    frame = generate_offline(documents, doubled, SdgSettings())
    assert set(frame["passage_ids"].explode()) == {"doc0.md#0"}


def test_an_empty_corpus_gives_an_empty_table():
    empty = generate_offline(tables.empty(tables.Documents), tables.empty(tables.Passages), SdgSettings())
    assert empty.height == 0
    assert empty.schema == tables.empty(tables.QaCandidates).schema


CHINESE = [
    "氦气是一种稀有气体。缆绳的工作载荷为七十八千牛。操作员必须每天检查卷筒和刹车。风速超过每秒二十四米时应当立即降落。",
    "太阳能电池板安装在屋顶。逆变器把直流电变成交流电。维修人员每年清洗一次面板。电池组可以储存三天的电量。",
]


def test_chinese_is_asked_about_without_spaces():
    documents, passages = documents_and_passages({f"d{n}.txt": [text] for n, text in enumerate(CHINESE)})
    passages = passages.with_columns(language=pl.lit("zh"))
    frame = generate_offline(documents, passages, SdgSettings(min_question_chars=4, questions_per_passage=12))
    assert frame.height >= 12
    assert "keyword" in set(frame["query_type"])
    assert all(re.search("[一-鿿]", question) for question in frame["question"])


def test_units_keep_headings_tables_and_code_out():
    table, code = "| a | b |\n|---|---|\n| 1 | 2 |", "x = f(1, 2) + 3 * [4, 5, 6]"
    text = f"# Oil\n\nThe oil is changed every two hundred hours.\n\n{table}\n\n{code}"
    assert units(text, "en", 400) == ["The oil is changed every two hundred hours."]


@pytest.mark.parametrize(
    "code",
    [
        '<grant class="java.util.PropertyPermission" name="java.specification.name" actions="read">',
        '<input message="All data is going to be deleted from DB continue (y/n)?',
        "log4j.logger.org.apache.tools.ant=INFO and rootLogger=ERROR",
        "public class DefaultExpander implements PropertyExpander { public String name(); }",
        "By: /s/ Thomas A. Cellucci of the Distributor",
    ],
)
def test_units_keep_code_and_signatures_out(code):
    assert units(code, "en", 400) == []


def test_units_keep_prose_that_names_code():
    prose = "The <targets> element is a Path and can include any resource with fork=true."
    assert units(prose, "en", 400) == [prose]


@pytest.mark.parametrize(
    "marker", ["(a) ", "(iv) ", "1.2 ", "c. ", "b) ", "(j)", "5.9", "3) ", "- ", "12.4.1. ", "(2) "]
)
def test_units_begin_after_the_number_of_a_clause(marker):
    assert units(f"{marker}Each party shall bear its own costs.", "en", 400) == ["Each party shall bear its own costs."]


@pytest.mark.parametrize("start", ["3.5 percent of all", "2010 was when all", "3.5GB of all", "A. Smith bore all"])
def test_numbers_that_belong_to_the_sentence_stay(start):
    sentence = f"{start} costs were borne by the party."
    assert "".join(units(sentence, "und", 400)).startswith(start[:4])


def test_what_several_passages_say_word_for_word_is_not_asked_about():
    same = "This may be specified several times over."
    texts = {f"{name}.md": [f"The {name} winch carries the {name} tether slowly. {same}"] for name in ("red", "blue")}
    documents, passages = documents_and_passages(texts)
    frame = generate_offline(documents, passages, SdgSettings(questions_per_passage=20))
    single = frame.filter(pl.col("hop_count") == 1)
    assert single.height
    assert not any(hop["evidence"] == same for hops in single["hops"] for hop in hops)


def test_units_cut_long_sentences_at_clauses():
    clause = "the party of the first part shall deliver the goods to the warehouse named below; "
    found = units(clause * 6, "en", 200)
    assert all(len(unit) <= 200 for unit in found)
    assert found
    assert found[0].endswith(";")


def test_words_and_join_are_inverse_for_both_kinds_of_script():
    assert [word.surface for word in words("OA-SK1248-D isn't 3.5 kN")] == ["OA-SK1248-D", "isn't", "3.5", "kN"]
    assert join(words("The winch turns")) == "The winch turns"
    assert join(words("氦气是气体")) == "氦气是气体"
    assert join([words("氦气是气体")[0], words("氦气是气体")[2]]) == "氦气 气体"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("亚马逊雨林经历了严重的干旱", ["亚马逊雨林", "经历", "了", "严重", "的", "干旱"]),
        ("儘管在美國", ["儘管", "在", "美國"]),
        ("インバーターが直流を", ["インバーター", "が", "直流", "を"]),
        ("เมืองหลวงของประเทศไทย", ["เมือง", "หลวง", "ของ", "ประเทศ", "ไทย"]),
        ("ພາສາລາວ", ["ພາ", "ສາ", "ລາ", "ວ"]),
        ("नई दिल्ली की राजधानी", ["नई", "दिल्ली", "की", "राजधानी"]),
        ("تُعتَبر المساواة", ["تُعتَبر", "المساواة"]),
    ],
)
def test_words_of_scripts_without_spaces_and_with_marks(text, expected):
    found = words(text)
    assert [word.surface for word in found] == expected
    assert all(text[word.start : word.end] == word.surface for word in found)


def test_function_words_are_those_of_most_passages():
    statistics = TermStatistics([f"the thing{number} is here" for number in range(10)])
    assert statistics.function_words == {"the", "is", "here"}
    assert [word.form for word in statistics.content_words("The thing3 is broken")] == ["thing3", "broken"]


def test_rarest_ranks_by_frequency_in_the_text_and_rarity_in_the_corpus():
    common = [f"oil filter number{number}" for number in range(3)]
    statistics = TermStatistics([*common, "oil winch winch drum", "drum", "winch"])
    forms = [word.form for word in statistics.rarest("winch oil winch drum")]
    assert forms[0] == "winch"


def test_inverse_cloze_leaves_a_passage_of_one_sentence_alone():
    assert recipes.inverse_cloze(view("The winch turns slowly in the cold wind."), random.Random(0), 0) is None


def test_dropped_words_keeps_order_and_drops_some():
    sentence = " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrst") + "."
    candidate = recipes.dropped_words(view(sentence), random.Random(0), 0)
    kept = candidate.question.split()
    assert kept == sorted(kept)
    assert 8 <= len(kept) < 20


def test_keywords_are_three_to_seven_terms_of_the_passage():
    text = "The brass winch drum carries the woven tether over a steel fairlead roller."
    candidate = recipes.keywords(view(text, "The oil", "The lamp", "The door"), random.Random(0), 0)
    asked = candidate.question.split()
    assert recipes.KEYWORDS[0] <= len(asked) <= recipes.KEYWORDS[1]
    assert set(asked) <= set(text.rstrip(".").split())
    assert "The" not in asked


def test_heading_question_holds_the_heading_and_a_term_it_lacks():
    text = "The brass winch drum carries the woven tether over a steel fairlead roller."
    candidate = recipes.heading(view(text), random.Random(0), 0)
    assert candidate.question.startswith("Care of the winch ")
    assert candidate.query_type == "structural"
    assert recipes.heading(view(text, heading=""), random.Random(0), 0) is None


@pytest.mark.parametrize(
    ("language", "sentence", "question"),
    [
        ("en", "A slip crown is a rotary joint for power and data.", "What is a slip crown?"),
        ("de", "Der Schleifring ist ein Bauteil der Winde im Turm.", "Was ist Schleifring?"),
        ("fr", "Le treuil est une machine qui tire le câble lentement.", "Qu'est-ce que treuil ?"),
        ("en", '"Care Services" means the business of providing utilization review.', "What is Care Services?"),
        ("it", "Il verricello è una macchina che tira il cavo lentamente.", "Che cos'è verricello?"),
        ("ru", "Лебёдка — это машина, которая медленно тянет трос.", "Что такое Лебёдка?"),
        ("zh", "氦气是一种稀有气体，用于升空。", "什么是氦气？"),
        ("ja", "インバーターとは直流を交流に変換する装置である。", "インバーターとは何ですか"),
        ("ar", "الرافعة هي عبارة عن آلة تسحب الحبل ببطء شديد.", "ما هو الرافعة؟"),
    ],
)
def test_definitions(language, sentence, question):
    assert recipes.definition(view(sentence, language=language), random.Random(0), 0).question == question


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Here is an example file that has attributes."),
        ("en", "If dest is a directory the name stays as it was."),
        ("de", "Das ist ein Bauteil der Winde im Turm."),
        ("zh", "这是一种稀有气体，用于升空。"),
    ],
)
def test_what_only_points_is_not_defined(language, sentence):
    assert recipes.definition(view(sentence, language=language), random.Random(0), 0) is None


def test_definitions_are_skipped_in_other_languages():
    assert recipes.definition(view("A crown is a joint of the drum.", language="sv"), random.Random(0), 0) is None


@pytest.mark.parametrize(
    ("sentence", "questions"),
    [
        (
            "If the lamp stays red, stop the winch at once.",
            {"What happens if the lamp stays red?", "What to do if the lamp stays red?"},
        ),
        ("To change the oil, open the lower plug first.", {"How to change the oil?", "How do I change the oil?"}),
        ("The drum must turn freely.", {f"{start}ust the drum turn freely?" for start in ("M", "Why m")}),
        ("The hull sank because the seam was torn.", {"Why is it that the hull sank?"}),
    ],
)
def test_english_sentences_become_questions(sentence, questions):
    assert {rephrased(sentence, "en", random.Random(seed)) for seed in range(30)} == questions


@pytest.mark.parametrize(
    "sentence",
    [
        "This can be skipped in the second run.",
        "It may be used for the other drum.",
        "Below is an example of a longer file.",
        "Both are calibrated in the same run.",
        "If that helps, go on with the next step.",
        "If it did get set (i.e. before the run), stop the winch.",
        "Check with your doctor if you have any of the following.",
        "11.1 The seller will defend and indemnify the buyer.",
        "ii) The seller will perform the following services.",
        "Party B has the option to end this agreement.",
        "No second sighting because the light was poor.",
    ],
)
def test_malformed_questions_are_not_asked(sentence):
    assert {rephrased(sentence, "en", random.Random(seed)) for seed in range(30)} == {None}


def test_has_asks_only_for_what_was_done():
    assert rephrased("The old jacket has been replaced by a new one.", "en", random.Random(0)) is not None


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Only after this is the power turned on."),
        ("en", "The line is the part that carries the load."),
        ("en", "Below is an example of a longer file."),
        ("en", "Henoch purpura (HSP is a disease of small vessels."),
        ("de", "Die bedeutendste davon ist die Burg am Fluss."),
    ],
)
def test_what_defines_nothing_is_not_asked_about(language, sentence):
    assert defined_term(sentence, language) is None


def test_several_things_are_asked_about_in_the_plural():
    assert defined_term("Loose layers are a sign of low tension.", "en") == (
        "Loose layers",
        "What are Loose layers?",
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "By using daemons such servers do not halt the build.",
        "Note that not all dependencies are gathered by the tool.",
        "Reports on all files that were changed since the release.",
        "Acme cannot and does not guarantee the privacy of data.",
    ],
)
def test_sentences_without_a_plain_subject_are_left_alone(sentence):
    assert rephrased(sentence, "en", random.Random(0)) is None


def test_a_question_does_not_end_in_the_middle_of_a_phrase():
    sentence = "The pump is a part of the old system and must be kept in the dry room next to the door of the mill."
    ends = {rephrased(sentence, "en", random.Random(seed)).rstrip("?").split()[-1] for seed in range(40)}
    assert not ends & {"a", "of", "the", "and", "must", "be", "in", "to"}


@pytest.mark.parametrize(
    ("language", "sentence", "asked", "end"),
    [
        ("zh", "操作员必须每天检查卷筒和刹车装置。", "什么", "？"),
        ("ja", "操作員は毎日ドラムとブレーキを点検しなければならない。", "何", "？"),
        ("th", "พนักงานต้องตรวจสอบเบรกและดรัมทุกวันก่อนเริ่มงาน", "อะไร", "?"),
    ],
)
def test_the_question_word_stands_in_place_where_the_language_leaves_it_there(language, sentence, asked, end):
    candidate = recipes.question(view(sentence, language=language), random.Random(1), 0)
    assert asked in candidate.question
    assert candidate.question.endswith(end)


def test_a_number_is_asked_for_as_a_number():
    one = view("卷筒 操作员 2024 检查 刹车", language="zh")
    asked = {recipes.noisy_cloze(one, random.Random(seed), 0).question for seed in range(30)}
    assert all(("多少" in question) != ("2024" in question) for question in asked)
    assert any("多少" in question for question in asked)


def test_arabic_questions_have_arabic_words():
    one = view("ملعب الاستقبال الخاص بالفريق يقع في شارع كبير قرب النهر", language="ar")
    question = recipes.question(one, random.Random(0), 0).question
    assert question.split()[0] in {"ما", "كيف", "أي", "متى", "لماذا", "أين"}
    assert question.endswith("؟")


def test_questions_and_other_languages_are_not_rephrased():
    assert rephrased("Is the drum free or must it be turned?", "en", random.Random(0)) is None
    assert rephrased("The drum must turn freely.", "nl", random.Random(0)) is None


def test_a_sentence_without_pattern_gets_a_question_word():
    candidate = recipes.question(
        view("De trommel draait vrij rond in de koude nacht.", language="nl"), random.Random(0), 0
    )
    assert candidate.question.split()[0] in {"wat", "hoe", "welke", "wanneer", "waarom", "waar"}
    assert candidate.question.endswith("?")
    assert (
        recipes.question(view("Trumman snurrar fritt i den kalla natten.", language="sv"), random.Random(0), 0) is None
    )


def test_keyword_questions_name_the_sentence_they_are_about():
    text = "Nothing much happens here today. The zirconium gyrostat spins above the harbour basin."
    candidate = recipes.keywords(view(text), random.Random(0), 0)
    assert candidate.hops[0].evidence in text
    assert candidate.answer == candidate.hops[0].evidence


def test_two_passage_questions_prefer_another_document():
    shared = "The zirconium gyrostat of the north mast is checked monthly by Ada."
    first, second, third, other = (
        f"{shared} Then someone paints the fence green.",
        f"{shared} Its cable leads to the boiler cellar.",
        f"{shared} The harbour office keeps the ledger.",
        "Nothing here concerns anything else that was said.",
    )
    texts = {"a.md": [first, second], "b.md": [third], "c.md": [other], "d.md": [f"word{n}" for n in range(4)]}
    _, passages = documents_and_passages(texts)
    statistics = TermStatistics(passages["text"])
    views = [
        recipes.View(row["passage_id"], "", row["text"], "en", tuple(units(row["text"], "en", 400)), statistics)
        for row in passages.iter_rows(named=True)
    ]
    partners = linked_passages(views, dict(passages.select("passage_id", "doc_id").iter_rows()))
    assert partners["a.md#0"] == ["b.md#0", "a.md#1"]
    assert "c.md#0" not in partners
    candidate = two_passages(views[0], views[2], random.Random(0))
    assert [hop.passage_id for hop in candidate.hops] == ["a.md#0", "b.md#0"]
    assert {hop.evidence for hop in candidate.hops} == {shared}
    assert candidate.query_type == "multi_hop"


def test_no_document_is_linked_to_two_others():
    shared = "The zirconium gyrostat of the north mast is checked monthly by Ada."
    texts = {f"{name}.md": [f"{shared} Note {name}{name}."] for name in "abcd"}
    texts["f.md"] = [f"word{number}" for number in range(9)]
    documents, passages = documents_and_passages(texts)
    frame = generate_offline(documents, passages, SdgSettings(questions_per_passage=30))
    pairs = frame.filter(pl.col("hop_count") == 2)["doc_ids"].list.sort().unique().to_list()
    linked = [doc_id for pair in pairs for doc_id in pair]
    assert linked
    assert len(linked) == len(set(linked))


@given(strategies.integers(1, 200), strategies.integers(0, 1000))
def test_shares_are_even_and_sum_up(passages, wanted):
    found = shares(passages, wanted)
    assert sum(found) == wanted
    assert max(found) - min(found) <= 1


@settings(deadline=None, max_examples=60)
@given(strategies.text(max_size=300), strategies.sampled_from(["en", "de", "zh", "ar", "th", "und", "xx"]))
def test_units_are_verbatim_whatever_the_text(text, language):
    assert all(unit in text and len(unit) <= 100 for unit in units(text, language, 100))


@settings(deadline=None, max_examples=30)
@given(strategies.lists(strategies.text(min_size=1, max_size=200), min_size=1, max_size=6), strategies.integers(0, 9))
def test_any_text_gives_a_valid_table(texts, seed):
    documents, passages = documents_and_passages({f"{number}.txt": [text] for number, text in enumerate(texts)})
    frame = generate_offline(documents, passages, SdgSettings(seed=seed))
    assert frame.height <= 4 * len(texts)
