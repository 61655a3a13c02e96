"""The GPU's way through verl's training engine, on gloo with a tiny model: log-probs and updates are those of the plain way.

Plain: one process, one padded batch, torch's SDPA, everything where it is. The other ways are what configs/machine/gpu*.yaml
choose, in several micro-batches. It runs in the GPU set of packages too (`make test-gpu-set`), but for Ulysses: gloo has no
all-to-all in that set's torch.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from tests.conftest import ROOT

PACKED = [
    "actor_rollout_ref.model.use_remove_padding=true",
    "actor_rollout_ref.model.override_config.attn_implementation=packed_sdpa",
    "critic.model.use_remove_padding=true",
]
CHECKPOINTING = [
    "actor_rollout_ref.model.enable_gradient_checkpointing=true",
    "critic.model.enable_gradient_checkpointing=true",
]


def both(setting: str) -> list[str]:
    """For the actor's FSDP section and the critic's."""
    return [f"actor_rollout_ref.actor.fsdp_config.{setting}", f"critic.fsdp.{setting}"]


def adam(settings: str) -> list[str]:
    """With a large eps, so that a rounding error of a tiny gradient stays one."""
    parts = ("actor_rollout_ref.actor", "critic")
    return [f"{part}.optim.override_optimizer_config={{eps: 0.001{settings}}}" for part in parts]


FUSED = adam(", fused: true")
OFFLOAD = [*both("offload_policy=true"), *FUSED]
MOVED = both("param_offload=true") + both("optimizer_offload=true")
DEFERRED = both("use_no_sync_for_gradient_accumulation=true")
ULYSSES = both("ulysses_sequence_parallel_size=2")
FUSED_KERNELS = [
    "actor_rollout_ref.model.use_fused_kernels=true"
]  # as configs/base_model/qwen3-4b.yaml, whose embeddings are tied
LORA = ["actor_rollout_ref.model.lora_rank=4", "actor_rollout_ref.model.lora_alpha=8"]
# Name -> (settings, in how many processes)
CASES = {
    "plain": (adam(""), [1]),
    "critic-plain": (adam(""), [1]),
    "lora-plain": (LORA + adam(""), [1]),
    "gpu24": (LORA + PACKED + CHECKPOINTING + OFFLOAD + DEFERRED, [1, 2]),
    "gpu80": (PACKED + CHECKPOINTING + OFFLOAD + DEFERRED, [1, 2]),  # gpu48 too, but for the last
    "gpu141": (PACKED + CHECKPOINTING + MOVED + FUSED, [2]),
    "node8": (PACKED + CHECKPOINTING + FUSED, [2]),
    "ulysses": (PACKED + ULYSSES + FUSED, [2]),
    "critic-gpu80": (PACKED + CHECKPOINTING + OFFLOAD + DEFERRED, [1]),
    "critic-ulysses": (PACKED + ULYSSES + FUSED, [2]),
    "bf16-saved": (["actor_rollout_ref.actor.checkpoint.save_contents=[model,hf_model]"], [1, 2]),
    "tied-plain": (adam(""), [1]),
    # Last: for fused kernels verl replaces the forward of a model's class.
    "tied-gpu80": (PACKED + CHECKPOINTING + OFFLOAD + DEFERRED + FUSED_KERNELS, [1]),
    "tied-node8": (PACKED + CHECKPOINTING + FUSED + FUSED_KERNELS, [2]),
    "tied-ulysses": (PACKED + ULYSSES + FUSED + FUSED_KERNELS, [2]),
}


def gloo_has_all_to_all() -> bool:
    alone = torch.distributed.ProcessGroupGloo(torch.distributed.HashStore(), 0, 1)
    try:
        alone.alltoall([torch.zeros(1)], [torch.zeros(1)]).wait()
    except RuntimeError:
        return False
    return True


ONLY_ON_A_GPU = (
    {name for name in CASES if "ulysses" in name} if torch.version.cuda and not gloo_has_all_to_all() else set()
)
COMPARED = [
    (name, one) for name, (_, some) in CASES.items() for one in some if "plain" not in name and "saved" not in name
]
REFERENCE = {
    "gpu24": "lora-plain",
    "critic-gpu80": "critic-plain",
    "critic-ulysses": "critic-plain",
    "tied-gpu80": "tied-plain",
    "tied-node8": "tied-plain",
    "tied-ulysses": "tied-plain",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Path:
    """Every case, those in one process and those in two."""
    folder = tmp_path_factory.mktemp("engine")
    for name in ("model", "tied"):
        config = AutoConfig.for_model(
            "qwen2",
            architectures=["Qwen2ForCausalLM"],
            vocab_size=50,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=name == "tied",
        )
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
        published = json.loads((folder / name / "config.json").read_text())
        (folder / name / "config.json").write_text(json.dumps(published | {"dtype": "bfloat16"}))
    for processes in (1, 2):
        there = {name: case for name, case in CASES.items() if name not in ONLY_ON_A_GPU}
        cases = {name: settings for name, (settings, some) in there.items() if processes in some}
        (folder / "cases.json").write_text(json.dumps(cases))
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
        result = subprocess.run(
            [*command, "tests/integration/engine_lab.py", str(folder)],
            cwd=ROOT,
            env=os.environ | {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr[-6000:]
    return folder


@pytest.mark.parametrize(("name", "processes"), COMPARED)
def test_log_probs_and_updates_are_those_of_the_plain_way(found, name, processes):
    if name in ONLY_ON_A_GPU:
        pytest.skip("sequence parallelism needs a GPU here: gloo of this torch has no all-to-all")
    plain = REFERENCE.get(name, "plain")
    theirs = torch.load(found / f"{plain}.1.pt", weights_only=True)
    ours = torch.load(found / f"{name}.{processes}.pt", weights_only=True)
    for one, other in zip(ours["outputs"], theirs["outputs"], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert set(ours["weights"]) == set(theirs["weights"])
    for key, tensor in ours["weights"].items():
        torch.testing.assert_close(tensor, theirs["weights"][key], atol=1e-5, rtol=0, msg=key)


def test_updates_move_the_weights(found):
    """By far more than the tolerance, so that a comparison says something; LoRA moves the adapters alone."""
    at_start = AutoModelForCausalLM.from_pretrained(found / "model", dtype=torch.float32).state_dict()
    trained = torch.load(found / "plain.1.pt", weights_only=True)["weights"]
    matrices = [key for key in at_start if at_start[key].ndim == 2]  # a bias of the keys has no gradient
    assert min((trained[key] - at_start[key]).abs().max() for key in matrices) > 1e-4
    lora = torch.load(found / "lora-plain.1.pt", weights_only=True)["weights"]
    for key, tensor in lora.items():
        if "lora_B" in key:
            assert tensor.abs().max() > 1e-3
        elif "lora_A" not in key:
            assert tensor.equal(at_start[key.removeprefix("base_model.model.").replace(".base_layer", "")])


@pytest.mark.parametrize("processes", [1, 2])
def test_the_hf_folder_has_the_dtype_that_its_config_says(found, processes):
    """Published as bfloat16, trained in float32: the shards stay float32."""
    folder = found / f"bf16-saved.{processes}"
    assert json.loads((folder / "huggingface" / "config.json").read_text())["dtype"] == "bfloat16"
    with safe_open(folder / "huggingface" / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.bfloat16}  # noqa: SIM118
    loaded = AutoModelForCausalLM.from_pretrained(folder / "huggingface", dtype="auto")
    original = AutoModelForCausalLM.from_pretrained(found / "model", dtype=torch.float32)
    for (key, ours), theirs in zip(loaded.state_dict().items(), original.state_dict().values(), strict=True):
        assert ours.equal(theirs.bfloat16()), key
    shard = torch.load(folder / f"model_world_size_{processes}_rank_0.pt", weights_only=False)
    assert {tensor.dtype for tensor in shard.values()} == {torch.float32}
