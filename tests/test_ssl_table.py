"""The table of methods says what was measured, and nothing else."""

import pytest

from tinyedge.training.teacher_source import check_source


@pytest.fixture(scope="module")
def table(benchmark_script):
    return benchmark_script("ssl_table")


def cell(**changes):
    probe = {"protocol": "linear", "label_fraction": 0.2, "mean": 0.61234, "sd": 0.0021}
    known = {
        "row": "s0-plus",
        "plan": "cpu",
        "dataset": "cifar10",
        "encoder": "tinynext_t",
        "strides": [2, 1, 2, 2, 2],
        "macs": 16_988_928,
        "epochs": 20,
        "seconds": 3725,
        "device": "2 CPU cores",
        "probes": [probe],
    }
    return {**known, **changes}


def rows(text, name):
    return [line for line in text.splitlines() if line.startswith(f"| {name} |")]


def test_what_nobody_measured_has_no_row(table):
    assert table.markdown([]) == ""
    text = table.markdown([cell()])
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")] == [
        "method",
        "---",
        "s0-plus",
    ]
    assert "Tiny-ImageNet" not in text


def test_a_measured_cell_says_how_it_was_made(table):
    (first,) = rows(table.markdown([cell()]), "s0-plus")
    assert "| 61.2 ± 0.2 |" in first
    assert "tinynext_t (2,1,2,2,2), 17.0 M, 20, 3,725, 2 CPU cores" in first
    assert first.count("61.2") == 1  # no other fraction was measured


def test_what_a_teacher_saw_stands_beside_the_row(table):
    (line,) = rows(
        table.markdown([cell(row="best", teacher="efficientnet_lite0")]), r"best (its teacher saw ImageNet labels)"
    )
    assert "| 61.2 ± 0.2 |" in line
    assert rows(table.markdown([cell(row="best", teacher="s0-plus")]), "best")


def test_both_plans_and_a_branch_have_lines_of_their_own(table):
    cells = [cell(), cell(plan="gpu", epochs=150), cell(row="vicreg-dual/gated")]
    text = table.markdown(cells)
    assert len(rows(text, "s0-plus")) == 2
    (gated,) = rows(text, "vicreg-dual/gated")
    assert "49.02 % fewer FLOPs" in gated


def test_another_feature_has_a_line_behind_its_run_and_core_seconds_where_they_are_known(table):
    wide = cell(row="best of patches, stages 1 to 4", core_seconds=8293, epochs=24)
    text = table.markdown([wide, cell(row="best of patches", core_seconds=8293, epochs=24), cell()])
    lines = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert lines[2:] == ["s0-plus", "best of patches", "best of patches, stages 1 to 4"]
    assert "tinynext_t (2,1,2,2,2), 17.0 M, 24, 8,293 of one core |" in text


def test_a_run_that_begins_with_another_says_what_that_took(table):
    first = cell(row="best of patches", core_seconds=8293)
    second = cell(row="best of patches continued", core_seconds=4000, start="best of patches")
    third = cell(row="best of efficientnet_lite0", core_seconds=100, start="best of patches continued")
    text = table.markdown([first, second, third])
    assert "20, 4,000 of one core, after 8,293 of best of patches |" in text
    assert "20, 100 of one core, after 12,293 of best of patches continued |" in text


def test_every_teacher_and_every_start_is_a_row_before(table):
    for plan in table.PLANS.values():
        names = [row.name for row in plan]
        assert len(set(names)) == len(names)
        for index, row in enumerate(plan):
            if row.teacher is not None and row.teacher not in names[:index]:
                assert row.teacher not in names
                check_source(row.teacher)  # What `tinyedge train --teacher` takes.
            assert row.start is None or row.start in names[:index]
