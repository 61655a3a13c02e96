"""The paper on a real language model: SmolLM2-135M-Instruct on sums of two numbers, from base to pass@k, on two CPU cores.

    python scripts/real.py [--steps 8] [--seeds 1] [--tune] [--output DIR] [key=value …]     (make real)

Brings the model and makes the questions where they are missing, trains PSR, NSR and W-REINFORCE by the launchers
``run_smollm2-135m_psr_nsr.sh``, one at a time, samples held-out questions with the paper's sampling, and writes
``OUTPUT/report``. ``--tune`` asks the questions of the tuning split instead; settings are chosen there. A run that is there is not
made again: kill it and start it anew at any time. Results: docs/results/smollm2.md. Deliberately left out: GRPO and PPO, which
the launchers have (a reference model and a critic of this size double the memory and the time).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from paper import Questions, Study, console, run
from tiny_runs import ROOT, TEMPERATURE, Base, RunFailed, check

TASK = "chain_sum:max_terms=2,max_digits=2"  # the base is right on a sixth at pass@1
TRAINED_ON = 512  # questions
SMOLLM2 = Base(Path("data/smollm2-135m/model"), Path("data/sums"), "smollm2_brief", 32)
QUESTIONS, SAMPLES = 64, 16
STEPS = 8

LAUNCHER = "run_smollm2-135m_psr_nsr.sh"
SETTINGS = [
    f"data.train_files={SMOLLM2.questions / 'train.parquet'}",
    f"data.prompt_template_type={SMOLLM2.template}",
    "data.train_batch_size=8",
    "data.max_prompt_length=96",
    f"data.max_response_length={SMOLLM2.max_tokens}",
    "actor_rollout_ref.rollout.n=8",
    # At 1 the base is right on 3 to 9 %, which leaves PSR five samples a step.
    f"actor_rollout_ref.rollout.temperature={TEMPERATURE}",
    "actor_rollout_ref.rollout.max_model_len=128",
    "actor_rollout_ref.rollout.val_kwargs.n=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
    "actor_rollout_ref.actor.optim.lr=2e-5",
]
METHODS = {
    "psr": (LAUNCHER, ["algorithm.advantage=positive", *SETTINGS]),
    "nsr": (LAUNCHER, ["algorithm.advantage=negative", *SETTINGS]),
    "w_reinforce": (
        LAUNCHER,
        ["algorithm.advantage=weighted", "algorithm.positive_advantage_weight=0.1", *SETTINGS],
    ),
}


def main() -> None:
    arguments = parse()
    os.chdir(ROOT)
    console.rule("SmolLM2-135M-Instruct and its questions", align="left")
    prepare()
    study = Study("Sums of two numbers, SmolLM2-135M-Instruct", SMOLLM2, METHODS, arguments.steps, validation=16)
    asked = Questions(SMOLLM2, SMOLLM2.tune if arguments.tune else SMOLLM2.test, QUESTIONS, SAMPLES)
    run(study, arguments.seeds, asked, arguments.output, arguments.output / "report", 1, arguments.overrides)


def prepare() -> None:
    """Bring the model and make the questions, unless they are there.

    Raises:
        RunFailed: if either cannot be had.
    """
    check(subprocess.run(["scripts/prepare_smollm2"]).returncode, None, "bringing SmolLM2-135M-Instruct")
    if not (SMOLLM2.questions / "train.parquet").is_file():
        command = ["scripts/prepare_data", "--task", TASK, "--size", str(TRAINED_ON), "--seed", "1"]
        ended = subprocess.run([*command, "--output", str(SMOLLM2.questions)])
        check(ended.returncode, None, "making the questions")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help="of training; 8 questions × 8 samples each")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tune", action="store_true", help="evaluate on the tuning split")
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every training run")
    arguments = parser.parse_args()
    for name in ("steps", "seeds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} {getattr(arguments, name)}: give 1 or more")
    return arguments


if __name__ == "__main__":
    try:
        main()
    except RunFailed as failure:
        sys.exit(str(failure))
