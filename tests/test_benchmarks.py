"""The benchmarks run and print their tables; what they measure is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.__main__ import SUBJECTS, main
from benchmarks.common import Figure, Table, figures, percentile

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="CPU time is read from Linux's /proc"
)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_prints_its_figures_beside_their_targets(
    subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([subject, "--tiny"])
    out = capsys.readouterr().out
    assert f"{subject}: figures and targets" in out
    *_, last = [line.split() for line in out.splitlines() if "<=" in line or ">=" in line]
    assert any(char.isdigit() for char in last[-1])


def test_an_unknown_subject_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rythm"])
    assert "no such subject: rythm" in capsys.readouterr().err


def test_columns_of_a_table_are_as_wide_as_their_widest_cell() -> None:
    table = str(Table("title", ("name", "ms"), [("a", "1.00"), ("longer", "12.00")]))
    assert table.splitlines()[1:] == [
        "name       ms",
        "------  -----",
        "a        1.00",
        "longer  12.00",
    ]


def test_a_figure_stands_beside_its_targets() -> None:
    table = str(figures("replay", [Figure("CPU / bare", "1.20", "<= 1.35", "<= 1.0")]))
    assert table.splitlines()[-1].split() == ["CPU", "/", "bare", "1.20", "<=", "1.35", "<=", "1.0"]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(each) for each in range(1, 101)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0
    assert percentile([7.0], 0.999) == 7.0
