"""The pictures and the HTML report; its page is looked at in headless Chromium where there is one."""

import json
import re

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


def test_in_a_browser(hostile, tmp_path, browser):
    path = tmp_path / "report.html"
    path.write_text(made([hostile]), encoding="utf-8")
    page = browser.open(path.as_uri())

    def seen(field: str, value: str, what: str) -> int:
        page.run(f"byId('{field}').value = '{value}'; byId('{field}').dispatchEvent(new Event('input')); 0")
        return page.run(f"document.querySelectorAll('{what}').length")

    assert [seen("outcome", one, "details") for one in ("", "right", "wrong", "grader failed")] == [6, 3, 2, 1]
    seen("outcome", "", "details")
    assert seen("text", "OWNED", ".question") == 1
    page.run("document.querySelector('details').open = true; 0")
    page.wait("document.querySelector('pre') !== null")
    assert page.run("document.querySelector('pre').textContent") == HOSTILE
    assert page.run("document.querySelectorAll('#bold, img').length") == 0
    assert page.run("document.title") == "<Title> @TABLE@ & more"


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
