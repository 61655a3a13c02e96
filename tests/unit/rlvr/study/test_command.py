"""A whole study by its command line, with stand-ins for the launcher and the evaluation."""

import json
import os
import subprocess

import pytest

from rlvr.study.commands import RunFailed, weights_of


def test_a_study_chooses_trains_answers_and_reports(study, programs, tmp_path):
    code, output, _ = study()
    assert code == 0
    trained = [one.split()[1] for one in programs.started if one.startswith("train")]
    # seed 1 of every rate to choose by, then whatever is missing: each run once, though two arms have nsr at 6e-5
    assert len(trained) == len(set(trained))
    assert {"psr-lr6e-5-seed1", "psr-lr1e-4-seed1", "nsr-lr6e-5-seed1", "nsr-lr1e-4-seed1"} == set(trained[:4])
    chosen = json.loads((tmp_path / "made.learning_rates.json").read_text())["chosen"]["rates"]
    for method in ("psr", "nsr"):
        assert f"{method}-lr{'1e-4' if chosen[method]['rate'] == 1e-4 else '6e-5'}-seed2" in trained
        assert set(chosen[method]["pass@1"]) == {"6e-5", "1e-4"}

    report = tmp_path / "runs" / "report"
    page = (report / "results.md").read_text()
    for part in (
        "## Claim by claim",
        "| NSR wins | first | pass@8, points: nsr − psr",
        "arm first",
        "arm fixed",
        "commit",
    ):
        assert part in page and part in output
    assert "Not complete" not in page
    assert "| method | at the same entropy lost | at the same samples seen | at the same tokens trained on |" in page
    for picture in ("first_frontier", "first_matched", "first_costs", "fixed_frontier"):
        assert (report / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({picture}.png)" in page
    assert (report / "first" / "report.html").is_file()
    record = json.loads((report / "results.json").read_text())
    assert [one["claim"]["text"] for one in record["claims"]] == ["NSR wins", "NSR keeps entropy"]
    # entropy falls from 0.2 to 0.16 in every run, more than the margin of 0.05 does not
    assert record["claims"][1]["verdict"] == "confirmed"
    assert record["claims"][1]["figure"]["value"] == pytest.approx(-0.04)

    log = tmp_path / "runs" / "nsr-lr6e-5-seed2" / "metrics.jsonl"
    log.write_text(log.read_text().replace('"step": 0, "val-core/entropy": 0.2', '"step": 0, "val-core/entropy": 0.26'))
    assert study("--report")[0] == 0
    record = json.loads((report / "results.json").read_text())
    runs = [one for one in (tmp_path / "runs" / "evaluation-12x8").iterdir() if one.name != "base"]
    assert record["claims"][1]["figure"]["value"] == pytest.approx(-0.04 - 0.06 / len(runs)), (
        "the base's is of all runs"
    )


@pytest.mark.usefixtures("without_page")
def test_what_is_there_is_not_made_again(study, programs, tmp_path):
    study()
    programs.started.clear()
    assert study()[0] == 0
    assert programs.started == []

    interrupted = tmp_path / "runs" / "evaluation-12x8" / "nsr-lr6e-5-seed2" / "step_2" / "evaluation.json"
    interrupted.unlink()  # as if it had been killed there
    assert study()[0] == 0
    (again,) = programs.started
    assert again.startswith("answer") and again.endswith("nsr-lr6e-5-seed2/global_step_2/actor/huggingface")


@pytest.mark.usefixtures("without_page")
def test_runs_of_other_settings_are_refused(study, programs, tmp_path):
    study()
    code, _, error = study("algorithm.entropy=1")
    assert code == 1
    assert "nsr-lr6e-5-seed1 (overrides)" in error and "Give another --output" in error
    assert study(f"--output {tmp_path / 'elsewhere'} algorithm.entropy=1")[0] == 0
    (tmp_path / "base" / "model.safetensors").write_bytes(b"another")
    code, _, error = study()
    assert code == 1 and "(base_model)" in error


@pytest.mark.usefixtures("without_page")
def test_answers_of_other_weights_are_refused(study, tmp_path):
    study("--arms fixed")
    weights = weights_of(tmp_path / "runs" / "nsr-lr6e-5-seed1", 2)
    (weights / "model.safetensors").write_bytes(b"trained anew")
    code, _, error = study("--arms fixed")
    assert code == 1 and "answers of other weights or settings" in error


@pytest.mark.usefixtures("without_page")
def test_a_failure_names_itself_and_what_is_done_stays(study, programs, monkeypatch, tmp_path):
    from rlvr.study import commands

    def fail(command, folder, steps, progress, lock):
        if folder.name.startswith("nsr"):
            raise RunFailed("training of nsr failed with exit code 1")
        programs.train(command, folder, steps, progress)

    monkeypatch.setattr(commands, "train", fail)
    code, _, error = study("--arms first --tune")
    assert (code, error) == (1, "study: training of nsr failed with exit code 1\n")
    monkeypatch.setattr(commands, "train", programs.train)
    programs.started.clear()
    assert study("--arms first --tune")[0] == 0
    assert "train psr-lr6e-5-seed1" not in programs.started and "train nsr-lr6e-5-seed1" in programs.started


def test_quick_needs_no_choice_and_leaves_the_study_alone(study, programs, tmp_path):
    code, _output, _ = study("--quick")
    assert code == 0
    assert [one for one in programs.started if "6e-5" in one or "seed2" in one] == []
    page = (tmp_path / "runs" / "report-quick" / "results.md").read_text()
    assert "after steps 4, the first 6 questions × 4 samples each" in page and "Claim by claim" not in page
    study("--tune")
    assert programs.started.count("train psr-lr1e-4-seed1") == 1, "its runs are runs of the study"


@pytest.mark.usefixtures("without_page")
def test_earlier_checkpoints_keep_only_their_weights(study, tmp_path):
    study("--arms fixed")
    run = tmp_path / "runs" / "nsr-lr6e-5-seed1"
    assert not list((run / "global_step_2").rglob("*.pt"))
    assert list((run / "global_step_4").rglob("*.pt")), "the last one can be gone on with"
    assert (weights_of(run, 2) / "model.safetensors").is_file()


@pytest.mark.usefixtures("without_page")
def test_any_method_that_the_launchers_know(study, programs):
    assert study("--methods dr_grpo --quick")[0] == 0
    assert "train dr_grpo-lr1e-4-seed1" in programs.started
    code, _, error = study("--methods nope")
    assert code == 2 and error.startswith("--methods: nope is no method: choose among psr, nsr, positive")


def test_sizes_from_the_command_line(study, programs, tmp_path):
    assert study("--arms fixed --steps 2 --questions 6 --samples 4 --seeds 1")[0] == 0
    page = (tmp_path / "runs" / "report" / "results.md").read_text()
    assert "2 steps; after steps 2, the first 6 questions × 4 samples each." in page
    assert "**not run**: its runs are not there" in page


def test_the_page_of_what_is_there(study, programs, tmp_path):
    study("--arms fixed")
    run = tmp_path / "runs" / "evaluation-12x8" / "nsr-lr6e-5-seed2" / "step_4" / "evaluation.json"
    run.unlink()
    code, output, _ = study("--arms fixed --report")
    assert code == 0
    assert "**Not complete**" in output and "- fixed: nsr lacks seed 2 of 2" in output
    assert "| nsr (1) | 6e-5 |" in output


def test_without_answers_there_is_no_page(study):
    code, _, error = study("--arms fixed --report")
    assert code == 1 and "the base model has not been answered yet" in error


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--arms nope", "--arms: nope is no arm: choose among first, fixed"),
        ("--samples 1 --arms fixed", "--samples 1: pass@k"),
    ],
)
def test_what_is_wrong_is_one_line(study, flags, said):
    code, _, error = study(flags)
    assert code == 2 and error.startswith(said) and len(error.splitlines()) == 1


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize("flags", ["--seeds 0", "--jobs -1", "neither", "--on slurm --job base"])
def test_flags_that_make_no_sense(study, flags):
    with pytest.raises(SystemExit) as stopped:
        study(flags)
    assert stopped.value.code == 2


@pytest.mark.usefixtures("without_page")
def test_another_program_at_the_same_run(study, tmp_path):
    from rlvr.study.local import locked

    with locked(tmp_path / "runs" / "nsr-lr6e-5-seed1"):
        code, _, error = study("--arms fixed")
    assert code == 1 and "another program is at work on this run" in error


@pytest.mark.usefixtures("without_page")
def test_the_jobs_of_a_cluster_make_the_same_study(study, programs, tmp_path):
    """What submit.sh for Slurm submits, in its order, with a stand-in for sbatch; then each job by its own words."""
    code, _, error = study("--arms first --on slurm")
    assert code == 1 and "no learning rate was chosen for first: psr; first: nsr" in error
    code, _output, _ = study("--arms fixed --on slurm")
    assert code == 0
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    log = tmp_path / "submitted"
    sbatch = bin_folder / "sbatch"
    sbatch.write_text(f'#!/bin/bash\nprintf "%s\\n" "$*" >> {log}\nwc -l < {log}\n')
    sbatch.chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", str(tmp_path / "runs" / "submit.sh")], check=True, env=environment, capture_output=True)
    jobs = log.read_text().splitlines()
    assert len(jobs) == 1 + 2 * (1 + 2) + 1  # the base; two seeds, each trained and asked twice; the page
    trained = {number for number, job in enumerate(jobs, start=1) if ":train" in job}
    for number, job in enumerate(jobs, start=1):
        if ":answer:" in job and "base:" not in job:
            after = int(job.split("--dependency=afterok:")[1].split()[0])
            assert after in trained and after == max(one for one in trained if one < number)
    answers = [str(number) for number, job in enumerate(jobs, start=1) if ":answer:" in job]
    assert f"--dependency=afterany:{':'.join(answers)}" in jobs[-1] and "--job page" in jobs[-1]

    names = [job.split("--job ")[1].split()[0].strip("'") for job in jobs]
    answer_first = next(name for name in names if name.startswith("nsr") and ":answer" in name)
    assert "train it first" in study(f"--arms fixed --job {answer_first}")[2]
    for name in names:
        assert study(f"--arms fixed --job {name}")[0] == 0, name
    programs.started.clear()
    assert study("--arms fixed")[0] == 0 and programs.started == []


@pytest.mark.usefixtures("without_page")
def test_a_ray_job_is_a_run(study, programs, tmp_path):
    assert study("--arms fixed --on ray")[0] == 0
    text = (tmp_path / "runs" / "submit.sh").read_text()
    assert "base\nnsr-lr6e-5-seed1\nnsr-lr6e-5-seed2\nRUNS" in text and "ray job submit -- bash -c" in text
    assert "--on" not in text
    assert study("--arms fixed --job nsr-lr6e-5-seed1")[0] == 0
    assert [one.split()[0] for one in programs.started] == ["train", "answer"]
    code, _, error = study("--arms fixed --job nothing")
    assert code == 1 and "no run of this name; there are base, nsr-lr6e-5-seed1" in error
    code, _, error = study("--arms fixed --job nsr-lr6e-5-seed1:answer:3")
    assert code == 1 and "with a step of (2, 4)" in error


def test_a_hub_model_is_brought_before_it_is_shared_out(monkeypatch, tmp_path):
    import huggingface_hub

    from rlvr.study.local import folder_of

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda model, **_: f"/cache/{model}")
    assert folder_of("own/model", 8) == "/cache/own/model"
    assert folder_of("own/model", 1) == "own/model" and folder_of(str(tmp_path), 8) == str(tmp_path)

    def fail(model, **_):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(RunFailed, match="own/model could not be brought from the hub: no network"):
        folder_of("own/model", 8)
