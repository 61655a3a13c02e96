"""One run of TRL's GRPOTrainer for ``bench_step.py``, in TRL's own environment: the same work, timed phase by phase.

.venv-trl/bin/python tests/bench/trl_step.py CELL.json      (bench_step.py writes it: model, data, sizes, where to log)
"""

import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

cell: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
timing: dict[str, float] = {}


def reward(completions: list[Any], **kwargs: Any) -> list[float]:
    """As tests/bench/rewards.py: about half of the answers are correct."""
    started = time.perf_counter()
    scores = [float(zlib.crc32(completion.encode()) % 1000 < 500) for completion in completions]
    timing["reward"] = timing.get("reward", 0.0) + time.perf_counter() - started
    return scores


class Trainer(GRPOTrainer):
    """Times what happens before the forward pass of the update."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = super()._generate(*args, **kwargs)
        timing["gen"] = timing.get("gen", 0.0) + time.perf_counter() - started
        return result


class Log(TrainerCallback):
    """One line a step, with verl's names."""

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        timing.clear()
        self.started = time.perf_counter()

    def on_step_end(self, arguments: Any, state: Any, *args: Any, **kwargs: Any) -> None:
        step = time.perf_counter() - self.started
        phases = {
            "gen": timing["gen"],
            "reward": timing["reward"],
            "update_actor": step - timing["gen"] - timing["reward"],
            "step": step,
        }
        data = {f"timing_s/{name}": seconds for name, seconds in phases.items()}
        with Path(cell["log"]).open("a") as file:
            file.write(json.dumps({"step": state.global_step, "data": data}) + "\n")


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(cell["model"])
    tokenizer.padding_side = "left"
    records = pd.read_parquet(cell["data"]).to_dict("records")
    template = cell["template"]
    prompts = [
        tokenizer.apply_chat_template(
            list(record["prompt"]), chat_template=template, tokenize=False, add_generation_prompt=True
        )
        for record in records
    ]
    samples = cell["prompts"] * cell["n"]
    config = GRPOConfig(
        output_dir=cell["folder"],
        per_device_train_batch_size=samples,
        generation_batch_size=samples,
        num_generations=cell["n"],
        max_completion_length=cell["response"],
        generation_kwargs={"min_new_tokens": cell["response"]},  # as verl's ignore_eos
        max_steps=cell["steps"],
        temperature=1.0,
        beta=0.0,
        epsilon=0.2,
        loss_type="dapo",  # token-mean, as verl's
        scale_rewards="group",
        learning_rate=cell["learning_rate"],
        lr_scheduler_type="constant",
        weight_decay=0.01,
        max_grad_norm=1.0,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=cell["model"],
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=tokenizer,
        callbacks=[Log()],
    )
    trainer.train()


if __name__ == "__main__":
    main()
