"""What a run shows of itself while it is under way."""

import pytest

from pipelines.progress import SHOWN, Rate, progress_line
from transforms.count import in_process


def test_the_rate_is_that_of_the_last_half_minute():
    rate = Rate(100.0)
    assert rate.at(100.0, 0) == 0.0
    assert rate.at(110.0, 50) == pytest.approx(5.0)
    assert rate.at(120.0, 50) == pytest.approx(2.5)
    for second in range(130, 180, 10):
        last = rate.at(float(second), 50)
    assert last == 0.0
    assert rate.at(180.0, 350) == pytest.approx(10.0)


def test_the_line_of_a_run_ends_with_its_rate():
    in_process.clear()
    in_process.update({"articles": 1200, "errors_fetch": 2, "errors_read": 1})
    line = progress_line(SHOWN, 41.26)
    assert "1,200 articles" in line
    assert line.endswith("3 dead letters, 41.3 articles/s")
    assert "articles/s" not in progress_line(("files_replaced",), 1.0)
    in_process.clear()
