r"""A parser for the expressions that answers are made of, in LaTeX or as typed: to a small tree of tuples, never to code.

    expression = term (("+" | "-") term)*        term = factor (("*" | "/" | nothing) factor)*
    factor     = "-" factor | power              power = atom "!"* ("^" exponent)?

Tree: ``("num", Fraction)``, ``("sym", name)``, ``("const", "pi")``, ``("add", a, b)``, ``("mul", a, b)``, ``("div", a, b)``,
``("pow", a, b)``, ``("root", n, a)``, ``("call", name, a, …)``. Readings we chose: ``3\frac12`` is three and a half, ``x^12`` is
x^{12}, ``1/2x`` is x/2, ``i`` and ``e`` are the constants, letters side by side multiply, ``1e-3`` is a thousandth but ``2e-1``
is 2e - 1, ``0.333\dots`` is a third. Deliberately left out: integrals, sums, limits, anything that must be evaluated rather than
read (:mod:`rlvr.verify.symbolic`, or nothing).
"""

import re
from fractions import Fraction
from typing import Any

Node = tuple[Any, ...]

MAX_LENGTH = 1500  # characters; longer answers are compared as strings only
MAX_DEPTH = 40
MAX_OPERATIONS = 250  # bounds the depth of the tree, and so the recursion over it
MAX_DIGITS = 2000

NUMBER = re.compile(r"\d+(?:\.(?!\.)\d*)?|\.\d+", re.ASCII)
SCIENTIFIC = re.compile(r"(?:[eE]\+?(?=\d)|E(?=-))(-?\d{1,4})(?![\w.])", re.ASCII)
SMALL = re.compile(r"e(-\d{1,4})(?![\w.])", re.ASCII)  # 1e-3, 2.5e-1 and 2e-19, but 2e-1 is 2·e − 1
LEADING_ZERO = re.compile(r"0\d")
REPEATING = re.compile(
    r"(?P<whole>\d*)\.(?P<fixed>\d*?)(?:\\(?:overline|bar|dot)\s*(?:\{(?P<a>\d+)\}|(?P<b>\d))(?!\d*\s*\\dot)"
    r"|\\dot\s*(?P<c>\{\d\}|\d)(?P<d>\d*)\s*\\dot\s*(?P<e>\{\d\}|\d)|(?P<f>\d{1,6}?)(?P=f){2,}(?:\\dots|\.\.\.)|(?<=\.)\((?P<g>\d{1,9})\))",
    re.ASCII,
)
MIXED = re.compile(
    r"(\d+) ?\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d+) (\d+)/(\d+)(?![\d.])", re.ASCII
)
NAMED = re.compile(r"\s*\{([A-Za-z]{1,4})\}|([A-Za-z]{1,4})(?![A-Za-z])")
DEGREES = re.compile(r"\{\s*\\circ\s*\}|\\circ(?![A-Za-z])")
SUBSCRIPT = re.compile(
    r"_\s*(?:\{([^{}]{1,30})\}|\{\\text\s*\{([^{}]{1,20})\}\}|\\(?:text\s*\{)?([A-Za-z]{1,12})\}?|([A-Za-z0-9]))"
)
_FUNCTIONS = "arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh sin cos tan cot sec csc log ln lg exp sqrt"
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau phi varphi chi "
    "psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell"
)
FUNCTIONS = _FUNCTIONS.split()
OF_MANY = ("gcd", "lcm", "max", "min")
GREEK = frozenset(_GREEK.split())
WORD = re.compile("|".join([*FUNCTIONS, *OF_MANY, "asin", "acos", "atan", "pi"]))
SPELLED = re.compile(r"(?<![A-Za-z])(alpha|beta|gamma|delta|theta|lambda|sigma|omega|phi|rho)(?![A-Za-z])")
TEN = re.compile(r"10(?=\s*[({\\A-Za-z ])")
NO_ATOM = ("+", "-", "^", "_", "!", ")", "]", "}", ",", "=", "**", "\\}", "\\rfloor", "\\rceil", "\\choose", "\\over")
UPRIGHT = re.compile(r"\s*\{\s*([A-Za-z]+)\s*\}")
TIMES = {"\\cdot", "\\times", "\\ast", "*"}
CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}


class NotAnExpression(ValueError):
    """The text is not in the grammar."""


def parse(text: str) -> Node:
    """The tree of a normalised text.

    Raises:
        NotAnExpression: if it is not an expression of this grammar, too long or nested too deeply.
    """
    if len(text) > MAX_LENGTH:
        raise NotAnExpression("too long")
    parser = _Parser(text)
    node = parser.group()
    parser.spaces()
    if parser.position != len(text):
        raise NotAnExpression(f"unexpected {text[parser.position :][:20]!r}")
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.bars = 0
        self.operations = 0

    def operation(self, *node: Any) -> Node:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise NotAnExpression("too many operations")
        return node

    # ---- scanning

    def spaces(self) -> None:
        while self.position < len(self.text) and self.text[self.position] == " ":
            self.position += 1

    def peek(self) -> str:
        """The next character, or the next whole command."""
        self.spaces()
        text, start = self.text, self.position
        if start >= len(text):
            return ""
        if text[start] != "\\":
            return "**" if text.startswith("**", start) else text[start]
        end = start + 1
        while end < len(text) and text[end].isalpha():
            end += 1
        return text[start : max(end, start + 2)]

    def take(self, token: str) -> bool:
        if token and self.peek() == token:
            self.position += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise NotAnExpression(f"expected {token!r}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.spaces()
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    # ---- grammar

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpression("too deep")
        node = self.term()
        while (token := self.peek()) in ("+", "-"):
            self.position += 1
            right = self.term()
            node = self.operation("add", node, ("mul", num(-1), right) if token == "-" else right)
        self.depth -= 1
        return node

    def group(self) -> Node:
        """An expression, or two of them in TeX's own notation: ``1 \\over 2``, ``n \\choose k``."""
        node = self.expression()
        if self.take("\\choose"):
            return self.operation("call", "binomial", node, self.expression())
        if self.take("\\over"):
            return self.operation("div", node, self.expression())
        return node

    def term(self) -> Node:
        node = self.factor()
        while True:
            token = self.peek()
            if token in TIMES:
                self.position += len(token)
                node = self.operation("mul", node, self.factor())
            elif token == "/":
                self.position += 1
                node = self.operation("div", node, self.factor())
            elif token == "\\mod":
                self.position += len(token)
                node = self.operation("call", "mod", node, self.factor())
            elif self.starts_atom(token):
                node = self.operation("mul", node, self.power())
            else:
                return node

    def starts_atom(self, token: str) -> bool:
        if not token or token in NO_ATOM:
            return False
        if token == "|":
            return self.bars == 0
        if token.isdigit() or token == ".":
            # "2 3" is not six, but (n+1)2^n is a product
            before = self.text[: self.position].rstrip()[-1:]
            if before.isdigit() or before == ".":
                raise NotAnExpression("two numbers side by side")
        return True

    def factor(self) -> Node:
        negative = False
        while (token := self.peek()) in ("+", "-"):
            self.position += 1
            negative ^= token == "-"
        node = self.power()
        return ("mul", num(-1), node) if negative else node

    def power(self) -> Node:
        node = self.factorials(self.atom())
        if self.take("^") or self.take("**"):
            if self.match(DEGREES):
                return ("mul", node, ("div", ("const", "pi"), num(180)))
            node = self.factorials(("pow", node, self.exponent()))
            if self.peek() in ("^", "**"):
                raise NotAnExpression("a power of a power without brackets")
        return node

    def factorials(self, node: Node) -> Node:
        """``n!`` and ``n!!``; (n!)! needs its brackets."""
        while self.take("!"):
            node = self.operation("call", "factorial2" if self.take("!") else "factorial", node)
        return node

    def exponent(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotAnExpression("too deep")
        negative = self.take("-")
        node = self.power() if self.peek() not in ("{", "(") else self.atom()
        self.depth -= 1
        return ("mul", num(-1), node) if negative else node

    def atom(self) -> Node:
        token = self.peek()
        if token.isdigit() or token == ".":
            return self.number()
        if token == "|":
            return self.bar()
        if token in CLOSING and token != "\\{":
            self.position += len(token)
            node = self.group()
            self.expect(CLOSING[token])
            return ("call", token[2:], node) if token in ("\\lfloor", "\\lceil") else node
        if token.startswith("\\"):
            return self.command(token)
        if token.isascii() and token.isalpha():
            return self.letters()
        raise NotAnExpression(f"unexpected {token!r}")

    def bar(self) -> Node:
        self.position += 1
        self.bars += 1
        node = self.expression()
        self.bars -= 1
        self.expect("|")
        return ("call", "abs", node)

    def number(self) -> Node:
        repeating = self.match(REPEATING)
        if repeating:
            whole, fixed = repeating["whole"] or "0", repeating["fixed"]
            period = "".join(filter(str.isdigit, "".join(repeating[name] or "" for name in "abcdefg")))
            return num(
                Fraction(digits(whole + fixed), 10 ** len(fixed))
                + Fraction(digits(period), 10 ** len(fixed) * (10 ** len(period) - 1))
            )
        mixed = self.match(MIXED)
        if mixed:
            whole, top, bottom = (
                mixed[1] or mixed[6],
                mixed[2] or mixed[3] or mixed[7],
                mixed[4] or mixed[5] or mixed[8],
            )
            if not digits(top) < digits(bottom):
                raise NotAnExpression("a sum or a product?")
            return num(digits(whole) + Fraction(digits(top), digits(bottom)))
        found = self.match(NUMBER)
        if found is None:
            raise NotAnExpression("not a number")
        if LEADING_ZERO.match(found[0]) and found[0] != self.text.strip(" -+"):
            raise NotAnExpression("a leading zero: a date or a code")
        whole, _, decimals = found[0].partition(".")
        value = Fraction(digits((whole or "0") + decimals), 10 ** len(decimals))
        exponent = SCIENTIFIC.match(self.text, self.position)
        if exponent:
            self.position = exponent.end()
            value *= Fraction(10) ** int(exponent[1])
        elif (small := SMALL.match(self.text, self.position)) and (found[0] == "1" or decimals or int(small[1]) < -2):
            self.position = small.end()
            value *= Fraction(10) ** int(small[1])
        return num(value)

    def letters(self) -> Node:
        spelled = self.match(SPELLED)
        if spelled:
            return self.symbol(spelled[1], 0)
        word = self.match(WORD)
        if word and word[0] in OF_MANY:
            return self.of_many(word[0])
        if word:
            if word[0] == "pi":
                return ("const", "pi")
            name = word[0] if word[0] in FUNCTIONS else "arc" + word[0][1:]
            return self.function(name)
        return self.symbol(self.text[self.position], 1)

    def symbol(self, name: str, length: int) -> Node:
        self.position += length
        subscript = self.match(SUBSCRIPT)
        if subscript:
            lower = next(filter(None, subscript.groups()))
            return ("sym", f"{name}_{re.sub(r'text|[^A-Za-z0-9,+-]', '', lower)}")
        while self.position < len(self.text) and self.text[self.position] == "'":
            name += "'"
            self.position += 1
        return ("const", name) if name in ("i", "e") else ("sym", name)

    def command(self, token: str) -> Node:
        name = token[1:]
        if name in GREEK:
            return self.symbol(name, len(token))
        self.position += len(token)
        if name == "pi":
            return ("const", "pi")
        if name in ("overline", "bar", "vec", "hat", "tilde", "angle") and (named := self.match(NAMED)):
            return ("sym", f"{name} {named[1] or named[2]}")
        if name == "frac":
            top = self.argument()
            return ("div", top, self.argument())
        if name == "sqrt":
            return self.root()
        if name == "binom":
            top = self.argument()
            return ("call", "binomial", top, self.argument())
        if name in ("text", "operatorname") and (upright := self.match(UPRIGHT)):
            name = upright[1]
        if name in OF_MANY:
            return self.of_many(name)
        if name in FUNCTIONS:
            return self.function(name)
        raise NotAnExpression(f"unknown command {token!r}")

    def of_many(self, name: str) -> Node:
        """``\\gcd(84, 126)``."""
        opening = next((token for token in ("(", "\\{", "[") if self.take(token)), None)
        if opening is None:
            raise NotAnExpression(f"{name} of what?")
        values = [self.expression()]
        while self.take(","):
            values.append(self.expression())
        self.expect(CLOSING[opening])
        if len(values) < 2:
            raise NotAnExpression(f"{name} of one")
        return self.operation("call", name, *values)

    def root(self) -> Node:
        degree: Node = num(2)
        if self.take("["):
            degree = self.expression()
            self.expect("]")
        return ("root", degree, self.argument())

    def argument(self) -> Node:
        r"""Of ``\frac`` or ``\sqrt``: a group, a command or a single character, as in LaTeX."""
        token = self.peek()
        if token in ("{", "("):
            self.position += 1
            node = self.expression()
            self.expect(CLOSING[token])
            return node
        if token.isdigit() and token.isascii():
            self.position += 1
            return num(int(token))
        if token.startswith("\\"):
            return self.command(token)
        if token.isascii() and token.isalpha():
            self.position += 1
            return ("const", token) if token in ("i", "e") else ("sym", token)
        raise NotAnExpression("missing argument")

    def function(self, name: str) -> Node:
        if name == "sqrt":
            return self.root()
        base: Node | None = None
        if name == "log" and self.take("_"):
            base = num(10) if self.take_ten() else self.argument()
        power: Node | None = None
        if self.take("^"):
            power = self.exponent()
        argument = self.function_argument()
        if power == ("mul", num(-1), num(1)) and name in (
            "sin",
            "cos",
            "tan",
            "cot",
            "sec",
            "csc",
            "sinh",
            "cosh",
            "tanh",
        ):
            return ("call", "arc" + name, argument)
        node: Node = ("call", "log10" if name == "lg" else "ln" if name == "log" else name, argument)
        if base is not None:
            node = ("div", node, ("call", "ln", base))
        elif name == "log":
            # whether log is natural, decimal or binary is the question's business: it is only equal to itself
            node = ("mul", node, ("sym", "log's base"))
        return node if power is None else ("pow", node, power)

    def take_ten(self) -> bool:
        """``log_10(x)`` as typed, whose base has two digits."""
        return self.match(TEN) is not None

    def function_argument(self) -> Node:
        """A bracket, or the factors up to the next operator or function: ``sin 2x cos x`` is sin(2x) · cos(x)."""
        token = self.peek()
        if token in ("(", "[", "{", "|"):
            return self.power() if token == "{" else self.atom()
        node = self.power()
        while True:
            token = self.peek()
            letter = token.isascii() and token.isalpha() and not WORD.match(self.text, self.position)
            if letter or token == "\\pi" or (token.startswith("\\") and token[1:] in GREEK):
                node = self.operation("mul", node, self.power())
            else:
                return node


def num(value: int | Fraction) -> Node:
    return ("num", Fraction(value))


def digits(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotAnExpression("too many digits")
    return int(text)
