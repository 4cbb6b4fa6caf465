"""The encoding of a page: what it declares, where it is that."""

import pytest

from transforms.decode import utf8_page
from transforms.extract import extract_article

CHINESE = (
    "\u5728\u6cb3\u8fb9\u7684\u57ce\u5e02\u91cc\uff0c\u4e24\u519b\u540c\u610f\u505c\u706b\u3002"
)


def chinese_page(declared):
    paragraphs = "".join(f"<p>{CHINESE * 4}{number}</p>" for number in range(6))
    html = f"<html><head>{declared}<title>{CHINESE}</title></head><body><article>{paragraphs}"
    return html.encode("gbk")


@pytest.mark.parametrize(
    ("declared", "content_type"),
    [
        ('<meta http-equiv="Content-Type" content="text/html;charset=gb2312">', None),
        ("<meta charset=gbk>", "text/html"),
        ("<meta charset=utf-8>", "text/html; charset=GBK"),
    ],
)
def test_a_page_is_read_as_it_or_its_server_declares(declared, content_type, page):
    body = chinese_page(declared)
    article = extract_article(page(body, "https://a.example/1", content_type))
    assert CHINESE in article.text
    assert (article.title, article.lang) == (CHINESE, "zh")


def test_what_a_page_declares_wrongly_does_not_count():
    body = "<meta charset=ascii><p>caf\xe9 \u2013 na\xefve</p>".encode()
    assert utf8_page(body, "text/html; charset=latin-1") == body
    binary = b"<meta charset=shift_jis>" + bytes(range(128, 256)) * 4
    assert utf8_page(binary, None) == binary
