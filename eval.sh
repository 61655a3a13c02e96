#!/usr/bin/env bash
# Sample, grade and store; run it again after an interruption and it goes on. Then:
#   python calculate_metrics --file_path "$OUTPUT_DIR"/*.jsonl
#   python -m passk.report --file_path "$OUTPUT_DIR"/*.jsonl --output_dir "$OUTPUT_DIR/report"
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen2.5-Math-7B}   # hub id, Hugging Face folder, or a verl checkpoint: runs/NAME/global_step_N
OUTPUT_DIR=${OUTPUT_DIR:-runs/eval}
DATASETS=TianHongZXY/AIME2025,TianHongZXY/amc23,TianHongZXY/MATH   # hub ids, .parquet or .jsonl files
PRESET=qwen2.5-math                              # or llama, qwen3: the template and the paper's sampling settings
NUM_GPUS=                                        # by default 1 on one machine; with RAY_ADDRESS set, all of the cluster
# What the preset says may be changed here or on the command line, e.g. bash eval.sh --num_generation=64 --limit=10:
#   qwen2.5-math, llama   --num_generation=256 --temperature=0.6 --top_p=0.95 --top_k=-1 --max_tokens=4096
#   qwen3                 --num_generation=64  --temperature=0.7 --top_p=0.8  --top_k=20 --max_tokens=32768

source "$(dirname "$0")/scripts/activate.sh"
exec python -m passk.generate \
  --model_name="$MODEL_PATH" --datasets="$DATASETS" --split=test --output_dir="$OUTPUT_DIR" \
  --preset="$PRESET" ${NUM_GPUS:+--num_gpus="$NUM_GPUS"} --batch_size=1000 --seed=0 "$@"
