"""The tables of docs/hardware.md are those that the script makes, and a measurement finds its place."""

import json

import pytest

MEASURED = {
    "machine": {"gpu": "NVIDIA H100 80GB HBM3"},
    "gpus": 1,
    "device": "cuda",
    "steps": [
        {
            "name": "speed",
            "checks": [
                {"what": "rollout, GiB", "passed": None, "value": 60.25},
                {"what": "rollout estimated, GiB", "passed": None, "value": 66.2},
                {"what": "rollout, measured ÷ estimated", "passed": True, "value": 0.91},
                {"what": "update_actor, tokens/s", "passed": None, "value": 5123},
                {"what": "one step ends", "passed": True, "value": "1 steps, 200 s"},
            ],
        }
    ],
}


@pytest.fixture
def hardware_table(script):
    return script("hardware_table")


def test_the_page_is_up_to_date(hardware_table):
    tables = {"estimates": hardware_table.table("estimates", list(hardware_table.estimates()))}
    tables |= hardware_table.measured_tables(hardware_table.RESULTS)
    page = hardware_table.PAGE.read_text()
    assert hardware_table.filled(page, tables) == page, "python scripts/hardware_table.py --write"


def test_a_measurement_stands_beside_its_estimate(hardware_table, tmp_path):
    (tmp_path / "made-up.json").write_text(json.dumps(MEASURED))
    tables = hardware_table.measured_tables(tmp_path)
    assert tables["measured"].splitlines()[2] == "| 1 × NVIDIA H100 80GB HBM3 | speed | rollout | 66.2 | 60.2 | 0.91 |"
    assert tables["speed"].splitlines()[2:] == [
        "| 1 × NVIDIA H100 80GB HBM3 | speed | update_actor, tokens/s | 5,123 |"
    ]


def test_without_measurements_the_page_says_so(hardware_table, tmp_path):
    assert hardware_table.measured_tables(tmp_path) == dict.fromkeys(("measured", "speed"), hardware_table.NONE_YET)


@pytest.mark.parametrize("text", ["{", "[]", '{"machine": {}}'])
def test_a_file_that_is_something_else_is_named(hardware_table, tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json: not written by scripts/gpu_check"):
        hardware_table.measured_tables(tmp_path)


def test_a_page_without_a_place_is_an_error(hardware_table):
    with pytest.raises(ValueError, match="no place for the table speed"):
        hardware_table.filled("", {"speed": "x"})
