"""The table of benchmarks.clusters, over the sample articles."""

from benchmarks.clusters import main
from tests.pipelines.conftest import REPOSITORY


def test_the_samples_are_five_stories_and_their_reprints_are_found(capsys):
    assert main([str(REPOSITORY / "seeds" / "articles")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["5 articles, similarity 0.5", "false copies among 10 pairs   0"]
    shares = {line[:28].strip(): line[28:].strip() for line in lines[4:-2]}
    assert shares["agency line and notice"] == "100.0%"
    assert shares["5 % of words replaced"] == "100.0%"
    assert len(shares) == 11
