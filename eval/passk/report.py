"""Pictures and a self-contained HTML report of any number of evaluated models.

    python -m passk.report --file_path FILE [FILE …] --output_dir DIR [--title TEXT] [--majority] [--allow-incomplete]

Writes ``pass_at_k.png``, ``pass_at_k.svg``, ``metrics.json`` and ``report.html``: table, curves, histograms of solve rates and of
what became of the answers, and a browser of questions and responses. The page opens from disk, loads nothing, and shows what the
model wrote as text (:mod:`passk.pages`). Deliberately left out: every sample of a large file. The page says how many it holds.
"""

import argparse
import hashlib
import heapq
import html
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from passk.estimate import Difference, Estimate, IfCut, Statistic
from passk.kinds import derived, is_kind, words
from passk.metrics import EXIT_CODE, as_json, evaluate, read
from passk.pages import asset, fill, json_in_html, policy, script_of, style_of
from passk.plot import curves_svg, outcomes_svg, plot_curves, solve_rates_svg
from passk.samples import Samples
from passk.storage import write_atomically
from passk.tally import Tally
from rlvr.incorrect import KINDS
from rlvr.outputs import check_folder
from rlvr.records import DataError

MAX_SAMPLES = 2000  # on the page, of all models together
PER_OUTCOME = 4  # of a question and a model, when not all fit
MAX_CHARACTERS = 12_000  # of a response; what is left out is said

CUT_NOTE = (
    '<p class="meta">An answer that was cut at the length limit might have become right. What is above counts it as wrong: pass@k '
    "cannot be lower. If all were right, it cannot be higher. Of a difference, lowest and highest are if only the baseline's, or "
    "only the other model's, were right.</p>"
)


def write_report(
    tallies: dict[str, Tally],
    estimates: Sequence[Estimate],
    differences: Sequence[Difference],
    folder: Path,
    title: str,
) -> None:
    """Everything that is published of these models, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        plot_curves(estimates, folder / f"pass_at_k.{suffix}", title)
    metrics = json.dumps(as_json(tallies, estimates, differences), indent=2)
    write_atomically(folder / "metrics.json", [metrics.encode()])
    write_atomically(folder / "report.html", [page(tallies, estimates, differences, title).encode()])


def page(
    tallies: dict[str, Tally],
    estimates: Sequence[Estimate],
    differences: Sequence[Difference],
    title: str,
    pictures: Mapping[str, str] = MappingProxyType({}),
    resampled: str = "questions",
) -> str:
    """The report as one HTML document.

    Args:
        pictures: further ones, heading -> SVG made by us.
        resampled: what the bootstrap of the estimates' intervals drew.
    """
    browser = browser_data(tallies)
    rates = {name: [one.c / one.n for one in counts.questions.values() if one.n] for name, counts in tallies.items()}
    outcomes = {name: _outcomes(counts) for name, counts in tallies.items()}
    style, script = style_of(asset("report.css")), script_of(asset("report.js"))
    parts = {
        "@STYLE@": style,
        "@SCRIPT@": script,
        "@POLICY@": policy(None, script),
        "@TITLE@": html.escape(title),
        "@SUMMARY@": _summary(tallies),
        "@TABLE@": _table(estimates),
        "@RESAMPLED@": html.escape(resampled),
        "@PICTURES@": "".join(
            f'<h2>{html.escape(heading)}</h2><div class="wide">{svg}</div>' for heading, svg in pictures.items()
        ),
        "@DIFFERENCES@": _differences(differences),
        "@IF_CUT@": _if_cut(estimates, differences),
        "@OUTCOMES@": outcomes_svg(rates, outcomes),
        "@CURVES@": curves_svg(estimates, title),
        "@HISTOGRAM@": solve_rates_svg(rates),
        "@SHOWN@": html.escape(browser.pop("note")),
        "@DATA@": json_in_html(browser),
    }
    return fill(asset("report.html"), parts)


def browser_data(tallies: dict[str, Tally]) -> dict[str, Any]:
    """The questions and responses that the page holds: all, or a sample that covers every solve rate and outcome."""
    total = sum(counts.samples for counts in tallies.values())
    ids = list(dict.fromkeys(key for counts in tallies.values() for key in counts.questions))
    everything = total <= MAX_SAMPLES
    if not everything:
        ids = _spread(ids, tallies, max(1, MAX_SAMPLES // (3 * PER_OUTCOME * len(tallies))))
    position = {key: number for number, key in enumerate(ids)}
    questions: list[dict[str, Any]] = [{"id": key, "text": "", "gold": "", "rates": {}} for key in ids]
    samples: list[dict[str, Any]] = []
    for model, (name, counts) in enumerate(tallies.items()):
        for key in ids:
            if key in counts.questions and (one := counts.questions[key]).n:
                questions[position[key]]["rates"][name] = [one.c, one.n]
        for line in _lines(counts, position, PER_OUTCOME if not everything else total):
            question = questions[position[line["question_id"]]]
            question["text"], question["gold"] = str(line.get("question")), str(line.get("gold_answer"))
            samples.append(_shown(line, model, position[line["question_id"]]))
    note = f"All {total:,} samples are here."
    if not everything:
        note = (
            f"{len(samples):,} of {total:,} samples are here: {len(ids)} questions spread over all solve rates, and of each model "
            f"up to {PER_OUTCOME} responses that are right and {PER_OUTCOME} of each kind that is not."
        )
    there = {sample["outcome"] for sample in samples}
    outcomes = [one for one in ("right", *map(words, KINDS), "not graded") if one in there]
    return {"models": list(tallies), "questions": questions, "samples": samples, "outcomes": outcomes, "note": note}


def outcome(sample: Mapping[str, Any], answers_are_told: bool) -> str:
    """What became of a sample: right, the kind of an incorrect one, or not graded."""
    if sample["label"] is None:
        return "not graded"
    if sample["label"]:
        return "right"
    if is_kind(sample.get("kind")):
        return words(sample["kind"])
    answered = sample.get("pred_answer") not in (None, "") or not answers_are_told
    return words(derived(sample["error"], sample.get("finish_reason"), answered))


def _outcomes(counts: Tally) -> dict[str, list[int]]:
    """By outcome, how many samples of every question had it."""
    questions = [one for one in counts.questions.values() if one.n]
    kinds = {words(kind): [one.of_kind(kind) for one in questions] for kind in KINDS}
    return {"right": [one.c for one in questions]} | kinds


def _spread(ids: Sequence[int | str], tallies: dict[str, Tally], count: int) -> list[int | str]:
    """``count`` questions at equal distances in the order of their solve rate."""

    def solved(key: int | str) -> float:
        found = [counts.questions[key] for counts in tallies.values() if key in counts.questions]
        return sum(one.c for one in found) / max(1, sum(one.n for one in found))

    ordered = sorted(ids, key=solved)
    count = min(count, len(ordered))
    chosen = {ordered[round(number * (len(ordered) - 1) / max(1, count - 1))] for number in range(count)}
    return [key for key in ids if key in chosen]


def _lines(counts: Tally, wanted: Iterable[int | str], per_outcome: int) -> list[dict[str, Any]]:
    """Up to ``per_outcome`` lines of every wanted question and outcome; those with the lowest hash, so always the same."""
    kept: dict[tuple[int | str, str], list[tuple[int, int, dict[str, Any]]]] = {}
    keys = set(wanted)
    for number, (_, sample, _, _) in enumerate(Samples(counts.path)):
        # what is no sample was counted by the tally, which was asked whether that is allowed
        if sample is None or not isinstance(sample["generation_id"], int) or not _wanted(sample["question_id"], keys):
            continue
        sample = sample | {"error": sample.get("error") if isinstance(sample.get("error"), str) else None}
        sample["outcome"] = outcome(sample, counts.told.answers_are_told)
        heap = kept.setdefault((sample["question_id"], sample["outcome"]), [])
        entry = (-_order(sample), number, sample)
        if len(heap) < per_outcome:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    lines = [line for heap in kept.values() for _, _, line in heap]
    return sorted(lines, key=lambda line: line["generation_id"])


def _wanted(question_id: Any, keys: set[int | str]) -> bool:
    return isinstance(question_id, (int, str)) and question_id in keys


def _order(sample: Mapping[str, Any]) -> int:
    text = f"{sample['question_id']} {sample['generation_id']}"
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=6).digest(), "big")


def _shown(line: dict[str, Any], model: int, question: int) -> dict[str, Any]:
    text = str(line.get("response", ""))
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[… {len(text) - 2 * half:,} characters are left out here …]\n{text[-half:]}"
    shown = {"m": model, "q": question, "g": line["generation_id"], "text": text, "prediction": line.get("pred_answer")}
    return shown | {name: line.get(name) for name in ("outcome", "error", "tokens")}


def _summary(tallies: dict[str, Tally]) -> str:
    paragraphs = []
    for name, counts in tallies.items():
        text = f"{name}: {len(counts.questions):,} questions, {counts.samples:,} samples"
        text += (
            f"; {counts.timeouts:,} timed out, {counts.errors:,} failed in the grader, {counts.cut:,} cut at max_tokens"
        )
        paragraphs.append(f"<p>{html.escape(text)}</p>")
        problems = counts.problems + counts.told.remarks()
        paragraphs += [f'<p class="problem">{html.escape(problem)}</p>' for problem in problems]
    return "\n".join(paragraphs)


def _table(estimates: Sequence[Estimate]) -> str:
    ks = sorted({k for one in estimates for k in one.pass_at_k})
    rows = _rows(estimates, ks)
    if any(one.maj_at_k for one in estimates):
        rows += [(f"maj@{k}", [one.maj_at_k.get(k) for one in estimates]) for k in ks]
    rows += [("solved at least once", [one.solved_at_least_once for one in estimates])]
    rows += [("solved never", [one.solved_never for one in estimates])]
    rows += [("solved always", [one.solved_always for one in estimates])]
    rows += _kind_rows(estimates)
    return _grid("<th>%, 95 % interval</th>", [one.name for one in estimates], _cells(rows))


def _differences(differences: Sequence[Difference]) -> str:
    """A table for each baseline, a column for each model that is compared with it."""
    parts = []
    for baseline in dict.fromkeys(one.baseline for one in differences):
        columns = [one for one in differences if one.baseline == baseline]
        rows = _rows(columns, sorted({k for one in columns for k in one.pass_at_k})) + _kind_rows(columns)
        caption = f"<caption>{html.escape(f'minus {baseline}, paired by question, in points')}</caption>"
        parts.append(_grid("<td></td>", [one.name for one in columns], _cells(rows, "+"), caption))
    return "\n".join(parts)


def _kind_rows(columns: Sequence[Estimate] | Sequence[Difference]) -> list[tuple[str, list[Statistic | None]]]:
    """Of all samples, those of each kind of incorrect ones that any column has."""
    there = [kind for kind in KINDS if any(kind in one.kinds and one.kinds[kind].high for one in columns)]
    return [(f"samples: {words(kind)}", [one.kinds.get(kind) for one in columns]) for kind in there]


def _if_cut(estimates: Sequence[Estimate], differences: Sequence[Difference]) -> str:
    """pass@k if the truncated answers had been left out or right; nothing where no model has any."""
    assumptions = {"left_out": "left out", "right": "right", "lowest": "lowest", "highest": "highest"}
    if not any("truncated" in one.kinds and one.kinds["truncated"].high for one in estimates):
        return ""
    parts = []
    tables: list[tuple[Sequence[Any], str, list[str]]] = [(estimates, "", ["left_out", "right"])]
    tables.append((differences, "+", list(assumptions)))
    for ones, sign, names in tables:
        told = [one for one in ones if one.if_cut is not None]
        columns = [(one, name) for one in told for name in names]
        ks = sorted({k for one in told for k in one.pass_at_k})
        rows = [(f"pass@{k}", [_cell_if_cut(one.if_cut, name, k, sign) for one, name in columns]) for k in ks]
        heads = [f"{one.name}{f' minus {one.baseline}' if sign else ''}: {assumptions[name]}" for one, name in columns]
        parts.append(_grid("<td></td>", heads, rows) if told else "")
    return f"<h3>If the truncated answers had been left out, or right</h3>{CUT_NOTE}{''.join(parts)}"


def _rows(
    columns: Sequence[Estimate] | Sequence[Difference], ks: Sequence[int]
) -> list[tuple[str, list[Statistic | None]]]:
    """Accuracy and pass@k: (label, a value for each column)."""
    rows: list[tuple[str, list[Statistic | None]]] = [("accuracy", [one.accuracy for one in columns])]
    return rows + [(f"pass@{k}", [one.pass_at_k.get(k) for one in columns]) for k in ks]


def _grid(corner: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], caption: str = "") -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{label}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for label, cells in rows
    )
    return f"<table>{caption}<thead><tr>{corner}{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(rows: Sequence[tuple[str, Sequence[Statistic | None]]], sign: str = "") -> list[tuple[str, list[str]]]:
    return [(label, ["" if value is None else _cell(value, sign) for value in values]) for label, values in rows]


def _cell(value: Statistic, sign: str = "") -> str:
    middle, low, high = (format(100 * part, f"{sign}.1f") for part in (value.value, value.low, value.high))
    return f'{middle} <span class="interval">{low} … {high}</span>'


def _cell_if_cut(if_cut: IfCut, assumption: str, k: int, sign: str) -> str:
    """Also says on how many questions the value stands, where some have too few answers that were not cut."""
    value, of = getattr(if_cut, assumption).get(k), if_cut.right[k].questions if k in if_cut.right else 0
    if value is None:
        return '<span class="interval">no question has so many</span>' if of else ""
    on = f' <span class="interval">on {value.questions:,} of {of:,}</span>' if value.questions < of else ""
    return _cell(value, sign) + on


def command() -> None:
    parser = argparse.ArgumentParser(prog="passk.report", description="Curves and an HTML report of stored samples.")
    parser.add_argument("--file_path", nargs="+", type=Path, required=True, help="JSON lines, one sample each")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--title", default="pass@k")
    parser.add_argument("--majority", action="store_true", help="also maj@k, the majority vote")
    parser.add_argument("--allow-incomplete", action="store_true", help="show what is sound of a doubtful file")
    arguments = parser.parse_args()
    try:
        check_folder(arguments.output_dir)
        tallies = read(arguments.file_path, arguments.allow_incomplete)
        estimates, differences = evaluate(tallies, None, arguments.majority)
        write_report(tallies, estimates, differences, arguments.output_dir, arguments.title)
    except DataError as error:
        print(f"passk.report: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except (OSError, ValueError) as error:
        sys.exit(f"passk.report: {error}")
    print(arguments.output_dir / "report.html")


if __name__ == "__main__":
    command()
