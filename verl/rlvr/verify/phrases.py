r"""Answers in words: "The answer is …", ``#### …`` and ``<answer>…</answer>``.

A sentence's answer is all of it, without an introduction ("thus", "equal to") and without an explanation ("because …", ", which
is …"). So "42 or 43" stays one answer with two values, "$43$ times $2$" a product, and nothing is ever cut out of an expression.
A question, or a sentence that is taken back ("No, wait …"), gives no answer. Deliberately left out: any judgement of the value.
"""

import re

FINAL_TAG = re.compile(r"[<\[](/?)(?:final_)?answer[>\]]", re.IGNORECASE)
HASHES = re.compile(r"^[ \t]*####(?!#)[ \t]*(\S[^\n]*)", re.MULTILINE)
COLON = r"[*_]{0,2}\s*[:=：]"
FINAL_ANSWER = re.compile(
    rf"\bfinal\s+answers?\b(?:[^.\n=:$]{{0,40}}?\b(?:is|are|equals?|becomes)\b|{COLON}|\s*(?:\*\*|__)?\s*\n)",
    re.IGNORECASE,
)
ANSWER_IS = re.compile(
    r"(?<![A-Za-z])(?:answers?|ans)(?![A-Za-z])(?:[^.\n=:$]{0,40}?\b(?:is|are|equals?|(?:would|will|must|should)\s+be|comes\s+(?:out\s+)?to)\b(?!\s+(?:to\s+)?(?:not|only|also|asked|given\s+in|in\s+the\s+form)\b)"
    rf"|{COLON})|(?:^|\n)\s*(?:#+\s*|\*\*)(?:the\s+)?answer\s*(?:\*\*)?\s*\n|\b(?:correct\s+)?(?:option|choice)\s+is\b|答案\s*(?:应?[是为為]|[:：])+",
    re.IGNORECASE,
)
FILLER = re.compile(
    r"(?:[\s*_:=：>]|(?:thus|therefore|hence|then|so|simply|just|exactly|clearly|indeed|obviously|precisely|given by|equal to"
    r"|equals|the number|the value|that)\b(?!\s*[=(]))+",
    re.IGNORECASE,
)
MATH = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
SENTENCE_END = re.compile(r"\n|[.。?？!！](?=[\s*\"”’)_]|$)|[。？！]")
# An explanation may hold numbers, but no other answer.
BECAUSE = re.compile(
    r"\s*[,;:(—–-]?\s*\b(?:because|since|as\s|which|where|so that|by\s|from\s|using|after|given that|due to|obtained|found|when\s)"
    r"|\s*[,;]\s*(?:so|thus|hence|therefore)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"\s*(?:[,;:]\s+|\s[-–—]+\s|\s\()(?=[A-Za-z])")
OTHERWISE = re.compile(
    r"\b(?:or|not|no|nor|maybe|perhaps|possibly|either|but|however|except|unless|otherwise|if|wrong|incorrect|wait|actually"
    r"|instead|rather|about|approximately)\b|n't\b|\?",
    re.IGNORECASE,
)
NUMERALS = re.compile(
    r"\d|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundreds?|thousands?|millions?|half|twice|dozens?)\b",
    re.IGNORECASE,
)
TAKEN_BACK = re.compile(
    r"(?:^|[.!?\n]\s*)\s*(?:no\b|wait\b|actually\b|hmm\b|oops\b|sorry\b|correction\b|scratch that|i made a mistake|let me correct"
    r"|that(?:'s| is) (?:wrong|not right|incorrect))",
    re.IGNORECASE,
)
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
NUMBERED = re.compile(r"step\b|\d+[.)]\s+[A-Za-z]", re.IGNORECASE)
MAX_SENTENCE = 2000
MAX_TAGS = 20  # empty ones that are skipped


def answer_tag(text: str) -> str | None:
    """The content of the last answer tag that has any; a tag that is never closed was cut off and gives the empty text."""
    text = FINAL_TAG.sub(r"<\1answer>", text)
    end = len(text)
    if text.rfind("<answer>") > text.rfind("</answer>"):
        return ""
    for _ in range(MAX_TAGS):
        end = text.rfind("</answer>", 0, end)
        start = text.rfind("<answer>", 0, end) if end >= 0 else -1
        if start < 0:
            break
        content = text[start + len("<answer>") : end].strip()
        if content:
            return answer_is(content) or bare(content)
        end = start
    return None


def hashes(text: str) -> str | None:
    """What follows the last ``####`` of a line that is no heading."""
    lines = [match[1].strip(" *#") for match in HASHES.finditer(text)]
    lines = [line for line in lines if line and not _is_heading(line)]
    return (answer_is(lines[-1]) or bare(lines[-1])) if lines else None


def final_answer(text: str) -> str | None:
    return _after_last(FINAL_ANSWER, text)


def answer_is(text: str) -> str | None:
    return _after_last(ANSWER_IS, text)


def taken_back(text: str) -> bool:
    """Whether what follows an answer begins by denying it."""
    return TAKEN_BACK.search("\n" + text[:300]) is not None


def _after_last(pattern: re.Pattern[str], text: str) -> str | None:
    """The answer of the sentence after the last match; the empty text where that is a question or taken back."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007 (the last one)
        pass
    if found is None:
        return None
    rest = text[found.end() : found.end() + MAX_SENTENCE]
    start = FILLER.match(rest)
    rest = rest[start.end() :] if start else rest
    sentence, after = _sentence(rest)
    if sentence is None or taken_back(after):
        return ""
    return bare(_without_explanation(sentence)) or None


def _sentence(text: str) -> tuple[str | None, str]:
    """(the first sentence, what follows); None for a question. A full stop inside mathematics ends nothing."""
    spans = [math.span() for math in MATH.finditer(text)]
    for end in SENTENCE_END.finditer(text):
        if any(start <= end.start() < stop for start, stop in spans) or _depth(text[: end.start()]) > 0:
            continue
        return (None, "") if end[0] in "?？" else (text[: end.start()], text[end.end() :])
    return text, ""


def _without_explanation(sentence: str) -> str:
    outside = MATH.sub(lambda match: "x" * len(match[0]), sentence)  # the same length, without its commas
    because = BECAUSE.search(outside)
    if because and because.start() > 0 and not OTHERWISE.search(outside[because.start() :]):
        sentence, outside = sentence[: because.start()], outside[: because.start()]
    for clause in CLAUSE.finditer(outside):
        tail = sentence[clause.end() :]
        other = OTHERWISE.search(tail) or NUMERALS.search(tail) or "$" in tail
        if _depth(outside[: clause.start()]) == 0 and not other:
            return sentence[: clause.start()]
    return sentence


def _depth(text: str) -> int:
    return text.count("{") - text.count("}")


def _is_heading(line: str) -> bool:
    """``#### Step 3: the area`` rather than ``#### 42``: a title, or a number that counts one."""
    words = WORD.findall(MATH.sub("", line))
    title = len(words) > 1 and not (line[0].isdigit() or line[0] in "$-€£\\(")
    return bool(words) and (title or NUMBERED.match(line) is not None)


def bare(text: str) -> str:
    """Without Markdown's stars, the marks of one formula, and the comma before the next clause."""
    text = text.strip().strip("*_`").rstrip(",;:").strip()
    formula = MATH.match(text)
    if formula and formula.end() == len(text):
        text = text[2:-2] if text.startswith(("\\", "$$")) else text[1:-1]
    return text.strip().strip("*").strip()
