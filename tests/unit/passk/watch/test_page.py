"""The page in headless Chromium: what it shows, filters, a run that grows under it, hostile text, many samples, two runs."""

import json

import pytest

from passk.watch.folder import open_runs
from passk.watch.html import write_html
from rlvr.sample_files import path_of, read, write
from tests.unit.passk.watch.made_up import add_step, append, make_run, sample
from tests.unit.passk.watch.test_html import HOSTILE

SAMPLES_ARE_THERE = "document.querySelectorAll('#samples-list .group').length > 0"
FOUND = "byId('samples-found').textContent"


def address(server) -> str:
    return f"http://127.0.0.1:{server.port}/"


@pytest.fixture
def file_page(browser, tmp_path):
    """``file_page(*runs, width=…)``: the page of these runs in one file, opened."""

    def file_page(*runs, **view):
        path = tmp_path / "page.html"
        write_html(open_runs(runs), path)
        page = browser.open(path.as_uri(), **view)
        page.wait(SAMPLES_ARE_THERE)
        return page

    return file_page


def enter(page, field, value):
    page.run(f"byId('{field}').value = {json.dumps(value)}; byId('{field}').dispatchEvent(new Event('input')); 0")


def test_filters_find_what_is_there_and_say_of_how_many(file_page, tmp_path):
    run = make_run(tmp_path / "run", 3)
    page = file_page(run)
    samples = read(path_of(run, "train", 3))

    def found(**filters):
        for field in ("sign", "kind", "question", "text", "shortest", "longest"):
            enter(page, field, str(filters.get(field, "")))
        return int(page.run(FOUND).split("(")[1].split(" of ")[0].replace(",", ""))

    assert page.run(FOUND).endswith(
        f"▼ pushed down {sum(s.kept for s in samples)} · ○ left out {sum(not s.kept for s in samples)}"
    )
    assert found() == len(samples) == 128
    assert found(sign="down") == sum(one.kept for one in samples)
    assert found(kind="correct") == found(sign="out") == sum(one.correct for one in samples)
    assert found(kind="incorrect") == sum(not one.correct for one in samples)
    assert found(kind="no_answer") == sum(one.kind == "no_answer" for one in samples)
    assert found(question="WHAT IS 1") == sum("is 1" in one.question for one in samples)
    assert found(question=samples[0].question_id) == 8
    assert found(text="SUM of") == sum("sum of" in one.answer for one in samples)
    assert found(shortest=20, longest=25) == sum(20 <= one.tokens <= 25 for one in samples)
    assert found(kind="wrong", text="the", shortest=15) == sum(
        one.kind == "wrong" and "the" in one.answer and one.tokens >= 15 for one in samples
    )
    assert found(text="no such text") == 0
    assert page.run("byId('samples-where').textContent") == "nothing matches"


def test_signs_are_marks_and_words_not_colours_alone(file_page, tmp_path):
    run = make_run(tmp_path / "run", 1)
    kinds = [
        {}, {"kind": "wrong", "advantage": -0.5}, {"advantage": 0.0}, {"kept": False, "advantage": None}, {"advantage": None},
    ]  # fmt: skip
    write(run, "train", 1, [sample(**one) for one in kinds])
    page = file_page(run)
    badges = page.run("[...document.querySelectorAll('.badge')].map(one => one.textContent)")
    assert badges == [
        "▲ pushed up +1.00", "▼ pushed down −0.50", "= kept, advantage 0", "○ left out", "? kept, advantage not recorded",
    ]  # fmt: skip
    assert page.run("document.querySelector('.strip').textContent") == "▲▼=○?"
    page.run("document.querySelector('.sample').open = true; 0")
    page.wait("document.querySelector('.sample pre') !== null")
    assert page.run("document.querySelector('.sample').textContent").endswith(
        "it is 2finish reason stop · layer of the grader text · mean log-prob -0.5 · mean entropy 0.2"
    )


def test_hostile_text_stays_text(file_page, serve, browser, tmp_path):
    run = make_run(tmp_path / "<img src=x onerror=document.title=1>", 2)
    hostile = [
        sample(step=step, question_id="q", answer=HOSTILE, question=HOSTILE, gold=HOSTILE, extracted=HOSTILE)
        for step in (1, 2)
    ]
    for one in hostile:
        write(run, "train", one.step, [one])
    (run / "watchdog.jsonl").write_text(json.dumps({"step": 1, "time": HOSTILE, "lines": [HOSTILE]}) + "\n")
    (run / "config.yaml").write_text(f"actor_rollout_ref: {{model: {{path: {json.dumps(HOSTILE)}}}}}")
    live = browser.open(address(serve(run)))
    live.wait(SAMPLES_ARE_THERE)
    for page in (file_page(run), live):
        page.run("document.querySelector('.sample').open = true; byId('figures').open = true; 0")
        page.run("document.querySelectorAll('#settings details').forEach(one => one.open = true); 0")
        page.run("document.querySelector('.group button').click(); 0")
        page.wait("document.querySelectorAll('#one-question .plain').length === 1")
        enter(page, "changes-split", "train")
        page.run("byId('changes-split').dispatchEvent(new Event('change')); byId('changes-go').click(); 0")
        page.wait("document.querySelectorAll('#changes-table tbody tr').length > 0")
        assert page.run("document.querySelector('.sample pre').textContent") == HOSTILE
        assert page.run("document.querySelectorAll('img, #bold').length") == 0
        assert page.run("document.title").endswith("passk.watch")
        assert HOSTILE in page.run("byId('settings').textContent") and HOSTILE in page.run("byId('events').textContent")


def test_a_run_that_grows_under_the_page(browser, serve, tmp_path):
    run = make_run(tmp_path / "run", 2)
    page = browser.open(address(serve(run)))
    page.wait(SAMPLES_ARE_THERE)
    assert page.run("byId('step-text').textContent") == "step 2 of 2"
    add_step(run, 3)
    page.wait("byId('step-text').textContent === 'step 3 of 3'")
    page.wait("byId('samples-file').value === 'train 3'")
    page.run("choose(1); 0")
    page.wait("byId('samples-file').value === 'train 1'")
    add_step(run, 4, validate=True)
    page.wait("byId('step-text').textContent === 'step 1 of 4'")
    assert page.run("byId('samples-file').value") == "train 1", "who looks at a step stays there"
    page.wait("charts.get('accuracy').plot.data[0].length === 4")
    page.run("byId('newest').click(); 0")
    assert page.run("byId('overview-heading').textContent") == "At step 4"


def test_a_whole_response_is_one_click_away(browser, serve, tmp_path):
    run = make_run(tmp_path / "run", 1)
    write(run, "train", 1, [sample(answer="a" * 9000 + "middle" + "b" * 9000)])
    page = browser.open(address(serve(run)))
    page.wait(SAMPLES_ARE_THERE)
    assert "1 responses are shortened" in page.run("byId('samples-note').textContent")
    page.run("document.querySelector('.sample').open = true; 0")
    page.wait("document.querySelector('.sample button') !== null")
    assert "middle" not in page.run("document.querySelector('.sample pre').textContent")
    page.run("document.querySelector('.sample button').click(); 0")
    page.wait("document.querySelector('.sample pre').textContent.includes('middle')")


def test_two_runs_over_each_other(file_page, tmp_path):
    page = file_page(make_run(tmp_path / "a", 4), make_run(tmp_path / "b", 6, seed=1))
    labels = page.run(
        "charts.get('accuracy').plot.series.slice(1).filter(one => one.class !== 'band').map(one => one.label)"
    )
    assert labels == ["A training", "A validation made_up", "B training", "B validation made_up"]
    assert page.run("[...charts.keys()].filter(key => key.startsWith('kinds'))") == ["kinds-0", "kinds-1"]
    cards = page.run("[...document.querySelectorAll('.card')].map(one => one.textContent)")
    assert "4 of 4 (its last)" in cards[0] and "6 of 6" in cards[1]
    assert "temperature1.00.9" in page.run("byId('settings').textContent.replaceAll(/\\s/g, '')")
    page.run("byId('samples-run').value = 1; byId('samples-run').dispatchEvent(new Event('change')); 0")
    page.wait("byId('samples-file').value === 'train 6'")
    page.run("byId('axis').value = 'hours'; byId('axis').dispatchEvent(new Event('change')); 0")
    hours = page.run("charts.get('accuracy').plot.data[0]")
    assert hours == sorted(hours) and hours[-1] == pytest.approx(6 * 9.045 / 3600, rel=1e-3)


def test_one_question_through_the_steps(file_page, tmp_path):
    run = make_run(tmp_path / "run", 1)
    for step, rights in ((1, 1), (2, 3)):
        samples = [
            sample(step=step, kind=None if i < rights else "wrong", extracted="2" if i < rights else "3")
            for i in range(4)
        ]
        write(
            run, "train", step, [*samples, sample(step=step, question_id="other", group="other", question="2 + 2 = ?")]
        )
    page = file_page(run)
    page.run("document.querySelector('.group button').click(); 0")
    page.wait("document.querySelectorAll('#one-question .plain').length === 1")
    assert page.run("charts.get('one-question').plot.data.slice(0, 2)") == [[1, 2], [0.25, 0.75]]
    rows = page.run(
        "[...document.querySelectorAll('#one-question .plain tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert rows == [["answer", "1", "2"], ["✓ 2", "1", "3"], ["✗ 3", "3", "1"], ["samples", "4", "4"]]
    assert page.run("document.querySelectorAll('#one-question .sample').length") == 8
    low, high = page.run("wilson(1, 4)")
    assert (round(low, 3), round(high, 3)) == (0.046, 0.699)  # R: prop.test(1, 4, correct = FALSE)


def test_answers_that_changed_most(file_page, tmp_path):
    run = make_run(tmp_path / "run", 1)
    for step, rights in ((0, 1), (1, 7)):
        kinds = [None if i < rights else "wrong" for i in range(8)]
        same = {"step": step, "split": "validation", "kept": False, "advantage": None, "log_prob": -1.0 + step / 2}
        write(run, "validation", step, [sample(kind=kind, extracted="3" if kind else "2", **same) for kind in kinds])
    page = file_page(run)
    page.run("byId('changes-go').click(); 0")
    page.wait("document.querySelectorAll('#changes-table tbody tr').length === 2")
    rows = "[...document.querySelectorAll('#changes-table tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    first, second = sorted(page.run(rows), key=lambda row: row[1])
    assert first[:4] == ["1 + 1 = ?", "✓ 2", "1 of 8", "7 of 8"] and first[4].startswith("▲ +75.0 points [+2")
    assert second[1:4] == ["✗ 3", "7 of 8", "1 of 8"] and second[4].startswith("▼ −75.0 points")
    page.run("byId('changes-by').value = 'log_prob'; byId('changes-go').click(); 0")
    page.wait("document.querySelector('#changes-table').textContent.includes('nats')")
    assert page.run(rows)[0][:5] == ["1 + 1 = ?", "✓ it is 2", "-4", "-2", "▲ +2.00 nats"]
    narrow = file_page(run, width=390)
    narrow.run("byId('changes-go').click(); 0")
    narrow.wait("document.querySelectorAll('#changes-table tbody tr').length === 2")
    assert narrow.run("byId('changes-table').scrollWidth <= byId('changes-table').clientWidth"), (
        "nothing is out of sight"
    )


def test_a_rare_event_is_listed_among_many_of_another_kind(file_page, tmp_path):
    run = make_run(tmp_path / "run", 1)
    failures = [{"step": step, "rlvr/grader_timeouts": 1.0} for step in range(2, 40)]
    append(run / "metrics.jsonl", *failures)
    page = file_page(run)
    rows = "[...document.querySelectorAll('#events tbody tr')].map(row => row.textContent)"
    shown = page.run(rows)
    assert sum(one.startswith("G ") for one in shown) == 12 and sum(one.startswith("W ") for one in shown) == 1
    page.run("document.querySelector('#events button').click(); 0")
    assert len(page.run(rows)) == 40


def test_labels_keep_what_tells_them_apart_and_one_step_has_its_place(file_page, tmp_path):
    page = file_page(make_run(tmp_path / "run", 1))
    label = page.run("fitting('val rlvr/countdown pass@8', charts.get('accuracy').plot.ctx, 97 * devicePixelRatio)")
    assert label.startswith("val ") and "…" in label and label.endswith("pass@8")
    assert page.run("[charts.get('entropy').plot.scales.x.min, charts.get('entropy').plot.scales.x.max]") == [0, 2]


def test_what_is_missing_is_said(file_page, tmp_path):
    run = make_run(tmp_path / "run", 1)
    (run / "metrics.jsonl").write_text('{"step": 1, "actor/entropy": 0.2}\n')
    (run / "starts.jsonl").unlink()
    page = file_page(run)
    assert "not in metrics.jsonl: before clipping: actor/grad_norm" in page.run(
        "byId('panel-gradient_norm').textContent"
    )
    assert "not in metrics.jsonl: validation: val-core/entropy" in page.run("byId('panel-entropy').textContent")
    assert "left no starts.jsonl" in page.run("byId('settings').textContent")


def test_a_run_without_samples_has_its_curves(browser, serve, tmp_path):
    run = make_run(tmp_path / "run", 2)
    for path in (run / "samples").iterdir():
        path.unlink()
    page = browser.open(address(serve(run)))
    page.wait("byId('samples-note').textContent !== ''")
    assert (
        page.run("byId('samples-note').textContent")
        == "No samples of this run are recorded (trainer.samples_per_step)."
    )
    assert page.run("charts.size") == 9
    assert page.run("byId('changes-go').disabled")


@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits_and_is_worked_by_keys_in_the_dark(file_page, tmp_path, width):
    page = file_page(make_run(tmp_path / "run", 3), width=width, dark=True)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 22)"
    page.wait("[...charts.values()].every(({plot, box}) => plot.width <= box.clientWidth + 1)")
    page.press("[")
    assert page.run("byId('step-text').textContent") == "step 2 of 3"
    page.wait("byId('samples-file').value === 'train 2'")
    page.press("]")
    page.press("/")
    assert (
        page.run("document.activeElement.id") == "text" and page.run("byId('step-text').textContent") == "step 3 of 3"
    )
    page.press("[")  # a letter of the text that is searched for, not a key of the page
    assert page.run("byId('step-text').textContent") == "step 3 of 3"
    nameless = (
        "[...document.querySelectorAll('input, select')].filter(one => !one.closest('label') && !one.ariaLabel).length"
    )
    assert page.run(nameless) == 0


def test_two_hundred_steps_of_512_samples(browser, tmp_path):
    run, path = make_run(tmp_path / "run", 200, test_freq=10, groups=64, words=60), tmp_path / "page.html"
    write_html(open_runs([run]), path)
    # The fastest of three, here and below: how long one takes says how busy the machine is.
    pages = [browser.open(path.as_uri()) for _ in range(3)]
    for page in pages:
        page.wait(SAMPLES_ARE_THERE)
    painted = min(page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime") for page in pages)
    page.run("byId('scope').value = 'train'; byId('scope').dispatchEvent(new Event('change')); 0")
    page.wait(f"{FOUND}.includes('of 102,400')")
    taken = {}
    for filters in (
        {"sign": "down"},
        {"kind": "no_answer"},
        {"text": "take the sum"},
        {"question": "is 17"},
        {"longest": "40"},
    ):
        for field in ("sign", "kind", "text", "question", "longest"):
            page.run(f"byId('{field}').value = {json.dumps(filters.get(field, ''))}; 0")
        taken[str(filters)] = min(
            page.run("search(); Number(byId('samples-found').dataset.milliseconds)") for _ in range(3)
        )
        assert page.run("found.length")
    print(f"first paint after {painted:.0f} ms; filters over 102,400 samples, ms: {taken}")
    assert painted < 1000 and max(taken.values()) < 100
