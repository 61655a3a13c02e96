"""Make the tiny model and its data: ``python -m rlvr.tiny [--output DIR]``; little more than a minute on two cores.

Writes ``model/`` (a Hugging Face folder), ``train.parquet``, ``test.parquet`` (held out) and ``tune.parquet`` (held out too, for
choosing settings) in the layout of the real data sets (``prompt``, ``data_source``, ``reward_model``, ``extra_info``). They and the
pre-training questions are disjoint. The same bytes come out
every time on the same machine. An output that exists is left alone.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from rlvr.outputs import check_folder
from rlvr.records import DataError
from rlvr.tiny.task import Question, make_split

DATA_SOURCE = "rlvr/countdown"
N_TRAIN, N_TEST = 256, 512  # thirty steps of 128 questions are fifteen epochs, as in the paper


FILES = ("model/config.json", "train.parquet", "test.parquet", "tune.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("data/tiny"))
    parser.add_argument("--steps", type=int, default=None, help="pre-training steps; fewer make a weaker base model")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.steps is not None and args.steps < 1:
        parser.error(f"--steps {args.steps}: give 1 or more")
    try:
        check_folder(args.output)
    except DataError as error:
        parser.error(f"--output {error}")
    if (args.output / "model").is_dir():
        missing = [name for name in FILES if not (args.output / name).is_file()]
        if missing:
            parser.error(f"{args.output} is there without {', '.join(missing)}; delete it to make it anew")
        print(f"{args.output} is there already; delete it to make it anew")
        return

    from rlvr.tiny.pretrain import Recipe, pretrain  # torch and transformers take seconds to import

    split = make_split(N_TRAIN, N_TEST, seed=args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    frame(split.train, "train").to_parquet(args.output / "train.parquet")
    frame(split.test, "test").to_parquet(args.output / "test.parquet")
    frame(split.tune, "tune").to_parquet(args.output / "tune.parquet")

    recipe = Recipe() if args.steps is None else Recipe(steps=args.steps)
    model, tokenizer = pretrain(split.pretrain, recipe, seed=args.seed)
    # The folder appears whole or not at all, so that an interrupted run is not taken for a finished one.
    unfinished = args.output / "model.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    (unfinished / "recipe.json").write_text(json.dumps({"seed": args.seed, **asdict(recipe)}, indent=2) + "\n")
    unfinished.rename(args.output / "model")
    print(f"{args.output}: model, {len(split.train)} train and {len(split.test)} test questions")


def frame(questions: list[Question], split: str) -> pd.DataFrame:
    """Rows in the layout of the real data sets."""
    return pd.DataFrame(
        {
            "data_source": DATA_SOURCE,
            "prompt": [{"role": "user", "content": question.text}],
            "ability": "math",
            "reward_model": {
                "ground_truth": {"question": question.text, "target": str(question.target)},
                "style": "rule",
            },
            "extra_info": {"index": index, "split": split},
        }
        for index, question in enumerate(questions)
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nstopped: the tiny model is made anew the next time", file=sys.stderr)
        sys.exit(130)
