import pytest
from lxml import etree

from embed_pipeline.corpus.parsers.formula import linear, plain_tex


@pytest.mark.parametrize(
    ("mathml", "line"),
    [
        ("<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>", "E=mc^2"),
        ("<msup><mn>10</mn><mrow><mo>-</mo><mn>3</mn></mrow></msup>", "10^-3"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mrow><mn>2</mn><mi>a</mi></mrow></mfrac>", "(a+b)/(2a)"),
        ("<msub><mi>x</mi><mi>max</mi></msub><mi>sin</mi><mi>y</mi>", "x_max sin y"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>", "∑_(i=1)^n"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt><mroot><mi>y</mi><mn>3</mn></mroot>", "√(x+1)√[3](y)"),
        ("<mfenced open='['><mi>a</mi><mi>b</mi></mfenced><mphantom><mi>z</mi></mphantom>", "[a,b)"),
        (
            "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd></mtr></mtable>",
            "1, 2; 3",
        ),
        ("<semantics><mi>a</mi><annotation encoding='x'>never</annotation></semantics>", "a"),
        ("<mi>f</mi><mo>\u2061</mo><mo>(</mo><mi>x</mi><mo>)</mo>", "f(x)"),
        ("<mn>1</mn><mn>2</mn>", "1 2"),
    ],
)
def test_formulas_on_one_line(mathml, line):
    assert linear(etree.fromstring(f"<math>{mathml}</math>")) == line


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("{\\displaystyle E=mc^{2}}", "E=mc^{2}"),
        ("{\\textstyle {a}}", "{a}"),
        ("{\\displaystyle a}+{b}", "{\\displaystyle a}+{b}"),
        ("E =\n mc^2", "E = mc^2"),
    ],
)
def test_tex_without_its_wrapping(source, plain):
    assert plain_tex(source) == plain
