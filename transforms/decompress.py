"""The body of an answer, decompressed as it arrives, and never past its limit."""

import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

import brotli

from transforms.deadletter import Unusable
from transforms.decode import GZIP_MAGIC

ACCEPTED = "gzip, deflate, br"
MAX_ENCODINGS = 2
# Brotli may give up to twice as many bytes at once as it is told to.
BROTLI_PIECE = 1 << 19


class Decoder(Protocol):
    """Undoes one content encoding; ``is_done`` once its data has come to its end."""

    @property
    def is_done(self) -> bool: ...

    def decode(self, data: bytes, room: int) -> bytes:
        """The next output; more than ``room`` bytes, but not many more, where it is too much."""


class Zlib:
    """gzip (RFC 1952, any number of members) and deflate, with its header or without."""

    def __init__(self, is_gzip: bool):
        self._is_gzip = is_gzip
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16) if is_gzip else None
        self.is_done = False

    def decode(self, data: bytes, room: int) -> bytes:
        output = b""
        while data and len(output) <= room:
            if self._stream is None:
                # A zlib header starts so (RFC 1950); many servers send none.
                has_header = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
                self._stream = zlib.decompressobj(zlib.MAX_WBITS * (1 if has_header else -1))
            output += self._stream.decompress(data, room + 1 - len(output))
            data, self.is_done = b"", self._stream.eof
            if self._is_gzip and self._stream.unused_data.startswith(GZIP_MAGIC):
                data = self._stream.unused_data
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return output


class Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_done(self) -> bool:
        return bool(self._stream.is_finished())

    def decode(self, data: bytes, room: int) -> bytes:
        output = bytearray()
        piece = self._stream.process(data, output_buffer_limit=BROTLI_PIECE)
        while piece:
            output += piece
            if len(output) > room:
                break
            piece = self._stream.process(b"", output_buffer_limit=BROTLI_PIECE)
        return bytes(output)


DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: Zlib(is_gzip=True),
    "x-gzip": lambda: Zlib(is_gzip=True),
    "deflate": lambda: Zlib(is_gzip=False),
    "br": Brotli,
}


class Body:
    """Takes the pieces of an answer as they arrive and gives the whole.

    Over ``max_bytes`` it raises Unusable, or keeps the start where it may be ``cut``. With
    a ``file`` the body goes there, and ``whole`` gives none.
    """

    def __init__(
        self,
        max_bytes: int,
        content_encoding: str = "",
        cut: bool = False,
        file: BinaryIO | None = None,
    ):
        self._max_bytes = max_bytes
        self._cut = cut
        self._content = bytearray()
        self._file = file
        self._size = 0
        self._has_data = False
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        unknown = [name for name in names if name not in DECODERS]
        if unknown or len(names) > MAX_ENCODINGS:
            raise Unusable("BadEncoding", f"content encoding {content_encoding!r} is not read")
        self._decoders: list[Decoder] = [DECODERS[name]() for name in reversed(names)]

    @property
    def is_full(self) -> bool:
        """Whether a body that may be cut has all that is kept of it."""
        return self._cut and self._size >= self._max_bytes

    def add(self, data: bytes) -> None:
        """Takes the next piece. Raises Unusable."""
        self._has_data = self._has_data or bool(data)
        room = self._max_bytes - self._size
        try:
            for decoder in self._decoders:
                is_last = decoder is self._decoders[-1]
                data = decoder.decode(data, room if is_last else self._max_bytes)
                if len(data) > self._max_bytes and not is_last:
                    raise self._too_large()
        except (zlib.error, brotli.error) as error:
            raise Unusable("BadEncoding", f"damaged compression: {error}") from error
        if len(data) > room and not self._cut:
            raise self._too_large()
        kept = data[:room]
        self._size += len(kept)
        if self._file is None:
            self._content += kept
        else:
            self._file.write(kept)

    def whole(self) -> bytes:
        """The body, once all has arrived. Raises Unusable where its end is missing."""
        is_cut_off = self._has_data and not all(decoder.is_done for decoder in self._decoders)
        if is_cut_off and not self.is_full:
            raise Unusable("Truncated", "compressed body ends too early", retryable=True)
        return bytes(self._content)

    def _too_large(self) -> Unusable:
        return Unusable("TooLarge", f"body is over {self._max_bytes:,} bytes")
