"""Choose each method's learning rate by a stated number, on the tuning split, before anything is asked of the held-out questions.

The number is pass@1 after the last step, seed 1; of the rates within ``tuning.within`` of the highest the smallest is taken.
Written beside the specification (``studies/tiny.yaml`` → ``studies/tiny.learning_rates.json``) with the number of every rate, to
be committed. The run of the rate that is chosen is a run of the study. Deliberately left out: rates that the file does not list.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passk.seeds import table
from passk.storage import write_atomically
from passk.tally import Tally, tally
from rlvr.study.commands import RunFailed
from rlvr.study.runs import Asked, Chosen, Run, make_run, provenance, rate_text
from rlvr.study.spec import Spec

RULE = "pass@1 after the last step on the tuning questions, seed 1; the smallest rate within so much of the highest"


@dataclass(frozen=True)
class Candidate:
    """One learning rate of one method."""

    rates: str  # list of tuning.learning_rates
    method: str
    rate: float
    run: Run


def candidates(spec: Spec, arms: Sequence[str], chosen: Chosen, overrides: Sequence[str]) -> list[Candidate]:
    """The runs of every rate of the methods that have none yet; each method once for each list of rates."""
    found: dict[tuple[str, str, float], Candidate] = {}
    for name in arms:
        arm = spec.arms[name]
        if arm.tuned is None or spec.tuning is None:
            continue
        for listed in arm.methods:
            method = spec.methods[listed].learning_rate_of or listed
            if spec.methods[listed].learning_rate is not None or method in chosen.get(arm.tuned, {}):
                continue
            for rate in spec.tuning.learning_rates[arm.tuned]:
                run = make_run(spec, arm, method, rate, 1, overrides)
                found.setdefault((arm.tuned, method, rate), Candidate(arm.tuned, method, rate, run))
    return list(found.values())


def choose(numbers: Mapping[float, float], within: float) -> float:
    """The smallest rate whose number is within ``within`` of the highest.

    Args:
        numbers: learning rate -> pass@1.
    """
    highest = max(numbers.values())
    return min(rate for rate, number in numbers.items() if number >= highest - within)


def pass_at_1(samples: Tally) -> float:
    """Mean over questions of the share of right answers."""
    return float(table([samples], list(samples.questions), [1])[0, :, 0].mean())


def read_chosen(file: Path) -> Chosen:
    """What was chosen; nothing where there is no file.

    Raises:
        RunFailed: if the file is damaged.
    """
    if not file.is_file():
        return {}
    try:
        lists = json.loads(file.read_text(encoding="utf-8"))["chosen"]
        return {rates: {method: float(one["rate"]) for method, one in rows.items()} for rates, rows in lists.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailed(f"{file}: not what --tune writes ({error!r}); remove it and run --tune again") from None


def write_chosen(file: Path, spec: Spec, tried: Sequence[Candidate], asked: Asked) -> list[str]:
    """Choose, add to the file, and return one line for each method.

    Raises:
        DataError: if an answers' file cannot be read.
    """
    assert spec.tuning is not None
    numbers: dict[tuple[str, str], dict[float, float]] = {}
    for one in tried:
        samples = tally(asked.files(one.run.name, one.run.steps)["tuning"])
        numbers.setdefault((one.rates, one.method), {})[one.rate] = pass_at_1(samples)
    record = json.loads(file.read_text()) if file.is_file() else {"chosen": {}}
    record["rule"] = f"{RULE}; within {spec.tuning.within:g}"
    lines = []
    for (rates, method), by_rate in numbers.items():
        rate = choose(by_rate, spec.tuning.within)
        as_text = {rate_text(tried_rate): round(number, 5) for tried_rate, number in by_rate.items()}
        row = {"rate": rate, "pass@1": as_text, "made": provenance()}
        record["chosen"].setdefault(rates, {})[method] = row
        shown = ", ".join(f"{tried_rate}: {100 * number:.1f}" for tried_rate, number in as_text.items())
        lines.append(f"{rates}, {method}: {rate_text(rate)} (pass@1 in %: {shown})")
    write_atomically(file, [json.dumps(record, indent=2).encode(), b"\n"])
    return lines
