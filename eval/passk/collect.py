"""Grade answers beside the engine and store them, a question when all of its answers are there.

Several replicas may each have a piece of a question: some of its generation ids. Deliberately left out: storing a part of a
question. The answers that a killed run had finished would be kept and the unfinished ones, which are longer, drawn again: each
kill would shorten the answers (``tests/bench/bench_evaluation.py long`` shows by how much).
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from passk.engine import Answers, Request
from passk.grade import Grader, fields_of
from passk.presets import Sampling
from passk.questions import Question
from passk.storage import SampleStore
from rlvr.prompts import render
from rlvr.verify.gold import gold_text

GRADING_THREADS = 4  # a question whose verdicts take long does not hold up the next ones


@dataclass(frozen=True)
class Task:
    """One data set to evaluate: its questions and where their samples go."""

    dataset: str
    path: Path
    questions: Sequence[Question]


class Piece(NamedTuple):
    """The key of a request: generation ids of a question from ``first`` on."""

    task: int
    question_id: int | str
    first: int


class Graded(NamedTuple):
    """What became of a piece: how many answers are right, and whether its question is stored now."""

    right: int
    stored: bool


def requests_of(
    todo: Iterable[tuple[int, Question]], sampling: Sampling, piece: int | None = None
) -> Iterator[Request]:
    """What is asked of the engines: each question as a whole, or in pieces of up to so many answers."""
    n = sampling.num_generation
    for index, question in todo:
        prompt = render(sampling.prompt_template_type, question.text)
        for first in range(0, n, piece or n):
            yield Request(Piece(index, question.question_id, first), prompt, min(piece or n, n - first))


class Collector:
    """Pieces in, stored questions out; thread-safe."""

    def __init__(
        self, tasks: Sequence[Task], stores: Sequence[SampleStore], sampling: Sampling, grader: Grader
    ) -> None:
        self._questions: list[dict[int | str, Question]]
        self._questions = [{question.question_id: question for question in task.questions} for task in tasks]
        self._stores, self._sampling, self._grader = stores, sampling, grader
        self._lock = threading.Lock()
        self._samples: dict[tuple[int, int | str], list[dict[str, Any]]] = {}

    def take(self, answers: Answers) -> Graded:
        """Grade a piece; store its question if it was the last one."""
        piece: Piece = answers.key
        question = self._questions[piece.task][piece.question_id]
        graded = self._grade(question, piece.first, answers)
        name = (piece.task, piece.question_id)
        with self._lock:
            samples = self._samples.setdefault(name, [])
            samples += graded
            whole = len(samples) == self._sampling.num_generation
            if whole:
                del self._samples[name]
        if whole:
            self._stores[piece.task].append(sorted(samples, key=lambda sample: sample["generation_id"]))
        return Graded(sum(sample["label"] for sample in graded), whole)

    def _grade(self, question: Question, first: int, answers: Answers) -> list[dict[str, Any]]:
        texts = [one.text for one in answers.generations]
        verdicts = self._grader.grade(question.data_source, question.truth, texts)
        common = {
            "prompt": render(self._sampling.prompt_template_type, question.text),
            "question": question.text,
            "question_id": question.question_id,
        } | ({} if question.entry is None else {"entry": question.entry})
        gold = gold_text(question.truth)
        return [
            common
            | {"generation_id": number, "response": one.text, "answer": question.answer, "gold_answer": gold}
            | fields_of(verdict, one.finish_reason)
            | {"data_source": question.data_source, "tokens": one.tokens, "finish_reason": one.finish_reason}
            | {"grader": self._grader.stamp}
            for number, (one, verdict) in enumerate(zip(answers.generations, verdicts, strict=True), start=first)
        ]


def collect(answers: Iterator[Answers], collector: Collector, questions: int) -> None:
    """Grade and store what the engines answer; what goes wrong there stops the run at the next answer."""
    with ThreadPoolExecutor(GRADING_THREADS, thread_name_prefix="grade") as threads, Progress(questions) as progress:
        pending: dict[Future[Graded], Answers] = {}
        for one in answers:
            pending[threads.submit(collector.take, one)] = one
            _note(pending, progress)
        while pending:
            wait(pending, return_when=FIRST_COMPLETED)
            _note(pending, progress)


def _note(pending: dict[Future[Graded], Answers], progress: "Progress") -> None:
    for future in [future for future in pending if future.done()]:
        progress.graded(pending.pop(future), future.result())


class Progress:
    """The bar: questions stored, tokens a second, time left, pass@1 so far."""

    def __init__(self, questions: int) -> None:
        self._bar = tqdm(total=questions, desc="evaluating", unit="question")
        self._started = time.monotonic()
        self._tokens = self._right = self._samples = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def graded(self, answers: Answers, graded: Graded) -> None:
        self._tokens += sum(one.tokens for one in answers.generations)
        self._samples += len(answers.generations)
        self._right += graded.right
        speed = self._tokens / (time.monotonic() - self._started)
        self._bar.set_postfix_str(f"{speed:.0f} tokens/s, pass@1 {self._right / self._samples:.3f}", refresh=False)
        self._bar.update(int(graded.stored))
