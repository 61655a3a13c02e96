"""Verifier of the tasks of reasoning-gym: the task's own ``score_answer`` on the extracted answer, correct at 1.0 only.

https://github.com/open-thought/reasoning-gym: procedural tasks, each with its own scoring (``data_source`` is
``reasoning_gym/NAME``). What a scorer needs beside the answer lies in the data file as plain JSON: ``ground_truth`` is
``{"question": …, "target": the gold answer, "entry": '{"config": {…}, "metadata": {…}}'}``. Scorers are other people's code on a
model's text, so they run in the killable workers alone (:mod:`rlvr.verify.scorer`), where evaluating, importing and opening
files are refused. Deliberately left out: partial credit, and the tasks of :data:`REFUSED`.
"""

import asyncio
import difflib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rlvr.verify.extract import extract
from rlvr.verify.policy import Policy
from rlvr.verify.pool import Pool
from rlvr.verify.verdict import Verdict

SOURCE = "reasoning_gym/"

EVALUATES = "its scoring evaluates text as Python"
NO_GOLD = "it has no gold answer"
TUPLES = "its scoring compares tuples, which plain JSON does not have"
# Tasks of reasoning-gym 0.1.25 that are not offered, and why. tests/unit/rlvr/verify/test_reasoning_gym.py finds them by trying.
REFUSED = {
    "arc_agi": TUPLES,
    "bitwise_arithmetic": EVALUATES,
    "boxnet": NO_GOLD,
    "codeio": "making its questions runs 3,000 programs that nobody has read",
    "composite": "it is a mixture of tasks: make a file of each",
    "countdown": f"{EVALUATES}; rlvr/countdown is like it",
    "game_of_life_halting": "its scoring takes every text for False",
    "graph_color": NO_GOLD,
    "intermediate_integration": EVALUATES,
    "number_sorting": f"{EVALUATES}, and accepts numbers that are off by 1",
    "polynomial_multiplication": EVALUATES,
    "propositional_logic": NO_GOLD,
    "puzzle24": EVALUATES,
    "rearc": TUPLES,
    "rubiks_cube": NO_GOLD,
    "rush_hour": NO_GOLD,
    "simple_integration": EVALUATES,
}

# The others, by name, so that a data source is known without importing the package.
TASKS = tuple(
    """
    ab acre advanced_geometry aiw arc_1d base_conversion basic_arithmetic bf binary_alternation binary_matrix
    caesar_cipher calendar_arithmetic chain_sum circuit_logic coin_flip color_cube_rotation
    complex_arithmetic count_bits count_primes course_schedule cryptarithm decimal_arithmetic decimal_chain_sum dice
    emoji_mystery family_relationships figlet_font fraction_simplification futoshiki game_of_life gcd group_anagrams
    gsm_symbolic isomorphic_strings jugs kakurasu knight_swap knights_knaves largest_island lcm leg_counting
    letter_counting letter_jumble list_functions mahjong_puzzle manipulate_matrix maze mini_sudoku modulo_grid
    n_queens needle_haystack number_filtering number_format number_sequence palindrome_generation
    palindrome_partitioning path_star polynomial_equations pool_matrix power_function prime_factorization products
    quantum_lock ransom_note rectangle_count rotate_matrix rotten_oranges self_reference sentence_reordering
    shortest_path simple_equations simple_geometry sokoban spell_backward spiral_matrix string_insertion
    string_manipulation string_splitting string_synthesis sudoku survo syllogism time_intervals tower_of_hanoi
    tsumego word_ladder word_sequence_reversal word_sorting zebra_puzzles
    """.split()  # noqa: SIM905
)

WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
STOP = re.compile(r"\w\.$")
ESCAPED = re.compile(r"\\([$%#&_{} ])")
# A distance to it is "not a number", which is not above any tolerance: min(1.0, nan) is 1.0.
NOT_FINITE = re.compile(r"(?<![a-z])s?nan(?![a-ik-z])|(?<![a-z])inf(?:inity)?(?![a-ik-z])", re.IGNORECASE)


def problem_with(name: str) -> str | None:
    """Why the task ``name`` cannot be graded, in one line, or None."""
    if name in REFUSED:
        return f"the task {name} is not offered: {REFUSED[name]}"
    if name not in TASKS:
        close = difflib.get_close_matches(name, TASKS, n=3)
        return f"there is no task {name!r}: " + (
            f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(TASKS)}"
        )
    if importlib.util.find_spec("reasoning_gym") is None:
        return "reasoning-gym is not installed: pip install reasoning-gym==0.1.25"
    return None


class TaskVerifier:
    """Grades answers to the tasks of reasoning-gym. Safe to share between threads and asyncio loops, and to use after a fork.

    Args:
        policy: what to extract; its tastes are for mathematics and have no effect.
        workers: processes that score, started when first needed.
        deadline: seconds of a worker's processor time for one score.
    """

    def __init__(self, policy: Policy | None = None, workers: int = 2, deadline: float = 2.0) -> None:
        self.policy = policy or Policy()
        self.pool = Pool(workers, deadline, work="reasoning_gym")

    def verify(self, name: str, response: str, ground_truth: Mapping[str, Any]) -> Verdict:
        """Grade a response to a question of the task ``name``; never raises for anything that a response can cause."""
        return self.compare(name, extract(response, self.policy), ground_truth)

    def compare(self, name: str, found: str | None, ground_truth: Mapping[str, Any]) -> Verdict:
        """Grade an answer that was extracted already; None where there was none."""
        gold = ground_truth.get("target")
        if not isinstance(gold, str) or not isinstance(ground_truth.get("entry"), str):
            return Verdict(False, found, f"error: no texts 'target' and 'entry' in {list(ground_truth)}", "score")
        answer = plain(found or "", gold)
        if not answer:
            return Verdict(False, extracted=found, error="no answer", layer="extraction")
        if answer != gold and NOT_FINITE.search(answer):
            return Verdict(False, answer, layer="score")
        request = {key: ground_truth.get(key) for key in ("question", "target", "entry")}
        reply = self.pool.ask({"task": name, "prediction": answer, **request})
        return Verdict(
            reply.correct, answer, reply.error, "score" if reply.error else reply.layer, reply.seconds or 0.0
        )

    async def averify(self, name: str, response: str, ground_truth: Mapping[str, Any]) -> Verdict:
        """:meth:`verify` for an asyncio loop, which it does not block."""
        return await asyncio.to_thread(self.verify, name, response, ground_truth)

    def verify_batch(self, name: str, pairs: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Verdict]:
        """Verdicts on (response, ground_truth) pairs, in order; all workers are used."""
        with ThreadPoolExecutor(self.pool.workers, thread_name_prefix="score") as threads:
            return list(threads.map(lambda pair: self.verify(name, *pair), pairs))

    def close(self) -> None:
        self.pool.close()


def plain(answer: str, gold: str) -> str:
    r"""The answer without what TeX and sentences have around it: ``$…$``, ``\text{…}``, ``\%``, a full stop.

    Scorers read plain text. What the gold has itself stays; where it is no equation, ``3 + 4 = 7`` says 7.
    """
    answer = answer.strip()
    if answer == gold.strip():
        return answer
    if len(answer) > 1 and answer[0] == answer[-1] == "$":
        answer = answer.strip("$").strip()
    if wrapped := WRAPPED.fullmatch(answer):
        answer = wrapped[1].strip()
    if "=" not in gold:
        answer = answer.rpartition("=")[2].strip()
    if STOP.search(answer) and not STOP.search(gold):
        answer = answer[:-1]
    return ESCAPED.sub(r"\1", answer)
