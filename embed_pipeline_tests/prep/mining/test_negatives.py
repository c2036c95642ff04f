"""Mined negatives as tables, and the check that does not trust them."""

import numpy as np
import polars as pl
import pytest

from embed_pipeline.prep.mining.check import check_negatives
from embed_pipeline.prep.mining.negatives import mine_negatives
from embed_pipeline.prep.mining.questions import PassageTexts
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline.settings import PrepSettings
from embed_pipeline.tables import MinedNegatives, validate
from embed_pipeline_tests.prep.build import WordEncoder, corpus, pairs_of, passages_of

ENCODER = WordEncoder()
ALL_TRAIN = {"train_ratio": 1, "validation_ratio": 0, "test_ratio": 0}


@pytest.fixture
def tables():
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    return pairs, passages, splits


def test_mined_negatives_keep_every_rule(tables):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings()).table
    training = splits.filter((pl.col("item_type") == "question") & (pl.col("split") == "train"))
    assert mined["question_id"].to_list() == sorted(training["item_id"])
    assert check_negatives(mined, pairs, passages, splits) == []
    assert mined["negative_ids"].list.len().sum() > 0
    assert mined.equals(mine_negatives(pairs.reverse(), passages, splits.reverse(), ENCODER, PrepSettings()).table)
    component = dict(splits.select("item_id", "component").iter_rows())
    for question, negatives in mined.select("question_id", "negative_ids").iter_rows():
        assert component[question] not in {component[name.partition("#")[0]] for name in negatives}


def test_one_document_has_no_negatives():
    pairs, passages = corpus(1)
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
    splits = split_items(pairs, passages, ENCODER, chosen)
    mined = mine_negatives(pairs, passages, splits, ENCODER, chosen).table
    assert mined["negative_ids"].to_list() == [[], []]
    assert mined["asked"].to_list() == [5, 5]


def test_near_duplicates_of_a_positive_are_never_negatives():
    texts = {"a": ["lion hunts zebra at dawn"], "b": ["lion hunts zebra at noon maybe"], "c": ["trains run late"]}
    passages = passages_of(texts, {"b#0": "a#0"})
    pairs = pairs_of({"q": ("lion zebra", ["a#0"]), "r": ("trains late", ["c#0"])})
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0, hard_negative_margin=1)
    splits = split_items(pairs, passages, ENCODER, chosen)
    mined = mine_negatives(pairs, passages, splits, ENCODER, chosen).table
    assert dict(mined.select("question_id", "negative_ids").iter_rows())["q"] == ["c#0"]


def test_without_training_questions_the_table_is_empty(tables):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits.with_columns(split=pl.lit("test")), ENCODER, PrepSettings())
    assert validate(MinedNegatives, mined.table).is_empty()


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"negative_ids": "positive"}, "is a positive"),
        ({"negative_ids": "held_out"}, "held-out document"),
        ({"negative_ids": "unknown#9"}, "not in the corpus"),
        ({"negative_scores": [9.0]}, "above the threshold"),
        ({"negative_scores": [float("nan")]}, "not finite"),
        ({"negative_scores": []}, "differ in number"),
        ({"group": True}, "near-duplicate"),
        ({"question_id": "held_out"}, "not a training question"),
    ],
)
def test_check_finds_planted_faults(tables, planted, message):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings(hard_negatives=1)).table
    row = mined.filter(pl.col("negative_ids").list.len() == 1).to_dicts()[0]
    held_out = splits.filter(pl.col("split") == "test")
    stand_ins = {
        ("negative_ids", "positive"): [row["positive_ids"][0]],
        ("negative_ids", "held_out"): [f"{held_out.filter(pl.col('item_type') == 'document')['item_id'][0]}#0"],
        ("negative_ids", "unknown#9"): ["unknown#9"],
        ("question_id", "held_out"): held_out.filter(pl.col("item_type") == "question")["item_id"][0],
    }
    changes = {
        name: value if isinstance(value, list) else stand_ins[name, value]
        for name, value in planted.items()
        if name != "group"
    }
    joined = {row["negative_ids"][0]: row["positive_ids"][0]} if "group" in planted else {}
    passages = passages.with_columns(pl.col("passage_id").replace(joined).alias("group_id"))
    frame = pl.DataFrame([{**row, **changes}], schema=mined.schema)
    assert any(message in line for line in check_negatives(frame, pairs, passages, splits))


def audit_of(mined, question):
    rows = mined.rejected.filter(pl.col("question_id") == question)
    return dict(rows.select("passage_id", "reason").iter_rows())


def negatives_of(mined, question):
    return mined.table.filter(pl.col("question_id") == question)["negative_ids"][0].to_list()


ANIMALS = {
    "a": ["lion hunts zebra at dawn", "zebra herds fear lion and fire"],
    "b": ["lion sleeps after zebra hunts"],
    "c": ["trains run late at dawn"],
    "d": ["hippo bathes"],
}


def animals(**changes):
    pairs = pairs_of(
        {"q": ("lion hunts zebra", ["a#0"]), "r": ("Lion hunts zebra!", ["b#0"]), "s": ("trains late", ["c#0"])}
    )
    chosen = PrepSettings(**{**ALL_TRAIN, "hard_negative_margin": None, **changes})
    passages = passages_of(ANIMALS)
    return pairs, passages, split_items(pairs, passages, ENCODER, chosen), chosen


def mined_of(problem, **options):
    pairs, passages, splits, chosen = problem
    mined = mine_negatives(pairs, passages, splits, ENCODER, chosen, **options)
    assert check_negatives(mined.table, pairs, passages, splits, mined.rejected, chosen) == []
    return mined


def test_positives_of_a_question_with_the_same_text_are_siblings():
    mined = mined_of(animals())
    assert set(negatives_of(mined, "q")) == {"c#0", "d#0"}
    assert audit_of(mined, "q")["b#0"] == "sibling"


def test_passages_of_the_same_document_may_be_allowed():
    problem = animals(exclude_same_document=False)
    pairs, passages, splits, chosen = problem
    mined = mined_of(problem)
    assert negatives_of(mined, "q")[0] == "a#1"
    strict = chosen.model_copy(update={"exclude_same_document": True})
    lines = check_negatives(mined.table, pairs, passages, splits, mined.rejected, strict)
    assert any("own document" in line for line in lines)


def test_hops_of_a_shared_passage_are_siblings():
    passages = passages_of({"a": ["red valve"], "b": ["blue drum"], "c": ["green rope"], "d": ["white sail"]})
    pairs = pairs_of(
        {
            "q": ("red or blue", ["a#0", "b#0"]),
            "r": ("blue or green", ["b#0", "c#0"]),
            "s": ("white sail", ["d#0"]),
        }
    )
    chosen = PrepSettings(**ALL_TRAIN, exclude_same_document=False, hard_negative_margin=None)
    mined = mined_of((pairs, passages, split_items(pairs, passages, ENCODER, chosen), chosen))
    assert negatives_of(mined, "q") == ["d#0"]


def test_candidates_of_bm25_share_a_word():
    mined = mined_of(animals(mining_candidates="bm25"))
    assert negatives_of(mined, "q") == []  # no other document shares a word with it
    assert negatives_of(mined, "s") == []


def test_candidates_of_both_rankings():
    assert set(negatives_of(mined_of(animals(mining_candidates="both")), "q")) == {"c#0", "d#0"}


def test_a_seeded_random_choice_does_not_depend_on_other_questions():
    pairs, passages = corpus(30)
    chosen = PrepSettings(
        **ALL_TRAIN,
        hard_negative_choice="random",
        hard_negative_last_rank=20,
        hard_negatives=3,
        hard_negative_margin=None,
    )
    splits = split_items(pairs, passages, ENCODER, chosen)
    whole = mine_negatives(pairs, passages, splits, ENCODER, chosen).table
    some = mine_negatives(pairs.head(10), passages, splits, ENCODER, chosen).table
    joined = some.join(whole, on="question_id", suffix="_whole")
    assert joined.height == 10
    assert joined["negative_ids"].to_list() == joined["negative_ids_whole"].to_list()
    other = mine_negatives(pairs, passages, splits, ENCODER, chosen.model_copy(update={"seed": 7})).table
    assert other["negative_ids"].to_list() != whole["negative_ids"].to_list()


def test_given_negatives_stay_but_for_answers():
    pairs, passages, splits, chosen = animals()
    given = {"q": ["d#0", "a#0", "b#0", "a#1"]}
    pairs = pairs.with_columns(
        negative_ids=pl.Series([given.get(name, []) for name in pairs["question_id"]], dtype=pl.List(pl.String))
    )
    held = splits.with_columns(split=pl.when(pl.col("item_id") == "d").then(pl.lit("test")).otherwise(pl.col("split")))
    mined = mined_of((pairs, passages, held, chosen))
    assert negatives_of(mined, "q") == ["d#0", "a#1"]  # given, so neither held-out nor same-document counts
    assert audit_of(mined, "q") == {"a#0": "positive", "b#0": "sibling"}
    assert dict(mined.table.select("question_id", "source").iter_rows()) == {"q": "given", "r": "mined", "s": "mined"}
    assert mined.summary["questions_with_given_negatives"] == 1


def test_without_a_margin_there_is_no_threshold():
    mined = mined_of(animals())
    assert mined.table["threshold"].null_count() == mined.table.height


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text):
        self.lines.append(text)


def test_the_user_is_told_when_the_margin_drops_most():
    texts = {f"d{number}": [f"the same words again and again {'x' * (number + 1)}"] for number in range(12)}
    pairs = pairs_of({"q0": ("the same words", ["d0#0"])})
    names = [("document", f"d{number}", f"d{number}", "train") for number in range(12)]
    names += [("question", "q0", "d0", "train")]
    splits = pl.DataFrame(names, schema=["item_type", "item_id", "component", "split"], orient="row")
    listener = Listener()
    with reporting(listener):
        mined = mined_of((pairs, passages_of(texts), splits, PrepSettings(**ALL_TRAIN)))
    assert mined.summary["share_dropped_by_margin"] > 0.5
    assert any("prep.hard_negative_margin" in line for line in listener.lines)
    assert any("fewer than 5 negatives" in line for line in listener.lines)


@pytest.mark.parametrize(
    ("change", "message"), [({"threshold": 0.9}, "the settings ask for"), ({"asked": 0}, "were asked for")]
)
def test_check_knows_the_settings(tables, change, message):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings()).table
    row = mined.filter(pl.col("negative_ids").list.len() > 0).head(1)
    planted = row.with_columns(**{name: pl.lit(value) for name, value in change.items()})
    lines = check_negatives(validate(MinedNegatives, planted), pairs, passages, splits, None, PrepSettings())
    assert any(message in line for line in lines)


def test_check_compares_with_the_audit(tables):
    pairs, passages, splits = tables
    mined = mine_negatives(pairs, passages, splits, ENCODER, PrepSettings())
    row = mined.table.filter(pl.col("negative_ids").list.len() > 0).to_dicts()[0]
    named = {"question_id": [row["question_id"]], "passage_id": [row["negative_ids"][0]]}
    planted = pl.DataFrame({**named, "reason": ["sibling"]})
    lines = check_negatives(mined.table, pairs, passages, splits, planted, PrepSettings())
    assert any("was rejected, says the audit" in line for line in lines)


def test_an_approximate_index_reports_its_recall():
    pairs, passages = corpus(60, passages=20)
    chosen = PrepSettings(**ALL_TRAIN, approximate_above=100)
    mined = mined_of((pairs, passages, split_items(pairs, passages, ENCODER, chosen), chosen))
    assert mined.summary["recall_at_32"] > 0.5


class Drops:
    """A denoiser that takes every passage about hippos for an answer."""

    reason = "denoised"
    sure: tuple[tuple[int, int], ...] = ()

    def __init__(self, asked, shown):
        self.shown = shown

    def answers(self, pairs):
        return np.array(["hippo" in self.shown[passage] for _, passage in pairs], bool)


def test_denoised_negatives_are_in_the_audit():
    mined = mined_of(animals(), denoiser_of=Drops)
    assert negatives_of(mined, "q") == ["c#0"]
    assert audit_of(mined, "q")["d#0"] == "denoised"


def test_passage_texts_are_those_an_encoder_sees():
    passages = passages_of({"a": ["first", "second"], "b": ["third"]}, title="Guide")
    texts = PassageTexts(passages)
    assert list(texts) == [texts[row] for row in range(len(texts))] == ["Guide first", "Guide second", "Guide third"]
    assert texts[1:] == ["Guide second", "Guide third"]


QUOTE = "The lung of the airship is filled with lift gas twice a day."
REPEATS = {
    "a": [f"Of lungs. {QUOTE} Nobody smokes."],
    "b": ["In short: the lung of the airship is filled with lift gas -- twice a day (Sundays excepted), trains run."],
    "c": ["The lung of the airship is filled with lead."],
}


def lungs(texts=REPEATS, evidence=QUOTE):
    """Question q about a#0: without and with its evidence, passages, splits, settings."""
    passages, asked = passages_of(texts), {"q": ("how often is the lung filled", ["a#0"])}
    chosen = PrepSettings(**ALL_TRAIN, hard_negative_margin=None)
    plain, quoted = pairs_of(asked), pairs_of(asked, masked={"q": evidence})
    return plain, quoted, passages, split_items(plain, passages, ENCODER, chosen), chosen


def test_what_holds_the_evidence_word_for_word_is_no_negative():
    plain, quoted, passages, splits, chosen = lungs()
    assert set(negatives_of(mine_negatives(plain, passages, splits, ENCODER, chosen), "q")) == {"b#0", "c#0"}
    mined = mine_negatives(quoted, passages, splits, ENCODER, chosen)
    assert negatives_of(mined, "q") == ["c#0"]
    assert audit_of(mined, "q")["b#0"] == "holds_evidence"
    assert mined.summary["dropped_holds_evidence"] == 1
    assert check_negatives(mined.table, quoted, passages, splits) == []


def test_check_finds_a_negative_that_holds_the_evidence():
    again = f"Elsewhere: {QUOTE.replace(' ', '  ')}"
    plain, quoted, passages, splits, chosen = lungs(REPEATS | {"b": [again]})
    mined = mine_negatives(plain, passages, splits, ENCODER, chosen).table
    assert "b#0" in mined["negative_ids"][0]
    faults = check_negatives(mined, quoted, passages, splits)
    assert faults == ["q: negative b#0 holds the evidence of the question."]


def test_short_evidence_bars_nothing():
    texts = {"a": ["It is 308 points."], "b": ["It is 308 points, too, said the lion."]}
    _, quoted, passages, splits, chosen = lungs(texts, "308 points.")
    assert negatives_of(mine_negatives(quoted, passages, splits, ENCODER, chosen), "q") == ["b#0"]
