"""Parameter counts against transformers, which builds the models without memory (on the meta device)."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

from rlvr.launch.shapes import KNOWN, find_config, shape_of


def build(fields, model_class=AutoModelForCausalLM, **extra):
    config = AutoConfig.for_model(**fields, **extra)
    with torch.device("meta"):
        return model_class.from_config(config)


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", KNOWN)
def test_parameters_of_the_models_that_the_launchers_train(name):
    shape = shape_of(KNOWN[name])
    model, critic = build(KNOWN[name]), build(KNOWN[name], AutoModelForTokenClassification, num_labels=1)
    assert shape.parameters == count(model)
    assert shape.value_parameters == count(critic)
    for tensors, built in ((shape.tensors, model), (shape.value_tensors, critic)):
        assert sorted(tensors) == sorted(parameter.numel() for parameter in built.parameters())


def test_published_sizes():
    """As their model cards and safetensors indices say."""
    sizes = {name: shape_of(fields).parameters for name, fields in KNOWN.items()}
    assert sizes == {
        "Qwen/Qwen2.5-Math-7B": 7_615_616_512,
        "Qwen/Qwen3-4B": 4_022_468_096,
        "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
        "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    }


def test_adapters_as_peft_makes_them():
    from peft import LoraConfig, get_peft_model

    fields = KNOWN["Qwen/Qwen3-4B"]
    model = get_peft_model(build(fields), LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert shape_of(fields).adapters(8) == trainable


def test_a_folder_comes_before_the_table_and_unknown_kinds_are_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mixtral"}))
    fields, source = find_config(str(tmp_path))
    assert source == f"{tmp_path}/config.json"
    with pytest.raises(ValueError, match="mixtral"):
        shape_of(fields)
    with pytest.raises(ValueError, match="num_attention_heads"):
        shape_of({"model_type": "qwen2"})


def test_a_hub_model_that_is_not_here_is_in_the_table_or_said_to_be_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    fields, source = find_config("Qwen/Qwen3-4B")
    assert fields is not None and "not in the cache" in source
    fields, why = find_config("nobody/nothing")
    assert fields is None and "nobody/nothing is not in the cache" in why
