"""What the quickstart says of the machine before it starts."""

import pytest

from rlvr import machine


@pytest.fixture
def quickstart(script):
    return script("quickstart")


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)

    def write(flags: str):
        (tmp_path / "cpuinfo").write_text(f"model name\t: EPYC\nflags\t\t: fpu {flags} smx\n")
        return tmp_path / "cpuinfo"

    return write


def test_the_instructions_that_torch_will_use(quickstart, cpuinfo, monkeypatch):
    assert quickstart.instructions(cpuinfo("avx2")) == "AVX2"
    assert quickstart.instructions(cpuinfo("avx2 avx512f avx512_bf16")) == "AVX-512"
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert quickstart.instructions(cpuinfo("avx2 avx512f avx512_bf16")) == "AVX2"


def test_it_takes_longer_on_a_slow_core_beside_others_and_with_a_model_to_make(quickstart):
    quiet = quickstart.expected_seconds("AVX2", quickstart.SAMPLE_SECONDS, 2, made=False)
    assert quiet == pytest.approx(sum(quickstart.PARTS["AVX2"].values()))
    assert quickstart.expected_seconds("AVX2", 2 * quickstart.SAMPLE_SECONDS, 2, made=False) == pytest.approx(2 * quiet)
    assert quickstart.expected_seconds("AVX2", quickstart.SAMPLE_SECONDS, 1, made=False) == pytest.approx(1.3 * quiet)
    made = quickstart.expected_seconds("AVX2", quickstart.SAMPLE_SECONDS, 2, made=True)
    assert quiet - made == pytest.approx(quickstart.PARTS["AVX2"]["model"])


@pytest.mark.parametrize("made", [False, True])
def test_one_line_says_what_was_found(quickstart, monkeypatch, made):
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(machine, "busy_cores", lambda: 1.04)
    monkeypatch.setattr(machine, "free_memory", lambda: 9 * 2**30)
    monkeypatch.setattr(machine, "total_memory", lambda: 16 * 2**30)
    monkeypatch.setattr(quickstart, "instructions", lambda _: "AVX2")
    monkeypatch.setattr(quickstart, "expected_seconds", lambda *_, **__: 201.6)
    line = quickstart.this_machine(made)
    assert line.startswith("2 cores (AVX2), 1.0 of them busy with other programs; 9.0 of 16.0 GiB of memory free. ")
    assert "about 3 min 22 s" in line and ("tiny model" in line) is not made
