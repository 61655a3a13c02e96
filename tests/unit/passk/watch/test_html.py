"""The page in one file: it loads nothing, nothing that a model wrote is markup, and it says what it leaves out."""

import base64
import json
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passk.watch import columns, html
from passk.watch.columns import MAX_CHARACTERS, shortened
from passk.watch.folder import open_runs
from passk.watch.html import block_id, write_html
from rlvr.records import DataError
from rlvr.sample_files import path_of, write
from tests.unit.passk.watch.made_up import make_run, sample

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)><!-- @STATE@ @BLOCKS@ \u2028 <b id=bold>"


def page_of(runs, tmp_path):
    path = tmp_path / "page.html"
    said = write_html(open_runs(runs), path)
    return path.read_text(encoding="utf-8"), said


def block(page: str, name: str) -> dict:
    packed = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_nothing_that_a_model_wrote_is_markup_and_the_page_loads_nothing(tmp_path):
    run = make_run(tmp_path / "run", 1)
    write(run, "train", 1, [sample(answer=HOSTILE, question=HOSTILE, gold=HOSTILE, extracted=HOSTILE)])
    (run / "watchdog.jsonl").write_text(json.dumps({"step": 1, "lines": [HOSTILE]}) + "\n")
    (run / "config.yaml").write_text(f"trainer: {{experiment_name: {json.dumps(HOSTILE)}}}")
    page, said = page_of([run], tmp_path)
    assert said == []
    assert page.count("<script") == page.count("</script>") == 3 + 2, (
        "state, library, our script, and two files of samples"
    )
    assert "<img" not in page and "<b id=bold>" not in page
    assert "default-src 'none'" in page and "connect-src 'none'" in page and "unsafe" not in page.split("<body>")[0]
    found = block(page, block_id(0, "train", 1))
    assert found["answer"] == [HOSTILE] and found["questions"][0]["text"] == HOSTILE
    outside = re.findall(
        r"""(?:src|href)\s*=\s*["']?(?!#)[^"'\s>]+""", page.split('<script type="application/json"')[0]
    )
    assert outside == []


def test_samples_travel_whole(tmp_path):
    run = make_run(tmp_path / "run", 2)
    page, _ = page_of([run], tmp_path)
    (opened,) = open_runs([run])
    for (split, step), (file, _) in opened.files.items():
        found, samples = block(page, block_id(0, split, step)), file.read()
        assert found["answer"] == [one.answer for one in samples]
        assert found["kind"] == [one.kind for one in samples]
        ids = [found["questions"][position]["id"] for position in found["question"]]
        assert ids == [one.question_id for one in samples]
        assert len({*found["group"]}) == found["groups"] == len({one.group for one in samples})


def test_too_many_samples_are_spread_over_the_run_and_the_page_says_so(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", 12)
    (opened,) = open_runs([run])
    sizes = [stamp[1] for _, stamp in opened.files.values()]
    monkeypatch.setattr(html, "MAX_BYTES", sum(sizes) // 3)
    page, said = page_of([run], tmp_path)
    kept = re.findall(r'type="text/plain" id="(\w+)-(\d+)-0"', page)
    assert 2 <= len(kept) <= len(sizes) // 2
    assert ("train", "1") in kept and kept[-1] == ("validation", "12")
    assert len(said) == 1 and f"the samples of {len(kept)} of {len(sizes)} files are in this page" in said[0]
    state = json.loads(page.split('id="state">')[1].split("</script>")[0])
    assert [(one["split"], str(one["step"])) for one in state["runs"][0]["samples"]] == kept
    assert said[0].endswith(state["runs"][0]["problems"][0])


def test_a_damaged_file_is_named_by_its_line_and_nothing_is_written(tmp_path):
    run = make_run(tmp_path / "run", 1)
    with path_of(run, "train", 1).open("a") as file:
        file.write('{"step": 1}\n')
    with pytest.raises(DataError, match=r"train_000001.jsonl, line 129: no sample"):
        write_html(open_runs([run]), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@given(st.text(max_size=40), st.integers(1, 12))
def test_a_long_response_is_shortened_in_its_middle_and_says_by_how_much(text, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "MAX_CHARACTERS", limit)
        shown, left_out = shortened(text)
    if len(text) <= limit:
        assert (shown, left_out) == (text, 0)
    else:
        half = limit // 2
        assert left_out == len(text) - 2 * half and f"{left_out} characters are left out" in shown
        assert shown.startswith(text[:half]) and shown.endswith(text[len(text) - half :])
    assert MAX_CHARACTERS == 12_000
