"""What is trained on, and trainings compared: splits, negatives, rows."""

import dataframely as dy

from embed_pipeline.records import SPLITS
from embed_pipeline.tables.kinds import count_column, ids_column, text_column


class Splits(dy.Schema):
    """Which documents and questions belong to which split."""

    item_type = text_column("document or question.", regex="^(document|question)$", primary_key=True)
    item_id = text_column("doc_id or question_id.", primary_key=True)
    component = text_column("Connected group that must stay together; one of its documents.")
    split = text_column("train, validation or test.", regex=f"^({'|'.join(SPLITS)})$")


class MinedNegatives(dy.Schema):
    """Hard negatives of the training questions."""

    question_id = text_column("A training question.", primary_key=True)
    source = text_column("mined, or given with an imported question.", regex="^(mined|given)$")
    positive_ids = ids_column("Its positives.", min_length=1)
    positive_scores = dy.List(dy.Float64(nullable=False), nullable=False, description="Cosine of each positive.")
    negative_ids = ids_column("Hard negatives, best first, or in the order given; may be fewer than asked.")
    negative_scores = dy.List(dy.Float64(nullable=False), nullable=False, description="Cosine of each negative.")
    threshold = dy.Float64(nullable=True, description="Scores above it were dropped; null: no margin applies.")
    asked = count_column("Negatives asked for.")


class RejectedNegatives(dy.Schema):
    """The audit of mining, stored beside the negatives: candidates ranked before the last one taken, and why not."""

    question_id = text_column("A training question.", primary_key=True)
    passage_id = text_column("The candidate.", primary_key=True)
    rank = count_column("Rank among the passages that are no positives; place in the list for given negatives.", min=1)
    score = dy.Float64(nullable=False, description="Cosine to the question.")
    reason = text_column(
        "Why it was not taken.",
        regex="^(positive|near_duplicate|sibling|held_out|same_document|before_first_rank|above_margin|holds_evidence"
        "|denoised|relabelled)$",
    )


class TrainingSet(dy.Schema):
    """One row per (question, positive), unrolled."""

    row_id = text_column(
        "question id, or question id _ i for several positives; ~ n after it for a repeat (prep.imported_weight).",
        primary_key=True,
    )
    question_id = text_column("Question.")
    question = text_column("Its text.", min_length=1)
    positive_id = text_column("Passage.")
    positive = text_column(
        "Its text as the encoder sees it, evidence cut out where the question asks for it.", min_length=1
    )
    positive_group = text_column("Near-duplicate group of the passage.")
    negative_ids = ids_column("Hard negatives.")
    negatives = ids_column("Their texts as the encoder sees them.")
    negative_groups = ids_column("Their near-duplicate groups.")
    component = text_column("Leak-proof group of the question; its passages are never mined for it.")
    evidence_ids = ids_column("Other passages of the training set that hold the question's evidence word for word.")
    document = text_column("Document of the positive.")
    evidence_start = dy.Int64(nullable=True, min=0, description="Character of the positive where its evidence begins.")
    evidence_end = dy.Int64(nullable=True, min=0, description="Where it ends; the same where it was cut out.")
    title_length = count_column("Characters of the positive that are its title.")


class SweepComparison(dy.Schema):
    """Trainings that differ in one setting; the first row is the checkpoint itself."""

    variant = text_column("What differs; unchanged for the checkpoint.", primary_key=True)
    asset = text_column("The asset that holds the model.")
    learning_rate = dy.Float64(nullable=False, description="finetune.learning_rate.")
    epochs = count_column("finetune.epochs.", min=1)
    training_share = dy.Float64(nullable=False, min=0, max=1, description="finetune.training_share.")
    steps = count_column("Optimizer steps made.", min=1)
    best_step = count_column("Step of the model that was kept.")
    final_loss = dy.Float64(nullable=False, description="Loss of the last step.")
    seconds = dy.Float64(nullable=False, min=0, description="Training, by wall clock.")
    validation_base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model on validation.")
    validation = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the model kept; decides.")
    best = dy.Bool(nullable=False, description="Highest on validation; the first of equals.")
    test_set = text_column("gold or synthetic: not used to choose.")
    test_base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model there.")
    test = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the model there.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the interval of test - test_base.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test, two-sided.")


class VariantComparison(dy.Schema):
    """The main settings and the variants; figures compare where test_set_version is the same."""

    variant = text_column("Name of the variant, or main.", primary_key=True)
    test_set = text_column("gold or synthetic; the verdict rests on the first one of a variant.", primary_key=True)
    test_set_version = text_column("Equal where questions, judgements and passages are.")
    verdict = text_column("ship, no_gain or regress.", regex="^(ship|no_gain|regress)$")
    base = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the base model.")
    tuned = dy.Float64(nullable=False, min=0, max=1, description="nDCG@10 of the tuned model.")
    delta = dy.Float64(nullable=False, min=-1, max=1, description="tuned - base.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test, two-sided.")
    recall_base = dy.Float64(nullable=False, min=0, max=1, description="Recall@10 of the base model.")
    recall_tuned = dy.Float64(nullable=False, min=0, max=1, description="Recall@10 of the tuned model.")
    documents = count_column("Documents read.")
    questions = count_column("Questions that passed the filters.")
    training_seconds = dy.Float64(nullable=False, min=0, description="Training, by wall clock.")
    checkpoint = text_column("First letters of the checkpoint's version.")
    differs = text_column("The settings that differ from the main ones, with the variant's values.")
