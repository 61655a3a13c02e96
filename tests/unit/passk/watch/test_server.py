"""The server: on loopback only, for this machine only; news, samples, and a command that ends cleanly."""

import http.client
import json
import signal
import socket
import subprocess
import sys

import pytest

from rlvr.sample_files import path_of, write
from tests.unit.passk.watch.made_up import add_step, make_run, sample


def get(server, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{server.port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_it_listens_on_loopback_alone(serve, tmp_path):
    assert serve(make_run(tmp_path / "run", 1)).server_address[0] == "127.0.0.1"


def test_news_come_when_there_are_some(serve, tmp_path):
    run = make_run(tmp_path / "run", 2)
    server = serve(run)
    status, text = get(server, "/state")
    first = json.loads(text)
    assert status == 200 and first["runs"][0]["steps"] == [1, 2]
    assert get(server, f"/state?seen={first['number']}") == (204, "")
    add_step(run, 3)
    status, text = get(server, f"/state?seen={first['number']}")
    assert status == 200 and json.loads(text)["runs"][0]["steps"] == [1, 2, 3]


def test_samples_of_a_step_and_one_whole_response(serve, tmp_path):
    run = make_run(tmp_path / "run", 1)
    write(run, "train", 1, [sample(answer="a" * 20_000 + "<b>"), sample(question_id="q1")])
    server = serve(run)
    status, text = get(server, "/samples?run=0&split=train&step=1")
    found = json.loads(text)
    assert status == 200 and found["shortened"] == [8003, 0] and len(found["questions"]) == 2
    assert get(server, "/answer?run=0&split=train&step=1&sample=0") == (200, "a" * 20_000 + "<b>")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/samples?run=0&split=train&step=7", 404),
        ("/samples?run=9&split=train&step=1", 404),
        ("/samples?run=-1&split=train&step=1", 404),
        ("/samples?run=0&split=../config.yaml&step=1", 404),
        ("/samples?run=zero&split=train&step=1", 400),
        ("/samples", 400),
        ("/answer?run=0&split=train&step=1&sample=99999", 400),
        ("/../../etc/passwd", 404),
        ("/config.yaml", 404),
    ],
)
def test_addresses_that_lead_nowhere(serve, tmp_path, path, status):
    assert get(serve(make_run(tmp_path / "run", 1)), path)[0] == status


def test_a_damaged_file_is_a_line_and_the_rest_goes_on(serve, tmp_path):
    run = make_run(tmp_path / "run", 2)
    path_of(run, "train", 1).write_text("{}\n")
    server = serve(run)
    status, text = get(server, "/samples?run=0&split=train&step=1")
    assert status == 404 and "train_000001.jsonl, line 1: no sample" in text and "\n" not in text
    assert get(server, "/samples?run=0&split=train&step=2")[0] == 200


def test_a_page_of_the_web_cannot_read_it_under_a_name_of_its_own(serve, tmp_path):
    server = serve(make_run(tmp_path / "run", 1))
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", ""):
        assert get(server, "/state", host or "x")[0] == 403
    assert get(server, "/state", f"localhost:{server.port}")[0] == 200


def watch(*arguments):
    """The command, as from a shell that waits for it: one that runs the tests in the background has Ctrl-C ignored."""
    return subprocess.Popen(
        [sys.executable, "-m", "passk.watch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_port_in_use_is_said_and_ctrl_c_ends_it_cleanly(tmp_path):
    run = make_run(tmp_path / "run", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = watch(run, "--port", port)
        assert process.stdout.readline() == f"port {port} is taken\n"
        address, _, rest = process.stdout.readline().partition("  ")
        assert address.startswith("http://127.0.0.1:") and int(address.rsplit(":", 1)[1]) > port
        assert rest.startswith("follows run")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing"], "missing: is no folder; name the folder of a run, such as runs/NAME"),
        (
            ["."],
            ".: holds no run: neither metrics.jsonl nor config.yaml nor samples/; name the folder that the run writes to",
        ),
        (["run", "--port", "0"], "--port 0 is no port; choose one from 1 to 65535"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, monkeypatch, arguments, line):
    make_run(tmp_path / "run", 1)
    monkeypatch.chdir(tmp_path)
    process = watch(*arguments)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith(f"passk.watch: {line}") and errors.count("\n") == 1


def test_html_writes_the_page_and_says_where(tmp_path):
    process = watch(make_run(tmp_path / "run", 1), "--html", tmp_path / "page.html")
    assert process.communicate(timeout=60) == (f"{tmp_path / 'page.html'}\n", "")
    assert process.returncode == 0 and (tmp_path / "page.html").stat().st_size > 50_000
    process = watch(tmp_path / "run", "--html", tmp_path / "no folder" / "page.html")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.count("\n") == 1 and "no folder" in errors
