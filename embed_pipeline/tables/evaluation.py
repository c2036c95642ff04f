"""What was found and how good it is."""

import dataframely as dy

from embed_pipeline.tables.kinds import count_column, text_column


class Runs(dy.Schema):
    """What a system found for each query; queries that found nothing have no row."""

    test_set = text_column("The test set.", primary_key=True)
    system = text_column(
        "base, bm25, tuned, or reranked; the fused ones are made of the first three.", primary_key=True
    )
    query_id = text_column("Query.", primary_key=True)
    rank = count_column("1 is the best.", min=1, primary_key=True)
    passage_id = text_column("Passage found.")
    score = dy.Float64(nullable=False, description="Cosine, or BM25's score.")


class QueryMetrics(dy.Schema):
    """Per-query scores of one system on one test set, at every cut-off."""

    test_set = text_column("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    system = text_column(
        "base, bm25, hybrid, convex, tuned, hybrid_tuned, convex_tuned, tuned@256, reranked …", primary_key=True
    )
    query_id = text_column("Query.", primary_key=True)
    metric = text_column("ndcg@k, recall@k, precision@k, map@k or mrr@k.", primary_key=True)
    value = dy.Float64(nullable=False, min=0, max=1, description="Score; 0 for a query missing from the run.")


class Metrics(dy.Schema):
    """Tuned against base, every metric on every test set."""

    test_set = text_column("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    slice = text_column("all, or name=value of a slice.", primary_key=True)
    metric = text_column("Metric name, lower case.", primary_key=True)
    queries = count_column("Queries compared.", min=1)
    base = dy.Float64(nullable=False, min=0, max=1, description="Mean of the base model.")
    tuned = dy.Float64(nullable=False, min=0, max=1, description="Mean of the tuned model.")
    delta = dy.Float64(nullable=False, min=-1, max=1, description="tuned - base.")
    ci_low = dy.Float64(nullable=False, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=False, description="Upper bound.")
    p = dy.Float64(nullable=False, min=0, max=1, description="Paired permutation test by clusters, two-sided.")
    p_corrected = dy.Float64(nullable=False, min=0, max=1, description="The same, corrected for all that was compared.")


class CandidateMetrics(dy.Schema):
    """Other models and endpoints, untrained; what could not be measured has a problem and no figures."""

    test_set = text_column("The test set.", primary_key=True)
    candidate = text_column("As in eval.candidates; the base model is among them.", primary_key=True)
    ndcg_at_10 = dy.Float64(nullable=True, min=0, max=1, description="nDCG@10 of the model alone.")
    recall_at_10 = dy.Float64(nullable=True, min=0, max=1, description="Recall@10 of the model alone.")
    fused_ndcg_at_10 = dy.Float64(nullable=True, min=0, max=1, description="nDCG@10, fused with BM25 by scores.")
    fused_recall_at_10 = dy.Float64(nullable=True, min=0, max=1, description="Recall@10, fused with BM25 by scores.")
    weight = dy.Float64(nullable=True, min=0, max=1, description="Of the model in that fusion; BM25 has the rest.")
    delta = dy.Float64(nullable=True, description="ndcg_at_10 less that of the base model.")
    ci_low = dy.Float64(nullable=True, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=True, description="Upper bound.")
    p_corrected = dy.Float64(
        nullable=True, min=0, max=1, description="Paired permutation test by clusters, corrected for the whole table."
    )
    dimensions = dy.Int64(nullable=True, min=1, description="Numbers of a vector.")
    parameters = dy.Int64(nullable=True, min=0, description="Numbers in the weights; not known of an endpoint.")
    bytes = dy.Int64(nullable=True, min=0, description="Weights on the disk; not known of an endpoint.")
    max_tokens = dy.Int64(nullable=True, min=1, description="The longest text the model was made for.")
    passages_per_second = dy.Float64(
        nullable=True,
        min=0,
        description="Over up to 64 passages encoded anew, here and now; of an endpoint with its way.",
    )
    problem = text_column("Why it could not be measured.", nullable=True)


class RerankerMetrics(dy.Schema):
    """BM25, the model, both fused, and the hybrid with the reranker, on every test set, with what a query costs."""

    test_set = text_column("The test set.", primary_key=True)
    system = text_column(
        "bm25, base, tuned, convex, convex_tuned, reranked, reranked_blended, reranked_untrained.", primary_key=True
    )
    ndcg_at_10 = dy.Float64(nullable=False, min=0, max=1, description="Mean over the queries.")
    recall_at_10 = dy.Float64(nullable=False, min=0, max=1, description="The same.")
    mrr_at_10 = dy.Float64(nullable=False, min=0, max=1, description="The same.")
    interval_low = dy.Float64(nullable=False, description="Lower bound of the interval of ndcg_at_10.")
    interval_high = dy.Float64(nullable=False, description="Upper bound.")
    milliseconds = dy.Float64(
        nullable=False, min=0, description="Median time of a query, on the machine that measured."
    )
    delta = dy.Float64(nullable=True, min=-1, max=1, description="ndcg_at_10 less that of reranked; null for itself.")
    ci_low = dy.Float64(nullable=True, description="Lower bound of the confidence interval of delta.")
    ci_high = dy.Float64(nullable=True, description="Upper bound.")
    p = dy.Float64(nullable=True, min=0, max=1, description="Paired permutation test by clusters, two-sided.")
    p_corrected = dy.Float64(nullable=True, min=0, max=1, description="The same, corrected for the test set's table.")


class EndpointMetrics(dy.Schema):
    """Endpoint against checkpoint."""

    test_set = text_column("gold or the name of a gold set, synthetic, or general.", primary_key=True)
    metric = text_column("Metric name, lower case.", primary_key=True)
    checkpoint = dy.Float64(nullable=False, min=0, max=1, description="Mean of the checkpoint.")
    endpoint = dy.Float64(nullable=False, min=0, max=1, description="Mean through the endpoint.")
    delta = dy.Float64(nullable=False, description="endpoint - checkpoint.")
    tolerance = dy.Float64(nullable=False, min=0, description="Largest |delta| accepted.")
    within_tolerance = dy.Bool(nullable=False, description="|delta| <= tolerance.")


class SystemMetrics(dy.Schema):
    """Every system there is in the end, what was exported and what is served among them."""

    test_set = text_column("The test set.", primary_key=True)
    system = text_column("base, tuned, bm25, hybrid …, onnx_int8, endpoint.", primary_key=True)
    metric = text_column("Metric name, lower case.", primary_key=True)
    value = dy.Float64(nullable=False, min=0, max=1, description="Mean over the queries.")
