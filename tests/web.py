"""What tests ask of a client, and of how it treated the sites."""

import itertools

import pytest

from transforms.deadletter import Unusable

# Seconds that a polite client of the tests leaves a host alone.
DELAY = 0.05


def failure(client, url, **options):
    """Asks for a page and gives the error that comes of it."""
    with pytest.raises(Unusable) as caught:
        client.get(url, **options)
    return caught.value


def assert_polite(*sites, delay=DELAY):
    """No site saw two requests at once, nor one before its pause was over."""
    for site in sites:
        assert [visit.others for visit in site.visits] == [0] * len(site.visits)
        for earlier, later in itertools.pairwise(sorted(site.visits, key=lambda v: v.begin)):
            assert later.begin - earlier.end >= delay
