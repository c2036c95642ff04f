import pytest
from tokenizers import Tokenizer

from embed_pipeline.corpus.chunking.seen import seen_by_encoder
from embed_pipeline.records import passage_text

TEXTS = [
    ("Title of it", "The river runs along the loft, and nobody unwinds the skein." * 3),
    ("", "Grüße aus Köln 🎈 mit einem Ballon." * 5),
    ("المحرك", "كيف يعمل محرك النهر كل يوم؟" * 6),
    ("a title longer than all that the encoder takes " * 3, "text"),
    ("Short", "It fits."),
]


@pytest.mark.parametrize("prompt", ["", "passage: "])
@pytest.mark.parametrize("longest", [8, 32, 256])
def test_as_the_tokenizer_itself_truncates(base_model_spec, prompt, longest):
    spec = base_model_spec.model_copy(update={"max_passage_length": longest, "passage_prompt": prompt})
    cutting = Tokenizer.from_file(f"{spec.model}/tokenizer.json")
    cutting.no_padding()
    cutting.enable_truncation(longest)
    whole = Tokenizer.from_file(f"{spec.model}/tokenizer.json")
    whole.no_padding()
    whole.no_truncation()
    for (title, text), seen in zip(TEXTS, seen_by_encoder(TEXTS, spec), strict=True):
        given = prompt + passage_text(title, text)
        start = len(given) - len(text)
        ends = [end for _, end in cutting.encode(given).offsets if end > start]
        everything = [end for _, end in whole.encode(given).offsets if end > start]
        assert (seen.tokens, seen.seen) == (len(everything), len(ends))
        assert seen.end == (len(text) if len(ends) == len(everything) else max(ends, default=start) - start)


def test_nothing_of_a_text_is_seen_where_its_title_takes_all_room(base_model_spec):
    spec = base_model_spec.model_copy(update={"max_passage_length": 8})
    (seen,) = seen_by_encoder([TEXTS[3]], spec)
    assert (seen.tokens, seen.seen, seen.end) == (1, 0, 0)
