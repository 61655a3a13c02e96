"""pass@k of stored samples, published as it should be: exact, with intervals, and refused where the samples are doubtful.

    python calculate_metrics --file_path FILE [FILE …] [--k 1,8,64] [--majority] [--json] [--allow-incomplete]

Beside pass@k it says what the answers are that are not right (:mod:`passk.kinds`), and what pass@k would be if those that were cut
at the length limit were left out, or right. Several files are compared with the first one, question by question. A file with
unequal sample counts, missing or duplicate generations, null labels or a truncated last line is refused with a list of what is
wrong; ``--allow-incomplete`` leaves the doubtful samples out and says on how many questions each figure stands. Deliberately left
out: choosing a winner.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from passk.estimate import Difference, Estimate, IfCut, Statistic, default_ks, difference, estimate
from passk.kinds import words
from passk.tally import Tally, tally
from rlvr.records import DataError

EXIT_CODE = 2


class Incomplete(ValueError):
    """The samples are not what a complete evaluation leaves; says what is wrong with them."""


def command() -> None:
    """Entry point of ``calculate_metrics``."""
    arguments = _arguments()
    try:
        tallies = read(arguments.file_path, arguments.allow_incomplete)
        estimates, differences = evaluate(tallies, arguments.k, arguments.majority)
    except DataError as error:
        print(f"calculate_metrics: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    except (OSError, ValueError) as error:
        sys.exit(f"calculate_metrics: {error}")
    if arguments.json:
        print(json.dumps(as_json(tallies, estimates, differences), indent=2))
    else:
        print("\n\n".join(tables(tallies, estimates, differences)))


def read(paths: Sequence[Path], allow_incomplete: bool) -> dict[str, Tally]:
    """The counts of every file by a short name.

    Raises:
        Incomplete: if there are problems and they are not allowed.
        DataError: if a file cannot be read, or has no known layout.
    """
    tallies = dict(zip(short_names(paths), map(tally, paths)))
    for counts in tallies.values():
        if counts.read_as:
            print(counts.read_as, file=sys.stderr)
    problems = [f"{counts.path}: {problem}" for counts in tallies.values() for problem in counts.problems]
    if problems and not allow_incomplete:
        listed = "\n  ".join(problems)
        raise Incomplete(
            f"these samples are not a complete evaluation:\n  {listed}\n"
            "Finish or repair it (the command that made it goes on where it stopped; passk.regrade gives every sample a label), or "
            "compute what is sound: --allow-incomplete"
        )
    return tallies


def evaluate(
    tallies: dict[str, Tally], ks: Sequence[int] | None, majority: bool
) -> tuple[list[Estimate], list[Difference]]:
    """The figures of every file, and of every file but the first its difference to the first; without ``ks``, at 1, 2, 4, …

    Raises:
        ValueError: if a file has too few samples for a k, or two files do not ask the same questions.
    """
    estimates = [estimate(name, counts, ks or default_ks(counts), majority) for name, counts in tallies.items()]
    (first, baseline), *others = tallies.items()
    shared = ks or default_ks(baseline)
    return estimates, [difference(name, counts, first, baseline, shared) for name, counts in others]


def short_names(paths: Sequence[Path]) -> list[str]:
    """File names without their ending, with as many folders in front as it takes to tell them apart.

    Raises:
        ValueError: if a file is given twice.
    """
    parts = [_without_suffix(path.resolve()).parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ValueError("the same file is given twice")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _without_suffix(path: Path) -> Path:
    return (path.with_suffix("") if path.suffix == ".gz" else path).with_suffix("")


def as_json(tallies: dict[str, Tally], estimates: Sequence[Estimate], differences: Sequence[Difference]) -> dict:
    """Everything that the tables show."""
    files = []
    for counts, result in zip(tallies.values(), estimates):
        record = asdict(result) | {"file": str(counts.path), "problems": counts.problems, "read_as": counts.read_as}
        record |= {"timeouts": counts.timeouts, "errors": counts.errors, "cut_at_max_tokens": counts.cut}
        record |= {"remarks_on_kinds": counts.told.remarks()}
        files.append(record)
    return {"files": files, "differences": [asdict(one) for one in differences]}


def tables(tallies: dict[str, Tally], estimates: Sequence[Estimate], differences: Sequence[Difference]) -> list[str]:
    """The results as text: one block a file, then one a comparison."""
    blocks = [_table(counts, result) for counts, result in zip(tallies.values(), estimates)]
    for one in differences:
        lines = [f"{one.name} minus {one.baseline}, paired by question, in points"]
        rows = [("accuracy", one.accuracy), *((f"pass@{k}", value) for k, value in one.pass_at_k.items())]
        rows += [(words(kind), value) for kind, value in one.kinds.items() if _is_any(value)]
        lines += [f"  {label:<22}{_interval(value, signed=True)}{_clear(value)}" for label, value in rows]
        lines += _difference_if_cut(one)
        blocks.append("\n".join(lines))
    return blocks


def _table(counts: Tally, result: Estimate) -> str:
    fewest, most = result.samples_per_question
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    lines = [f"{counts.path}", f"  {result.questions} questions, {each} samples each, {result.samples} in all"]
    if counts.problems:
        lines += ["  INCOMPLETE; each figure stands on the questions named beside it:"]
        lines += [f"    {problem}" for problem in counts.problems]
    rows = [
        ("accuracy", result.accuracy),
        ("solved at least once", result.solved_at_least_once),
        ("solved never", result.solved_never),
        ("solved always", result.solved_always),
        *((f"pass@{k}", value) for k, value in result.pass_at_k.items()),
        *((f"maj@{k}", value) for k, value in result.maj_at_k.items()),
    ]
    lines.append(f"  {'%':<22}{'':>7}  95 % interval")
    for label, value in rows:
        stands_on = f"   on {value.questions} of {len(counts.questions)} questions" if counts.problems else ""
        lines.append(f"  {label:<22}{_interval(value)}{stands_on}")
    if counts.timeouts or counts.errors or counts.cut:
        lines.append(
            f"  counted as graded: {counts.timeouts} timed out, {counts.errors} failed in the grader; "
            f"{counts.cut} were cut at --max_tokens"
        )
    return "\n".join(lines + _kinds(counts, result) + _if_cut(result))


def _kinds(counts: Tally, result: Estimate) -> list[str]:
    """Shares of the kinds, and what they do not tell apart."""
    found = {kind: value for kind, value in result.kinds.items() if _is_any(value)}
    if not found:
        return []
    lines = ["  of all samples, not right because"]
    lines += [f"  {words(kind):<22}{_interval(value)}" for kind, value in found.items()]
    return lines + [f"    {remark}" for remark in counts.told.remarks()]


def _if_cut(result: Estimate) -> list[str]:
    if result.if_cut is None or not _is_any(result.kinds["truncated"]):
        return []
    lines = [
        "  pass@k if the truncated answers were left out, or had been right: what is above is the lowest, right the highest"
    ]
    for k in result.pass_at_k:
        out = _left_out(result.if_cut, k)
        lines.append(f"  {f'pass@{k}':<22}left out {out}; right {_interval(result.if_cut.right[k])}")
    return lines


def _difference_if_cut(one: Difference) -> list[str]:
    if one.if_cut is None or one.if_cut.lowest == one.pass_at_k == one.if_cut.highest:
        return []
    lines = [
        "  if the truncated answers of both were left out, or right; between: its bounds, whichever of them had been right"
    ]
    return lines + [f"  {f'pass@{k}':<22}{_either(one.if_cut, k)}" for k in one.pass_at_k]


def _either(if_cut: IfCut, k: int) -> str:
    low, high = (100 * part[k].value for part in (if_cut.lowest, if_cut.highest))
    out, right = _left_out(if_cut, k, signed=True), _interval(if_cut.right[k], signed=True)
    return f"left out {out}; right {right}; between {low:+.2f} and {high:+.2f}"


def _left_out(if_cut: IfCut, k: int, signed: bool = False) -> str:
    """pass@k without the truncated answers, and on how many questions it stands where some have too few others."""
    found, of = if_cut.left_out.get(k), if_cut.right[k].questions
    if found is None:
        return "no question has so many"
    return _interval(found, signed) + (f" on {found.questions} of {of}" if found.questions < of else "")


def _is_any(value: Statistic) -> bool:
    """Whether a share, or a difference of two, is of anything."""
    return (value.value, value.low, value.high) != (0, 0, 0)


def _interval(value: Statistic, signed: bool = False) -> str:
    number = "{:+7.2f}" if signed else "{:7.2f}"
    middle, low, high = (number.format(100 * part) for part in (value.value, value.low, value.high))
    return f"{middle}  {low.strip()} … {high.strip()}"


def _clear(value: Statistic) -> str:
    return "   (the interval contains 0)" if value.low <= 0 <= value.high else ""


def parse_ks(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        ks = (0,)
    if ks[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers from 1 on, like 1,8,64")
    return ks


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="calculate_metrics", description="pass@k, maj@k and accuracy of stored samples, with 95 % intervals."
    )
    parser.add_argument("--file_path", nargs="+", type=Path, required=True, help="JSON lines, one sample each")
    parser.add_argument("--k", type=parse_ks, help="like 1,8,64; default: 1, 2, 4, … up to the samples of a question")
    parser.add_argument(
        "--majority", action="store_true", help="also maj@k, the majority vote: some milliseconds a question"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--allow-incomplete", action="store_true", help="compute what is sound of a doubtful file")
    return parser.parse_args()
