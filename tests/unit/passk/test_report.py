"""The pictures and the HTML report; its page is looked at in headless Chromium where there is one."""

import html
import json
import re
import shutil
import subprocess

import pytest

from passk import metrics, report
from passk.metrics import read
from passk.plot import plot_curves
from tests.unit.passk.files import complete, line, write

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!-- "
    "@DATA@ ]]> \u2028 <b id=bold>bold</b> &lt;i&gt; \\boxed{7} </pre></textarea>"
)
LABELS = [[False, False], [True, True], [True, False]]


def made(paths) -> str:
    tallies = read(paths, allow_incomplete=False)
    return report.page(tallies, *metrics.evaluate(tallies, None, majority=True), title="<Title> @TABLE@ & more")


@pytest.fixture
def hostile(tmp_path):
    lines = complete(LABELS)
    lines[0] |= {"response": HOSTILE, "question": HOSTILE, "pred_answer": HOSTILE, "gold_answer": HOSTILE}
    lines[1] |= {"question": HOSTILE, "response": "slow", "error": "timeout after 5 s <script>"}
    return write(tmp_path / "model$a$.jsonl", lines)


def test_nothing_that_a_model_wrote_is_markup(hostile):
    page = made([hostile])
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<img" not in page and "<b id=bold>" not in page and "<!-- @" not in page
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert data["samples"][0]["text"] == HOSTILE  # shown as it is, not as a browser would read it
    assert "<title>&lt;Title&gt; @TABLE@ &amp; more</title>" in page


def test_the_page_loads_nothing(hostile):
    page = made([hostile])
    assert "default-src 'none'" in page
    outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?!#)[^"'\s>]+""", page.split('type="application/json">')[0])
    assert [one for one in outside if "xlink" not in one and "#" not in one] == []


def browse(page: str, folder, script: str) -> str:
    """The page's document after ``script`` ran in it, as headless Chromium sees it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    # the policy allows only the report's own script, so what drives the page is let in for the test
    page = page.replace("script-src 'sha256-", "script-src 'nonce-test' 'sha256-")
    path = folder / "report.html"
    path.write_text(page.replace("</body>", f'<script nonce="test">{script}</script></body>'), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --user-data-dir={folder / 'profile'}"
    flags += " --virtual-time-budget=3000 --dump-dom"  # waits for what the script does later
    result = subprocess.run([chromium, *flags.split(), path.as_uri()], capture_output=True, text=True, timeout=300)
    return result.stdout


def test_in_a_browser(hostile, tmp_path):
    script = """
    const seen = {all: document.querySelectorAll("details").length};
    for (const wanted of ["right", "wrong", "grader failed"]) {
      field("outcome").value = wanted; field("outcome").dispatchEvent(new Event("input"));
      seen[wanted] = document.querySelectorAll("details").length;
    }
    field("outcome").value = ""; field("text").value = "OWNED"; field("text").dispatchEvent(new Event("input"));
    seen.text = document.querySelectorAll(".question").length;
    const details = document.querySelector("details"); details.open = true;
    setTimeout(() => {
      seen.response = details.querySelector("pre").textContent; seen.bold = document.querySelectorAll("#bold, img").length;
      seen.title = document.title; const out = document.createElement("output"); out.id = "seen";
      out.textContent = JSON.stringify(seen); document.body.append(out);
    }, 200);
    """
    dom = browse(made([hostile]), tmp_path, script)
    seen = json.loads(html.unescape(dom.split('<output id="seen">')[1].split("</output>")[0]))
    assert seen == {
        "all": 6,
        "right": 3,
        "wrong": 2,
        "grader failed": 1,
        "text": 1,
        "response": HOSTILE,
        "bold": 0,
        "title": "<Title> @TABLE@ & more",
    }


def test_too_many_samples_are_sampled_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_SAMPLES", 60)
    labels = [[generation < question for generation in range(40)] for question in range(41)]
    page = made([write(tmp_path / "a.jsonl", complete(labels))])
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert len(data["samples"]) <= 60
    assert f"{len(data['samples'])} of 1,640 samples are here" in page
    ids = [question["id"] for question in data["questions"]]
    assert {0, 40} < set(ids) and len(ids) == 5  # unsolved, solved, and between
    assert {one["outcome"] for one in data["samples"]} == {"right", "wrong"}


def test_long_responses_are_shortened_and_say_so(tmp_path):
    lines = [line(0, 0, True, response="a" * 10_000 + "b" * 10_000)]
    page = made([write(tmp_path / "a.jsonl", lines)])
    assert "8,000 characters are left out here" in page and "aaaa" in page and "bbbb" in page


def test_two_models_and_what_is_incomplete(tmp_path):
    paths = [write(tmp_path / "base.jsonl", complete(LABELS)), write(tmp_path / "nsr.jsonl", complete(LABELS[:2]))]
    page = made(paths)
    assert "minus base, paired by question" in page and '<td></td><th scope="col">nsr</th>' in page
    tallies = read([write(tmp_path / "cut.jsonl", complete(LABELS)[:-1])], allow_incomplete=True)
    page = report.page(tallies, *metrics.evaluate(tallies, None, majority=False), title="t")
    assert "question 2 misses generation 1" in page


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot(tmp_path, suffix):
    paths = [write(tmp_path / f"{name}$.jsonl", complete(LABELS)) for name in ("base", "nsr", "w")]
    tallies = read(paths, allow_incomplete=False)
    path = tmp_path / f"plot.{suffix}"
    plot_curves(metrics.evaluate(tallies, None, majority=False)[0], path, "pass@k")
    assert path.stat().st_size > 1000


def test_the_command_writes_everything(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "base.jsonl", complete(LABELS))
    monkeypatch.setattr("sys.argv", ["passk.report", "--file_path", str(path), "--output_dir", str(tmp_path / "out")])
    report.command()
    written = {one.name for one in (tmp_path / "out").iterdir()}
    assert written == {"pass_at_k.png", "pass_at_k.svg", "metrics.json", "report.html"}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["files"][0]["questions"] == 3
