"""How right a model is on ten tasks that suit a small one: pass@1 and pass@16 with intervals, the table of docs/tasks.md.

    python scripts/task_table.py [--model data/smollm2-135m/model] [--questions 12] [--output runs/tasks]

Makes the questions where they are missing and samples 16 answers to each as in the paper's evaluation. The same command goes on
where a killed one stopped. Deliberately left out: choosing tasks or settings by the outcome; all ten are printed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from passk.metrics import evaluate
from passk.tally import tally
from rlvr.study.commands import RunFailed, check

TASKS = (
    "aiw",
    "basic_arithmetic:max_terms=2,max_digits=1",
    "chain_sum:max_terms=2,max_digits=2",
    "gcd:max_numbers=2,max_value=30",
    "lcm:max_numbers=2,max_value=12",
    "leg_counting:min_animals=1,max_animals=2,max_instances=3",
    "letter_counting:min_words=1,max_words=3",
    "needle_haystack:min_num_statements=3,max_num_statements=5",
    "products:max_digits=1",
    "syllogism",
)
SAMPLES = 16
KS = (1, SAMPLES)
TEMPLATE, MAX_TOKENS = "smollm2_brief", 32
TEMPERATURE, TOP_P = 0.6, 0.95  # as in the paper's evaluation
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    arguments = parse()
    os.chdir(ROOT)
    files = {task: questions(task, arguments.questions, arguments.output) for task in TASKS}
    command = [sys.executable, "-m", "passk.generate", f"--model_name={arguments.model}"]
    command += [f"--datasets={','.join(map(str, files.values()))}", f"--output_dir={arguments.output}"]
    command += [f"--prompt_template_type={TEMPLATE}", f"--max_tokens={MAX_TOKENS}", f"--num_generation={SAMPLES}"]
    command += [f"--temperature={TEMPERATURE}", f"--top_p={TOP_P}"]
    check(subprocess.run(command).returncode, None, "evaluation")
    print(f"\n{arguments.questions} questions × {SAMPLES} samples each, in %, template {TEMPLATE}\n")
    print(f"| task | {' | '.join(f'pass@{k}' for k in KS)} |\n|{' --- |' * (1 + len(KS))}")
    for task, file in files.items():
        samples = arguments.output / f"{file.parent.name}-{file.stem}.jsonl"
        (estimate,), _ = evaluate({task: tally(samples)}, ks=list(KS), majority=False)
        cells = [
            f"{100 * one.value:.0f} [{100 * one.low:.0f}, {100 * one.high:.0f}]" for one in estimate.pass_at_k.values()
        ]
        print(f"| `{task}` | {' | '.join(cells)} |")


def questions(task: str, number: int, output: Path) -> Path:
    """The file with a task's questions.

    Raises:
        RunFailed: if it cannot be made.
    """
    folder = output / "questions" / task.partition(":")[0]
    if not (folder / "train.parquet").is_file():
        command = ["scripts/prepare_data", "--task", task, "--size", str(number), "--output", str(folder)]
        check(subprocess.run(command, stdout=subprocess.DEVNULL).returncode, None, f"making the questions of {task}")
    return folder / "test.parquet"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="data/smollm2-135m/model")
    parser.add_argument("--questions", type=int, default=12, help="of each task")
    parser.add_argument("--output", type=Path, default=Path("runs/tasks"))
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except RunFailed as failure:
        sys.exit(str(failure))
