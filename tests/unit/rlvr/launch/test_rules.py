"""What verl would stumble over in the middle of a run; the rules hold for verl as it is installed."""

import json

import pytest
import torch
from omegaconf import OmegaConf
from torch.distributed.device_mesh import init_device_mesh
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM

from rlvr.launch import rules
from rlvr.launch.shapes import KNOWN, shape_of
from rlvr.launch.tokens import CPU_ACTIVATIONS, cpu_token_budget, token_budget

QWEN_7B = shape_of(KNOWN["Qwen/Qwen2.5-Math-7B"])
QWEN_4B = shape_of(KNOWN["Qwen/Qwen3-4B"])


def config(*overrides: str):
    made = OmegaConf.create(
        {
            "data": {"max_prompt_length": 1024, "max_response_length": 3072},
            "trainer": {"n_gpus_per_node": 8, "nnodes": 1},
            "actor_rollout_ref": {
                "model": {"lora_rank": 0, "use_fused_kernels": False},
                "actor": {
                    "strategy": "fsdp2",
                    "use_dynamic_bsz": True,
                    "ppo_max_token_len_per_gpu": 4096,
                    "ppo_mini_batch_size": 256,
                    "ulysses_sequence_parallel_size": 1,
                },
                "ref": {"log_prob_use_dynamic_bsz": True, "log_prob_max_token_len_per_gpu": 4096},
                "rollout": {
                    "n": 8,
                    "log_prob_use_dynamic_bsz": True,
                    "log_prob_max_token_len_per_gpu": 4096,
                    "max_model_len": 4096,
                    "tensor_model_parallel_size": 1,
                    "layered_summon": False,
                    "load_format": "dummy",
                },
            },
            "critic": {
                "use_dynamic_bsz": True,
                "ppo_infer_max_token_len_per_gpu": 4096,
                "fsdp": {"ulysses_sequence_parallel_size": 1},
                "model": {"lora_rank": 0},
            },
        }
    )
    made.merge_with_dotlist(list(overrides))
    return made


def test_what_is_right_passes():
    assert list(rules.check(config(), QWEN_7B, critic=True)) == []
    assert list(rules.check(config("actor_rollout_ref.model.use_fused_kernels=true"), QWEN_4B, critic=True)) == []
    assert list(rules.check(config("actor_rollout_ref.model.use_fused_kernels=true"), None, critic=True)) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4095", "set it to 4096 or more"),
        ("actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=1", "rollout.log_prob_max_token_len_per_gpu=1"),
        ("actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=1", "ref.log_prob_max_token_len_per_gpu=1"),
        ("critic.ppo_infer_max_token_len_per_gpu=4000", "critic.ppo_infer_max_token_len_per_gpu=4000"),
        ("actor_rollout_ref.rollout.max_model_len=4000", "rollout.max_model_len=4000"),
        ("actor_rollout_ref.rollout.max_model_len=5000", "4096 positions"),
        ("actor_rollout_ref.rollout.tensor_model_parallel_size=8", "28 attention heads"),
        ("actor_rollout_ref.actor.ulysses_sequence_parallel_size=8", "28 attention heads"),
        ("actor_rollout_ref.actor.ppo_mini_batch_size=257 actor_rollout_ref.rollout.n=7", "1799 samples"),
        ("critic.model.lora_rank=8", "verl cannot put adapters on a critic"),
        ("actor_rollout_ref.model.lora_rank=8 actor_rollout_ref.rollout.layered_summon=true", "safetensors"),
        ("actor_rollout_ref.model.use_fused_kernels=true", "two matrices"),
    ],
)
def test_one_line_names_the_problem(override, named):
    problems = list(rules.check(config(*override.split()), QWEN_7B, critic=True))
    assert len(problems) == 1, problems
    assert named in problems[0]


def test_sizes_that_do_not_divide_the_gpus():
    problems = list(rules.check(config("actor_rollout_ref.rollout.tensor_model_parallel_size=3"), None, critic=False))
    assert problems == ["actor_rollout_ref.rollout.tensor_model_parallel_size=3 does not divide the 8 GPUs"]


def test_a_budget_is_never_below_a_sequence():
    assert token_budget(16384, _root_=config()) == 16384
    assert token_budget(1024, _root_=config()) == 4096
    parallel = config("actor_rollout_ref.actor.ulysses_sequence_parallel_size=4", "data.max_response_length=3073")
    assert token_budget(1, _root_=parallel) == 1025


def test_a_micro_batch_on_the_cpu_fits_into_a_small_machine(tmp_path):
    """A model of 135 M parameters keeps 1.9 MB a token: 4,096 tokens took 8 GB."""
    small = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    large = {"num_hidden_layers": 30, "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9}
    budgets = []
    for fields in (small, large, {"num_hidden_layers": 3000} | {k: v for k, v in large.items() if "layers" not in k}):
        known = {"model_type": "llama", "vocab_size": 128, "max_position_embeddings": 4096, "num_key_value_heads": 3}
        (tmp_path / "config.json").write_text(json.dumps(known | fields))
        short = config(
            f"actor_rollout_ref.model.path={tmp_path}", "data.max_prompt_length=100", "data.max_response_length=60"
        )
        budgets.append(cpu_token_budget(4096, _root_=short))
    assert budgets[0] == 4096
    assert 1000 < budgets[1] <= CPU_ACTIVATIONS / 1.8e6
    assert budgets[2] == 160, "one whole sequence"
    unknown = config("actor_rollout_ref.model.path=some/where")
    assert cpu_token_budget(4096, _root_=unknown) == 4096


# ---- the two rules about verl's own limits, shown on verl: if one of these fails, verl has learned it and the rule can go


def tiny(model_class, **fields):
    shape = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return model_class.from_config(AutoConfig.for_model("qwen2", **shape, **heads, **fields), dtype=torch.float32)


@pytest.fixture
def one_process():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("tied", [True, False])
def test_fused_kernels_fail_on_a_separate_output_embedding(one_process, monkeypatch, tied):
    from verl.models.transformers.monkey_patch import apply_monkey_patch
    from verl.utils.fsdp_utils import MixedPrecisionPolicy, apply_fsdp2

    monkeypatch.setattr(Qwen2ForCausalLM, "forward", Qwen2ForCausalLM.forward)  # verl replaces it for the whole process
    model = tiny(AutoModelForCausalLM, tie_word_embeddings=tied)
    apply_monkey_patch(model, use_remove_padding=False, use_fused_kernels=True, fused_kernels_backend="torch")
    precision = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=True)
    apply_fsdp2(model, {"mesh": one_process, "mp_policy": precision}, {})
    inputs = {"input_ids": torch.zeros(1, 4, dtype=torch.long), "temperature": 1.0, "return_dict": True}
    if tied:
        assert model(**inputs).log_probs.shape == (1, 4)
    else:
        with pytest.raises(RuntimeError, match=r"mixed torch\.Tensor and DTensor"):
            model(**inputs)


def test_a_critic_takes_no_adapters():
    """With the task type that verl's engine gives every model."""
    from peft import LoraConfig, TaskType, get_peft_model

    critic = tiny(AutoModelForTokenClassification, num_labels=1)
    with pytest.raises(AttributeError, match="prepare_inputs_for_generation"):
        get_peft_model(critic, LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, target_modules="all-linear"))
