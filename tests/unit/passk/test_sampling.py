"""How GPUs are shared out and work is dealt: one engine, replicas in processes, replicas that come and go."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passk.collect import Collector, Piece, Task, collect, requests_of
from passk.engine import Answers, EngineSettings, Generation, Request
from passk.grade import installed_grader
from passk.presets import Sampling
from passk.questions import load_questions
from passk.replicas import Processes, gpus_of
from passk.sampling import SPARE, Died, Ready, ReplicaDied, Report, deal, sample, size_in_node, split
from passk.storage import SampleStore, read_lines
from tests.unit.passk.fake_engine import FakeEngine, dying_engine, fake_engine

GIB = 2**30
SAMPLING = Sampling("countdown", 16, num_generation=2, temperature=1.0)
SETTINGS = EngineSettings("model", "auto", SAMPLING, seed=5)
REQUESTS = [Request((0, number), f"prompt {number} ", 2) for number in range(25)]


@pytest.mark.parametrize(
    "gpus, weights, memory, heads, expected",
    [
        (1, 15 * GIB, 80 * GIB, 28, (1, 1)),
        (8, 15 * GIB, 80 * GIB, 28, (1, 8)),  # a 7B model on eight large cards: eight replicas
        (8, 15 * GIB, 16 * GIB, 28, (2, 4)),
        (8, 140 * GIB, 80 * GIB, 64, (4, 2)),
        (6, 60 * GIB, 48 * GIB, 32, None),  # 3 does not divide the heads, 2 is too few
        (2, 140 * GIB, 80 * GIB, 64, None),
    ],
)
def test_gpus_are_split(gpus, weights, memory, heads, expected):
    if expected is None:
        with pytest.raises(ValueError, match="do not fit"):
            split(gpus, weights, memory, heads)
    else:
        assert split(gpus, weights, memory, heads) == expected


def test_a_replica_lies_inside_one_node():
    assert size_in_node(8, 15 * GIB, 80 * GIB, 28) == 1
    assert size_in_node(8, 140 * GIB, 80 * GIB, 64) == 4  # 3 does not divide the heads
    assert size_in_node(6, 140 * GIB, 80 * GIB, 64) == 4  # and two GPUs of such a node stay idle
    with pytest.raises(ValueError, match="do not fit on GPUs of 80 GiB, 2 on a node"):
        size_in_node(2, 140 * GIB, 80 * GIB, 64)


def test_replicas_get_their_own_gpus(monkeypatch):
    pairs = EngineSettings("m", "auto", SETTINGS.sampling, 0, tensor_parallel=2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpus_of(rank, pairs) for rank in range(2)] == ["0,1", "2,3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert [gpus_of(rank, pairs) for rank in range(2)] == ["4,5", "6,7"]


def test_one_engine_is_kept_full():
    engine = FakeEngine(SETTINGS)
    levels = []
    found = []
    for answers in sample(engine, iter(REQUESTS), in_flight=6):
        levels.append(engine.unfinished)
        found.append(answers.key)
    assert sorted(found) == [request.key for request in REQUESTS]
    assert max(levels) == 4 and levels[:10].count(4) == 10  # two finished, two are added before the next step


def test_replicas_answer_everything_once():
    found = list(deal(Processes(fake_engine, SETTINGS, 2), REQUESTS, 7))
    assert sorted(answers.key for answers in found) == [request.key for request in REQUESTS]
    assert all(one.generations[1].text.startswith(f"prompt {one.key[1]} 1") for one in found)
    assert len(list(deal(Processes(fake_engine, SETTINGS, 2), REQUESTS[:1], 7))) == 1


def test_a_replica_that_dies_stops_the_run():
    with pytest.raises(ReplicaDied, match="exit code 3"):
        list(deal(Processes(dying_engine, SETTINGS, 2), REQUESTS, 7))


class Simulated:
    """A fleet without processes: replicas join, work and die as a random generator says."""

    def __init__(self, seed: int, most: int, chance_of_death: float) -> None:
        self.draw = random.Random(seed)
        self.most, self.chance_of_death = most, chance_of_death
        self.given: dict[str, list[Request]] = {}
        self.left: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.started, self.deaths, self.closed = 0, 0, False
        self.highest = 0

    def send(self, replica, requests):
        self.given[replica] += requests
        self.left[replica] += sum(request.samples for request in requests)
        self.highest = max(self.highest, self.left[replica])

    def wait(self):
        if len(self.given) < self.most and (not self.given or self.draw.random() < 0.2):
            name = str(self.started)
            self.started += 1
            self.given[name], self.left[name], self.done[name] = [], 0, 0
            return [Ready(name, 8, 80)]
        name = self.draw.choice(sorted(self.given))
        if self.draw.random() < self.chance_of_death:
            self.deaths += 1
            del self.given[name]
            return [Died(name)]
        finished = [self.given[name].pop(0)] if self.given[name] else []
        for request in finished:
            self.left[name] -= request.samples
            self.done[name] += request.samples
        generations = (Generation("a", 10, "stop"),) * 2
        return [Report(name, self.done[name], [Answers(request.key, generations) for request in finished])]

    def close(self):
        self.closed = True


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.3]))
def test_replicas_may_come_and_go(seed, most, chance_of_death):
    fleet = Simulated(seed, most, chance_of_death)
    found = [answers.key for answers in deal(fleet, REQUESTS, 10)]
    assert sorted(found) == [request.key for request in REQUESTS], "everything once, whoever died"
    assert fleet.closed
    assert fleet.highest < 8 * (1 + SPARE) + 2, "nobody is given more than it has room for"


def test_work_goes_to_whoever_has_least_left():
    """Two replicas, one of which does nothing: it keeps what it was given, the other does all the rest."""

    class OneSleeps(Simulated):
        def wait(self):
            if not self.given:
                for name in ("awake", "asleep"):
                    self.given[name], self.left[name], self.done[name] = [], 0, 0
                return [Ready("awake", 8, 80), Ready("asleep", 8, 80)]
            if not self.given["awake"]:
                raise ReplicaDied("nothing is left but what the other has")
            request = self.given["awake"].pop(0)
            self.done["awake"] += request.samples
            return [Report("awake", self.done["awake"], [Answers(request.key, (Generation("a", 10, "stop"),) * 2)])]

    fleet = OneSleeps(0, 2, 0.0)
    found = []
    with pytest.raises(ReplicaDied):
        found.extend(answers.key for answers in deal(fleet, REQUESTS, 10))
    assert len(fleet.given["asleep"]) == 5  # 10 sequences: 8 at once and a quarter more


def test_a_small_cache_is_given_less():
    fleet = Simulated(0, 1, 0.0)
    assert len(list(deal(fleet, REQUESTS, 40))) == len(REQUESTS)
    assert fleet.highest <= 12  # until an answer is there 80 tokens of cache are 2 answers, then 8


def test_pieces_become_whole_questions(tmp_path):
    (tmp_path / "q.jsonl").write_text(
        "".join(
            f'{{"question": "1,{q}->{q + 1}", "answer": "{q + 1}", "data_source": "rlvr/countdown"}}\n'
            for q in range(3)
        )
    )
    sampling = Sampling("countdown", 16, num_generation=7, temperature=1.0)
    questions = load_questions(str(tmp_path / "q.jsonl"), "test", 1)
    requests = list(requests_of([(0, question) for question in questions], sampling, 3))
    assert [request.key for request in requests[:3]] == [Piece(0, 0, 0), Piece(0, 0, 3), Piece(0, 0, 6)]
    assert [request.samples for request in requests[:3]] == [3, 3, 1]
    (whole,) = {request.samples for request in requests_of([(0, question) for question in questions], sampling)}
    assert whole == 7

    random.Random(0).shuffle(requests)
    task = Task("q", tmp_path / "out.jsonl", questions)
    store = SampleStore(task.path, 7)
    answers = [
        Answers(one.key, tuple(Generation(f"{one.key.first + g}", 1, "stop") for g in range(one.samples)))
        for one in requests
    ]
    collect(iter(answers[:-1]), Collector([task], [store], sampling, installed_grader()), 3)
    assert len(store.question_ids) == 2, "a question is stored when all of it is there"
    store.close()
    store = SampleStore(task.path, 7)
    missing = [one for one in answers if one.key.question_id not in store.question_ids]
    collect(iter(missing), Collector([task], [store], sampling, installed_grader()), 1)
    store.close()
    found = [(one["question_id"], one["generation_id"], one["response"]) for one in read_lines(task.path)]
    assert sorted(found) == [(q, g, str(g)) for q in range(3) for g in range(7)]
