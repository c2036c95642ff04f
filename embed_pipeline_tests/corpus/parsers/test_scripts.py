import pytest

from embed_pipeline.corpus.parsers.scripts import subscript, superscript


@pytest.mark.parametrize(
    ("before", "raised", "after", "line"),
    [
        ("10", "6", " cells", "10^6"),
        ("5 × 10", "−9", " mol", "5 × 10^-9"),
        ("25 m", "2", ",", "25 m^2"),
        ("4 inch", "3", "", "4 inch^3"),
        ("(a+b)", "2", "", "(a+b)^2"),
        ("2", "n", "", "2^n"),
        ("2", "n+1", "", "2^(n+1)"),
        ("Ca", "2+", "", "Ca^2+"),
        ("the ", "14", "C dating", "the 14"),
        ("1", "st", "", "1st"),
        ("M", "me", " Curie", "Mme"),
        ("Acme", "TM", "", "AcmeTM"),
        ("1", "1", "/", "1 1"),
        ("in 2019", "3", ".", "in 2019 [3]"),
        ("The limit", "12", "", "The limit [12]"),
        ("in May.", "3,4", " Then", "in May. [3,4]"),
        ("45 %", "1", "", "45 % [1]"),
        ("数年", "3", "", "数年 [3]"),
        ("Value", "a", "", "Value [a]"),
        ("in May ", "3", ".", "in May [3]"),
        ("", "1", " See there", "1"),
        ("2019", "[3]", "", "2019[3]"),
        ("word", "*", "", "word*"),
        ("10", "  ", "", "10"),
    ],
)
def test_raised_text_never_glues_to_a_number(before, raised, after, line):
    assert before + superscript(before, raised, after) == line


@pytest.mark.parametrize(
    ("before", "lowered", "line"), [("H", "2", "H2"), ("1011", "2", "1011_2"), ("x", "max", "xmax"), ("", "1", "1")]
)
def test_lowered_text(before, lowered, line):
    assert before + subscript(before, lowered) == line
