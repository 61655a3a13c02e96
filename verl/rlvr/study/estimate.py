"""How long a study takes, in GPU hours, and how much disk: before it runs, from what stands in its specification. Pure functions.

On a CPU (``measured``): the seconds of a start, a step and an answer, measured by hand on one machine, with as many runs at a
time as ``jobs`` says.

On GPUs (``assumed``): from floating-point operations, 2 for each parameter and token that is read, and 8 for each that is learned
from (6, and 2 for gradient checkpointing). A step draws its answers, reads what is kept of them for old log-probs where there are
several updates, for the reference model and the critic where the method has them, and learns from it; the sum is divided by the
peak of the GPUs times an assumed utilisation. Attention over long answers, starts, weight syncs and checkpoints are left out, so
it is too low as far as they count. None of it was measured on a GPU.
"""

from dataclasses import dataclass

from rlvr.study.spec import Assumed, Measured

TERA = 1e12
FORWARD, LEARN = 2, 8  # operations for each parameter and token
BYTES_A_TOKEN = 4.5  # of text in a stored answer
BYTES_A_SAMPLE = 300  # of the other fields


@dataclass(frozen=True)
class Step:
    """What one training step does."""

    samples: int  # drawn
    kept: int  # learned from
    updates: int
    parameters: float
    critic_parameters: float = 0.0  # 0: none
    reference: bool = False


@dataclass(frozen=True)
class Cost:
    """Of one run, or of one evaluation."""

    seconds: float
    gpus: int = 0

    @property
    def gpu_hours(self) -> float:
        return self.seconds * self.gpus / 3600


def training_on_cpu(measured: Measured, steps: int) -> Cost:
    return Cost(measured.train_start_s + steps * measured.step_s)


def evaluation_on_cpu(measured: Measured, checkpoints: int, questions: int, samples: int) -> Cost:
    """One process answers for all checkpoints of a run."""
    return Cost(measured.evaluation_start_s + checkpoints * questions * samples / measured.answers_per_s)


def training_on_gpus(assumed: Assumed, step: Step, steps: int) -> Cost:
    drawn = step.samples * (assumed.prompt_tokens + assumed.answer_tokens)
    kept = step.kept * (assumed.prompt_tokens + assumed.answer_tokens)
    passes = LEARN + (FORWARD if step.updates > 1 else 0) + (FORWARD if step.reference else 0)
    learning = kept * (passes * step.parameters + (LEARN + FORWARD) * step.critic_parameters)
    speed = assumed.gpus * assumed.peak_tflops * TERA
    generation = FORWARD * step.parameters * drawn / (speed * assumed.generation_utilisation)
    return Cost(steps * (generation + learning / (speed * assumed.training_utilisation)), assumed.gpus)


def evaluation_on_gpus(assumed: Assumed, parameters: float, samples: int) -> Cost:
    """One checkpoint on all data sets."""
    tokens = assumed.questions * (samples * assumed.answer_tokens + assumed.prompt_tokens)
    speed = assumed.gpus * assumed.peak_tflops * TERA * assumed.generation_utilisation
    return Cost(FORWARD * parameters * tokens / speed, assumed.gpus)


def answers_bytes(assumed: Assumed, samples: int) -> float:
    """Of one checkpoint's answers on all data sets: each line has the question twice, in the prompt and by itself."""
    text = BYTES_A_TOKEN * (2 * assumed.prompt_tokens + assumed.answer_tokens)
    return assumed.questions * samples * (text + BYTES_A_SAMPLE)
