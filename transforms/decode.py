"""Bytes made into text: compression undone within a limit, the encoding found."""

import zlib

from charset_normalizer import from_bytes
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding

from transforms.deadletter import Unusable

GZIP_MAGIC = b"\x1f\x8b"
# Bytes that no text encoding but UTF-16 and UTF-32 uses.
BINARY_HEAD_BYTES = 4096
# The share of characters that may be damaged in a page of the encoding that it declares.
MOST_DAMAGED = 0.01
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """``body`` without gzip compression (RFC 1952), as it is where there is none.

    Raises Unusable where it is damaged or would pass ``max_bytes``.
    """
    if not body.startswith(GZIP_MAGIC):
        return body
    content, rest = bytearray(), body
    # A file may hold several members, one after the other; what else follows is padding.
    while rest.startswith(GZIP_MAGIC):
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content += decompressor.decompress(rest, max_bytes + 1 - len(content))
        except zlib.error as error:
            raise Unusable("BadGzip", f"damaged gzip: {error}") from error
        if len(content) > max_bytes:
            raise Unusable("TooLarge", f"over {max_bytes:,} bytes after decompression")
        if not decompressor.eof:
            raise Unusable("BadGzip", "gzip data ends too early")
        rest = decompressor.unused_data
    return bytes(content)


def is_binary(body: bytes) -> bool:
    """Whether the bytes are no text in any encoding: they hold a NUL and no UTF-16 mark."""
    return b"\0" in body[:BINARY_HEAD_BYTES] and not body.startswith(UTF16_MARKS)


def decode_head(body: bytes, size: int) -> str:
    """The start of a text, at most ``size`` bytes of it, good enough to look for markup in."""
    head = body[:size]
    encoding = "utf-16" if head.startswith(UTF16_MARKS) else "utf-8-sig"
    return head.decode(encoding, "replace")


def utf8_page(body: bytes, content_type: str | None) -> bytes:
    """An HTML page in UTF-8, where it is in an encoding that it or its server declares.

    Servers go before pages (HTML Standard, encoding sniffing algorithm). A page that is
    UTF-8 already, declares nothing or is not what it declares stays as it is.
    """
    try:
        body.decode("utf-8")
        return body
    except UnicodeDecodeError:
        pass
    for encoding in (http_content_type_encoding(content_type), html_body_declared_encoding(body)):
        if encoding is not None and encoding != "utf-8":
            text = body.decode(encoding, "replace")
            if text.count("\ufffd") <= MOST_DAMAGED * len(text):
                return text.encode()
    return body


def decode_text(body: bytes) -> str:
    """Text of unknown encoding: UTF-8 where valid, else the most likely one.

    Raises Unusable where no encoding fits.
    """
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    best = from_bytes(body).best()
    if best is None:
        raise Unusable("UnknownEncoding", "text is in no known encoding")
    return str(best)
