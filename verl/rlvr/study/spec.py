"""The specification of a study: ``studies/*.yaml``, typed and checked before anything starts.

    spec = load(Path("studies/tiny.yaml"))

Every field is documented at its class. A file with a wrong type, an unknown or repeated key, or a name that is nowhere defined is
refused with one line for each thing that is wrong. Deliberately left out: defaults for what decides a result.
"""

from typing import Annotated, Any, Literal

import msgspec

from passk.presets import Sampling, sampling_of

Settings = dict[str, Any]  # key=value of a launcher
Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class SpecError(ValueError):
    """What is wrong with a specification, one line each."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a specification: keys that it does not know are refused."""


class Method(Part, frozen=True):
    """What a launcher is told for one method."""

    config: Literal["psr_nsr", "grpo", "ppo"] = "psr_nsr"  # which launcher
    settings: Settings = {}
    learning_rate: Positive | None = None  # None: its arm's
    learning_rate_of: str | None = None  # the method whose chosen rate it takes


class Arm(Part, frozen=True):
    """Methods that are compared with each other, under the same settings."""

    methods: list[str]
    reference: str  # that the others are compared with at the same pass@1
    settings: Settings = {}
    learning_rate: Positive | None = None  # for all its methods
    tuned: str | None = None  # or: the list of tuning.learning_rates that theirs are chosen from


class Training(Part, frozen=True):
    """One run."""

    launcher: str  # like run_tiny_{config}.sh
    steps: int
    checkpoints: list[int]  # the steps after which its weights are kept; those after the last step always are
    settings: Settings = {}


class Evaluation(Part, frozen=True):
    """What the base and every checkpoint are asked; the first data set is the one of the claims."""

    datasets: dict[str, str]  # name -> hub id or file
    samples: Count  # answers to each question
    ks: list[int]  # of the paths; the last is the one of the pictures
    questions: Count | None = None  # the first so many of each data set; None: all
    checkpoints: list[int] | None = None  # of training.checkpoints, those that answer; None: all
    preset: str | None = None  # of passk.presets, or all of the next five
    prompt_template_type: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    split: str = "test"
    num_gpus: Count = 1
    checkpoint: str = "last"  # of the tables: last, or a key of metrics.jsonl, whose highest value is taken


class Tuning(Part, frozen=True):
    """How a learning rate is chosen: the smallest within ``within`` of the highest pass@1 after the last step, seed 1."""

    dataset: str
    questions: Count
    samples: Count
    within: NotNegative  # 0.01: one point
    learning_rates: dict[str, Annotated[list[Positive], msgspec.Meta(min_length=1)]]


class Quick(Part, frozen=True):
    """``--quick``: seed 1 of every method, at one learning rate; a look, which answers no claim."""

    learning_rate: Positive
    checkpoints: list[int]
    questions: Count
    samples: Count


class Claim(Part, frozen=True):
    """A claim and what counts for and against it: :mod:`rlvr.study.claims`."""

    text: str
    arm: str
    method: str
    minus: str  # a method of the same arm, "base", or METHOD@ARM of another arm
    figure: Literal["pass@k", "entropy"]
    where: Literal["matched", "last"]  # the mean at matched pass@1, or after the last step
    counts_as: Literal["above", "below", "kept"]
    k: int | None = None
    margin: float = 0.0  # of kept: points, or nats


class Measured(Part, frozen=True):
    """Times on a CPU, measured; of one run with the machine's cores shared by ``jobs``."""

    train_start_s: NotNegative
    step_s: Positive
    evaluation_start_s: NotNegative
    answers_per_s: Positive
    jobs: Count
    checkpoint_mb: NotNegative


class Assumed(Part, frozen=True):
    """What the GPU hours are computed from (:mod:`rlvr.study.estimate`); nothing of it is measured by this project."""

    gpus: Count  # of a run, and of an evaluation
    peak_tflops: Positive  # of a GPU in the precision that is computed in
    training_utilisation: Positive  # share of the peak
    generation_utilisation: Positive
    prompt_tokens: Positive
    answer_tokens: Positive
    questions: Count  # of all data sets of the evaluation together


class Spec(Part, frozen=True):
    """A study."""

    title: str
    output: str  # folder of its runs
    base_model: str  # hub id or folder
    training: Training
    evaluation: Evaluation
    methods: dict[str, Method]
    arms: dict[str, Arm]
    seeds: int
    device: Literal["cpu", "gpu"]
    prepare: list[str] = []  # shell commands that bring the model and the data; each does nothing when that is done
    tuning: Tuning | None = None
    quick: Quick | None = None
    claims: list[Claim] = []
    protocol: str | None = None  # the page that the claims and their rules were written down on
    published: dict[
        str, dict[str, dict[str, float | str]]
    ] = {}  # data set -> method or base -> pass@k -> %, or why there is none
    measured: Measured | None = None
    assumed: Assumed | None = None
    default_arms: list[str] = []  # that a command without --arms takes; empty: all

    def sampling(self) -> Sampling:
        """How answers are drawn.

        Raises:
            ValueError: if it is incomplete or out of range.
        """
        asked = self.evaluation
        names = ("prompt_template_type", "max_tokens", "temperature", "top_p", "top_k")
        flags = {name: getattr(asked, name) for name in names}
        return sampling_of(asked.preset, **flags, num_generation=asked.samples)
