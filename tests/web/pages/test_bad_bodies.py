"""Bodies that no form of ours sends: refused with a page, never with an error of ours."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import Site

FORM = "application/x-www-form-urlencoded"
BAD: list[tuple[bytes, str, int]] = [
    (b"x=" + b"y" * 9000, FORM, 413),
    (b"&".join(b"a%d=1" % n for n in range(51)), FORM, 400),
    (b"no equals sign", FORM, 400),
    (b"a=\xff\xfe", FORM, 400),
    (b"a=%ff%fe", FORM, 400),
    (b"a=%00", FORM, 400),
    (b"a=%ed%a0%80", FORM, 400),
    (b"%00=a", FORM, 400),
    (b'{"address": "bo@example.com"}', "application/json", 415),
    (b"<a/>", "text/xml", 415),
    (b"a=1", "text/plain", 415),
    (b"a=1", "", 415),
    (b"a=1", f"{FORM}; charset=utf-16", 415),
    (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 415),
    (b"a=1", f"{FORM}, {FORM}", 415),
]


def doors(site: Site) -> list[str]:
    person = f"/p/{site.token(Link.PREFERENCES)}"
    agree = [f"/a/old/{site.token(Link.AGREE_OLD)}", f"/a/new/{site.token(Link.AGREE_NEW)}"]
    more = [person, f"{person}/address", f"{person}/leave", f"{person}/erase"]
    return ["/subscribe", f"/c/{site.token(Link.CONFIRM)}", *more, *agree]


def send(site: Site, path: str, body: bytes, kind: str) -> httpx.Response:
    headers = {"Content-Type": kind} if kind else {}
    return site.web.post(path, content=body, headers=headers)


@pytest.mark.parametrize(("body", "kind", "status"), BAD)
def test_a_body_that_is_no_form_is_refused_everywhere(
    site: Site, body: bytes, kind: str, status: int
) -> None:
    before = site.everything()
    for path in doors(site):
        answer = send(site, path, body, kind)
        assert answer.status_code == status, path
        assert "This could not be read" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert site.everything() == before


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=UTF-8", f'{FORM};charset="utf-8"'])
def test_a_form_is_taken_however_its_type_is_written(site: Site, kind: str) -> None:
    body = f"address=bo%40example.com&list=weekly&form={site.shown()}"
    assert send(site, "/subscribe", body.encode(), kind.upper()).status_code == 303


def test_a_body_whose_length_is_a_lie_or_that_comes_in_pieces_is_measured(site: Site) -> None:
    def pieces() -> Any:
        for _ in range(100):
            yield b"a=" + b"b" * 998 + b"&"

    answer = site.web.post("/subscribe", content=pieces(), headers={"Content-Type": FORM})
    assert answer.status_code == 413


field = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["'; DROP TABLE subscribers;--", "{{7*7}}", "<script>", "\r\nBcc: x", "%n%s"]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(
            ["address", "name", "language", "list", "form", "proof", "day", "frequency", "do"]
        ),
        field,
    )
)
def test_whatever_is_written_into_a_field_there_is_never_an_error_of_ours(
    site: Site, fields: dict[str, str]
) -> None:
    whole = {"form": site.shown(), **fields}
    for path in doors(site):
        if not path.endswith("/erase"):
            try:
                answer = site.web.post(path, data=whole)
            except UnicodeEncodeError:  # half a character: no program can send it
                return
            assert answer.status_code < 500, (path, whole)
            assert "<script>" not in answer.text


@given(st.binary(max_size=200))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_bytes_a_body_has_there_is_never_an_error_of_ours(site: Site, body: bytes) -> None:
    for path in doors(site):
        if not path.endswith("/erase"):
            assert send(site, path, body, FORM).status_code < 500
