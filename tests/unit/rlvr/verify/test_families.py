r"""Whole families of answers: what may stand beside a value and what makes another answer of it, for values of every kind."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.verify.equal import Undecided, decide
from rlvr.verify.policy import Policy
from rlvr.verify.units import classify, conflict, split_words

STRICT = Policy()
# Each line: a gold, and what is right and what is wrong for it, however it is written.
FAMILIES = [json.loads(line) for line in Path(__file__).with_name("families.jsonl").read_text().splitlines()]
RIGHT = [(family["gold"], answer) for family in FAMILIES for answer in family["right"]]
WRONG = [(family["gold"], answer) for family in FAMILIES for answer in family["wrong"]]

NUMBER = st.integers(2, 10**6)
VALUE = st.one_of(
    NUMBER.map(str),
    st.tuples(NUMBER, NUMBER).map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
    NUMBER.map(lambda n: rf"\sqrt{{{n}}}"),
    NUMBER.map(lambda n: f"x^2+{n}"),
    NUMBER.map(lambda n: f"({n}, {n + 1})"),
    NUMBER.map(lambda n: f"{n}, {n + 1}"),
    NUMBER.map(lambda n: rf"[0, {n}) \cup ({n + 1}, \infty)"),
    NUMBER.map(lambda n: rf"\{{{n}, {n + 1}\}}"),
    NUMBER.map(lambda n: f"y = {n}x"),
    NUMBER.map(lambda n: rf"\begin{{pmatrix}} {n} \\ 1 \end{{pmatrix}}"),
    st.sampled_from([r"\text{Friday}", "A", r"\text{Yes}"]),
)
SCALAR = st.one_of(
    NUMBER.map(str), NUMBER.map(lambda n: rf"\frac{{{n}}}{{7}}"), NUMBER.map(lambda n: rf"{n}\sqrt{{2}}")
)
OTHERWISE = [
    "or 7",
    "(or 7)",
    "or not",
    "[7]",
    "not",
    "wrong",
    "except 7",
    "maybe",
    "about",
    "if x > 0",
    "alternatively seven",
    "and 7",
]
OTHERWISE += [
    "nope",
    "unless x",
    "either",
    "but not 7",
    "(no)",
    "seven",
    "or B",
    "and so on",
    "at least",
    "or more",
    "dozen",
    "thirds",
]
UNITS = [
    "cm",
    "m^2",
    "square feet",
    "kg",
    "km/h",
    "miles per hour",
    "dollars",
    "degrees",
    "apples",
    "red marbles",
    "ways",
    "hours",
    "students",
]
MULTIPLIERS = [
    "hundred",
    "thousand",
    "million",
    "dozen",
    "percent more",
    "squared",
    "tenths",
    "lakh",
    "halves",
    "factorial",
    "times 2",
]


def equal(gold, answer, policy=STRICT):
    try:
        return decide(gold, answer, policy)[0]
    except Undecided:
        return None


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_right(gold, answer):
    assert equal(gold, answer)


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_wrong(gold, answer):
    assert equal(gold, answer) is False


@settings(max_examples=300, deadline=None)
@given(VALUE, st.sampled_from(OTHERWISE))
def test_no_words_after_any_answer_are_dropped(value, words):
    for answer in (
        rf"{value} \text{{ {words}}}",
        f"{value} {words}",
        rf"{value}\text{{ {words} }}.",
        rf"\text{{{words} }} {value}",
    ):
        assert not equal(value, answer), answer


@settings(max_examples=150, deadline=None)
@given(SCALAR, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_units_may_be_missing_but_not_differ(value, unit, other):
    one, two = rf"{value} \text{{ {unit}}}", rf"{value} \text{{ {other}}}"
    assert equal(value, one) and equal(one, value) and equal(one, one)
    assert equal(one, two) == (unit == other)


@settings(max_examples=100, deadline=None)
@given(SCALAR, st.sampled_from(MULTIPLIERS))
def test_what_multiplies_is_no_unit(value, multiplier):
    assert not equal(value, rf"{value} \text{{ {multiplier}}}")
    assert not equal(value, f"{value} {multiplier}")


@settings(max_examples=100, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz ", min_size=4, max_size=30), NUMBER)
def test_words_are_on_the_list_or_belong_to_the_answer(text, number):
    words = classify(text, single=False)
    answer = rf"{number} \text{{ {text}}}"
    assert bool(equal(str(number), answer)) == (not words.other)
    assert not conflict(words, words) and equal(answer, answer)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 400), st.integers(2, 9), st.sampled_from(["0", "1", "2"]))
def test_tiny_differences_are_differences(exponent, base, anchor):
    tiny = [
        f"{base}^{{-{exponent}}}",
        rf"e^{{-{exponent}}}",
        rf"\left(\frac{{\sqrt{{{base}}}}}{{10}}\right)^{{{exponent}}}",
    ]
    for small in tiny:
        assert not equal(anchor, f"{anchor} + {small}")
        assert not equal(f"{anchor} + {small}", anchor)
        assert not equal(small, "0") and not equal(small, f"2 \\cdot {small}")
        assert equal(f"{anchor} + {small}", f"{small} + {anchor}")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 120), st.sampled_from([r"\pi", r"\sqrt{2}", "e", r"\ln 2", r"\sqrt[3]{7}", r"\frac{1}{\sqrt{5}}"])
)
def test_no_decimal_is_an_irrational_number(digits, value):
    import mpmath

    with mpmath.workdps(digits + 10):
        number = {r"\pi": mpmath.pi, r"\sqrt{2}": mpmath.sqrt(2), "e": mpmath.e, r"\ln 2": mpmath.log(2)}.get(value)
        number = +number if number is not None else mpmath.cbrt(7) if "3" in value else 1 / mpmath.sqrt(5)
        decimal = mpmath.nstr(number, digits)
    assert not equal(value, decimal) and not equal(decimal, value)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        ["x^2+y^2", "xy", "|x|", "2x", "x+1", "x+y", "x^2", "x-y", "3x+2y", r"\sin x", r"\frac{x}{y}", "x^3-x"]
    ),
    NUMBER,
)
def test_an_equation_is_not_its_right_side(left, right):
    assert not equal(f"{left} = {right}", str(right))
    assert equal(f"{left} = {right}", f"{right} = {left}")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [
            "x",
            "n",
            r"\theta",
            "f(5)",
            "a_{10}",
            "P(A)",
            r"\angle ABC",
            "AB",
            r"\text{Area}",
            "S_n",
            "f(f(2))",
            r"\frac{AB}{CD}",
        ]
    ),
    NUMBER,
)
def test_a_name_is_no_equation(name, value):
    assert equal(f"{name} = {value}", str(value)) and equal(str(value), f"{name} = {value}")
    assert not equal(f"{name} = {value}", str(value + 1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=6, unique=True), st.data())
def test_unions_are_sets(points, data):
    """Cut one interval at any of its points: the pieces are the interval as long as the points are in one of them."""
    points = sorted(points)
    pieces, holes = [], []
    for low, high in pairwise(points):
        right = data.draw(st.sampled_from("])"))
        left = "[" if low == points[0] or data.draw(st.booleans()) else "("
        pieces.append((left, low, high, right if high != points[-1] else "]"))
    for one, two in pairwise(pieces):
        if one[3] == ")" and two[0] == "(":
            holes.append(one[2])
    union = r"\cup".join(f"{left}{low},{high}{right}" for left, low, high, right in pieces)
    whole = f"[{points[0]},{points[-1]}]"
    assert equal(whole, union) == (not holes)
    if holes:
        assert equal(rf"{whole}\setminus\{{{','.join(map(str, holes))}\}}", union)


@settings(max_examples=100, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(2, 20))
def test_congruences_are_classes(a, b, m):
    assert equal(rf"x \equiv {a} \pmod{{{m}}}", rf"x \equiv {b} \pmod {{{m}}}") == ((a - b) % m == 0)
    assert not equal(str(a), rf"x \equiv {a} \pmod {{{m}}}")
    assert not equal(rf"x \equiv {a} \pmod{{{m}}}", rf"x \equiv {a} \pmod{{{m + 1}}}")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.data())
def test_binomials_and_factorials(n, data):
    k = data.draw(st.integers(0, n))
    value = math.comb(n, k)
    forms = [
        rf"\binom{{{n}}}{{{k}}}",
        rf"{{{n} \choose {k}}}",
        rf"\frac{{{n}!}}{{{k}!{n - k}!}}",
        rf"\frac{{{n}!}}{{{k}!\cdot({n - k})!}}",
    ]
    for form in forms:
        assert equal(str(value), form) and not equal(str(value + 1), form)


@settings(max_examples=100, deadline=None)
@given(st.integers(-40, 40), st.integers(1, 9999))
def test_scientific_notation(exponent, mantissa):
    forms = [
        rf"{mantissa}\times10^{{{exponent}}}",
        rf"{mantissa} \cdot 10^{{{exponent}}}",
        f"{mantissa}.0e{exponent}",
        f"{mantissa}E{exponent}",
    ]
    for gold in forms:
        for answer in forms:
            assert equal(gold, answer), (gold, answer)
        assert not equal(gold, rf"{mantissa}\times10^{{{exponent + 1}}}")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 99), st.text("0123456789", min_size=0, max_size=3), st.text("0123456789", min_size=1, max_size=4))
def test_repeating_decimals(whole, fixed, period):
    value = whole + (int(fixed + period) - int(fixed or "0")) / (10 ** len(fixed) * (10 ** len(period) - 1))
    top = whole * 10 ** len(fixed) * (10 ** len(period) - 1) + int(fixed + period) - int(fixed or "0")
    gold = rf"\frac{{{top}}}{{{10 ** len(fixed) * (10 ** len(period) - 1)}}}"
    assert equal(gold, rf"{whole}.{fixed}\overline{{{period}}}"), value
    assert equal(gold, rf"{whole}.{fixed}{period * 4}\ldots") or set(fixed + period) == {"0"}
    if set(period) != {"0"} and set(period) != {"9"}:
        assert not equal(gold, f"{whole}.{fixed}{period * 4}")


TYPOGRAPHY = [
    r"\textcolor{red}{%s}",
    r"{\color{blue} %s}",
    r"\boldsymbol{%s}",
    r"\displaystyle %s",
    r"%s\ ",
    r"\ %s\quad",
    r"%s\,.",
]
TYPOGRAPHY += ["**%s**", r"\phantom{0}%s", r"$%s$", r"\(%s\)", r"%s \tag{1}", r"{\Large %s}", "`%s`", r"%s\\"]


@settings(max_examples=200, deadline=None)
@given(VALUE, st.sampled_from(TYPOGRAPHY))
def test_typography_changes_nothing(value, typography):
    answer = typography.replace("%s", value)
    assert equal(value, answer), answer


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_words_split_off_anything(text):
    split_words(text)
    classify(text)


@pytest.mark.parametrize("answer", [r"[\pmfi", r"\pm", r"1\pmx, 2", r"\pm\pmfi or 7"])
def test_a_sign_that_is_none_ends(answer):
    assert not equal("7", answer)
