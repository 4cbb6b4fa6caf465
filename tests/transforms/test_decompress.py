"""Compressed bodies: bombs, truncated ones, and those that are well."""

import gzip
import zlib

import brotli
import pytest

from transforms.deadletter import Unusable
from transforms.decompress import BROTLI_PIECE, Body
from transforms.http import HttpClient

LIMIT = 100_000
BOMB = bytes(50_000_000)


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def fast_brotli(data):
    return brotli.compress(data, quality=1)


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": fast_brotli,
    "gzip, br": lambda data: fast_brotli(gzip.compress(data)),
    "identity, gzip": gzip.compress,
}


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_never_held_expanded(encoding):
    """What one step may give is bounded, so is what is kept: nothing is measured by chance."""
    packed = PACKERS[encoding](BOMB)
    assert len(packed) < 300_000
    body = Body(LIMIT, encoding)
    held = 0
    with pytest.raises(Unusable) as caught:
        for start in range(0, len(packed), 10_000):
            body.add(packed[start : start + 10_000])
            held = max(held, len(body._content))
    assert caught.value.error_type == "TooLarge"
    assert held <= LIMIT
    for decoder in Body(LIMIT, encoding)._decoders[:1]:
        assert len(decoder.decode(packed, LIMIT)) <= LIMIT + 1 + 2 * BROTLI_PIECE


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_from_a_server_is_too_large(encoding, refused, site, answer):
    site.replies["/"] = [answer(PACKERS[encoding](BOMB), f"Content-Encoding: {encoding}")]
    error = refused(max_bytes=400_000)
    assert (error.error_type, error.retryable) == ("TooLarge", False)


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_compressed_body_of_just_the_limit_is_read_whole(encoding, step):
    text = bytes(range(256)) * (LIMIT // 256)
    body, packed = Body(len(text), encoding), PACKERS[encoding](text)
    for start in range(0, len(packed), step):
        body.add(packed[start : start + step])
    assert body.whole() == text


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_compressed_body_without_its_end_may_be_whole_the_next_time(
    encoding, refused, site, http_policy, answer
):
    packed = PACKERS[encoding](b"A text. " * 100)
    header = f"Content-Encoding: {encoding}"
    site.replies["/"] = [answer(packed[:-6], header), answer(packed, header)]
    assert HttpClient(http_policy(attempts=2)).get(site.url()).body == b"A text. " * 100
    site.replies["/cut"] = [answer(packed[:-6], header)]
    assert (refused("/cut").error_type, refused("/cut").retryable) == ("Truncated", True)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "compress", "gzip, gzip, gzip"])
def test_a_body_that_is_not_in_its_encoding_is_refused(encoding, refused, site, answer):
    site.replies["/"] = [answer(b"<html>not packed</html>", f"Content-Encoding: {encoding}")]
    assert refused().error_type in ("BadEncoding", "Truncated")


def test_gzip_members_are_one_body():
    body = Body(LIMIT, "gzip")
    body.add(gzip.compress(b"one, ") + gzip.compress(b"two"))
    assert body.whole() == b"one, two"


def test_an_empty_body_needs_no_compression(http_policy, site, answer):
    site.replies["/"] = [answer(b"", "Content-Encoding: gzip")]
    assert HttpClient(http_policy()).get(site.url()).body == b""
