"""Every answer has a meaning, whatever its bytes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.klaviyo import replies
from streams.klaviyo.audience import find_profiles
from streams.klaviyo.replies import (
    Accepted,
    Conflict,
    Rejected,
    RejectedWhole,
    Stopped,
    Throttled,
    Transient,
    read,
)
from streams.klaviyo.requests import Request

SINGLE = Request("POST", "/api/events", b"{}", "event/single", ((0,),))
BULK = Request(
    "POST", "/api/event-bulk-create-jobs", b"{}", "event/bulk", ((0, 1), (2,), (3, 4, 5)), bulk=True
)
LIST = b'{"data": {"type": "list", "id": "L"}}'
ROWS = "/data/attributes/events-bulk-create/data"


def errors(*pointers: str | None, status: int = 400, **meta: str) -> bytes:
    made = [
        {"id": "1", "status": status, "code": "invalid", "title": "t", "detail": "d", "meta": meta}
        | ({"source": {"pointer": pointer}} if pointer is not None else {})
        for pointer in pointers
    ]
    return orjson.dumps({"errors": made})


@pytest.mark.parametrize(
    ("pointer", "rows"),
    [
        (f"{ROWS}/0/attributes/profile/data/attributes/email", (0, 1)),
        (f"{ROWS}/2/attributes/events/data/1/attributes/time", (4,)),
        (f"{ROWS}/1", (2,)),
    ],
)
def test_a_pointer_into_a_bulk_body_blames_its_rows(pointer: str, rows: tuple[int, ...]) -> None:
    verdict = read(400, {}, errors(pointer), BULK).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.blames[0].rows == rows


@pytest.mark.parametrize(
    "pointer", [None, "/data", f"{ROWS}/9/attributes", f"{ROWS}/0/attributes/events/data/7", ""]
)
def test_a_pointer_that_cannot_be_followed_blames_no_row(pointer: str | None) -> None:
    assert isinstance(read(400, {}, errors(f"{ROWS}/0", pointer), BULK).verdict, RejectedWhole)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (202, b"", Accepted),
        (200, b'{"data": {"type": "profile", "id"', Accepted),
        (200, b" <!DOCTYPE html><title>Maintenance</title>", Transient),
        (200, b"We are down for maintenance", Transient),
        (200, b"[]", Transient),
        (202, b"Accepted", Accepted),
        (207, b'{"data": {"id": "1"}, ' + errors("/data/attributes/time")[1:], Rejected),
        (202, orjson.dumps({"errors": []}), Accepted),
        (202, errors("/data/attributes/time"), Rejected),
        (207, errors(None), RejectedWhole),
        (400, errors("/data/attributes/time"), Rejected),
        (400, b"<html>", RejectedWhole),
        (400, b'{"errors": "none"}', RejectedWhole),
        (413, errors("/data"), RejectedWhole),
        (401, errors("/data", status=401), Stopped),
        (403, errors("/data", status=403), Stopped),
        (403, b"<!DOCTYPE html>", Transient),
        (404, b"", Stopped),
        (405, b"", Stopped),
        (408, b"", Transient),
        (410, b"", Stopped),
        (415, b"", Stopped),
        (302, b"", Stopped),
        (429, b"", Throttled),
        (500, b"", Transient),
        (503, errors("/data"), Transient),
        (524, b"<html>", Transient),
    ],
)
def test_the_table_of_answers(status: int, body: bytes, kind: type) -> None:
    assert isinstance(read(status, {}, body, SINGLE).verdict, kind)


def test_rows_that_a_409_of_many_points_at_are_to_be_asked_for_alone() -> None:
    verdict = read(409, {}, errors(f"{ROWS}/1", status=409), BULK).verdict
    assert isinstance(verdict, Rejected)
    assert (verdict.blames[0].rows, verdict.blames[0].field) == ((2,), replies.CONFLICT)


def test_a_404_of_a_job_is_about_the_job() -> None:
    asked = Request("GET", "/api/profile-bulk-import-jobs/J", b"", "x", asks=True, names=True)
    assert isinstance(read(404, {}, errors("/data/id", status=404), asked).verdict, RejectedWhole)
    assert isinstance(read(404, {}, b"<html>", asked).verdict, Stopped)


@pytest.mark.parametrize("name", ["page[cursor]", "page%5Bcursor%5D", "page%5bcursor%5d"])
def test_the_next_page_is_asked_for_as_klaviyo_names_it(name: str) -> None:
    body = orjson.dumps({"data": [], "links": {"next": f"https://k/api/lists?a=1&{name}=bmV4dA%3D%3D&b=2"}})
    asked = Request("GET", "/api/lists", b"", "list/get", asks=True)
    assert read(200, {}, body, asked).verdict == Accepted(data=[], next="bmV4dA==")


def test_what_was_made_has_a_name() -> None:
    """A list that was made, who knows which, would be made again and again."""
    made = Request("POST", "/api/lists", b"{}", "list/write", asks=True)
    for body, kind in ((b'{"data": {}}', Transient), (b'{"data": []}', Transient), (LIST, Accepted)):
        assert isinstance(read(201, {}, body, made).verdict, kind)


@pytest.mark.parametrize("data", [None, {}, "x", [None], [{"id": 5}], {"id": "01K"}], ids=str)
def test_who_was_searched_for_and_is_not_answered_about_is_not_nobody(data: Any) -> None:
    """Whoever is taken for unknown is subscribed, whatever Klaviyo knows of them; a list is made anew."""
    asked = find_profiles("email", ["a@shop.io"])
    assert isinstance(read(200, {}, orjson.dumps({"data": data}), asked).verdict, Transient)
    assert isinstance(read(200, {}, b'{"data": []}', asked).verdict, Accepted)


def test_a_property_may_be_called_as_events_are() -> None:
    jobs = Request("POST", "/api/profile-bulk-import-jobs", b"{}", "x", ((0, 1), (2, 3)), bulk=True)
    pointer = "/data/attributes/profiles/data/1/attributes/properties/events/1"
    verdict = read(400, {}, errors(pointer), jobs).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.blames[0].rows == (2, 3)


def test_a_conflict_names_the_other_profile() -> None:
    body = errors("/data/attributes", status=409, duplicate_profile_id="01GW")
    assert read(409, {}, body, SINGLE).verdict == Conflict("01GW", "HTTP 409: d")


@pytest.mark.parametrize(
    ("given_header", "seconds"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("x", 1.0),
        (None, 1.0),
        ("-3", 1.0),
        ("1e300", 86_400.0),
        ("Thu, 04 Jan 2024 18:06:25 GMT", 60.0),
        ("Thu, 04 Jan 2024 18:04:25 GMT", 1.0),
        ("Thu, 99 Jan 2024 18:04:25 GMT", 1.0),
    ],
)
def test_a_throttled_call_waits_at_least_a_second(given_header: str | None, seconds: float) -> None:
    headers = {"date": "Thu, 04 Jan 2024 18:05:25 GMT"}
    headers |= {} if given_header is None else {"retry-after": given_header}
    assert read(429, headers, b"", SINGLE).verdict == Throttled(seconds)


@pytest.mark.parametrize(
    ("status", "given_header", "seconds"),
    [(503, "20", 20.0), (503, None, 0.0), (503, "3600", 300.0), (403, "7", 7.0), (500, "20", 0.0)],
)
def test_an_outage_may_say_how_long_to_rest(status: int, given_header: str | None, seconds: float) -> None:
    """One row may be the cause of a 500: that must not hold up the others."""
    headers = {} if given_header is None else {"retry-after": given_header}
    verdict = read(status, headers, b"<html>", SINGLE).verdict
    assert isinstance(verdict, Transient)
    assert verdict.retry_after == seconds


def test_fields_that_were_ignored_are_told() -> None:
    headers = {"x-klaviyo-partial-failure": "phone_number, email"}
    assert read(202, headers, b"", SINGLE).verdict == Accepted(("phone_number", "email"))


def test_the_klaviyo_id_is_read() -> None:
    body = b'{"data": {"type": "profile", "id": "01ABC"}}'
    assert read(201, {}, body, SINGLE).verdict == Accepted((), "01ABC")


def test_the_steady_window_is_read() -> None:
    headers = {"ratelimit-limit": "150", "ratelimit-remaining": "149", "ratelimit-reset": "12"}
    assert read(202, headers, b"", SINGLE).window == replies.Window(150, 149, 12.0)
    assert read(202, {"ratelimit-limit": "150"}, b"", SINGLE).window is None


def test_a_window_that_ends_at_no_time_at_all_is_no_window() -> None:
    """An epoch in the place of seconds would hold the budget for ever."""
    headers = {"ratelimit-limit": "150", "ratelimit-remaining": "0", "ratelimit-reset": "1790000000"}
    assert read(202, headers, b"", SINGLE).window is None


def test_a_404_that_points_at_a_row_is_about_that_row() -> None:
    """A profile that was merged at Klaviyo: the others on the list's call must not wait for it."""
    members = Request("POST", "/api/lists/L/relationships/profiles", b"", "x", ((0,), (1,)), bulk=True)
    verdict = read(404, {}, errors("/data/1/id", status=404), members).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.blames[0].rows == (1,)
    for asked in (members, SINGLE):
        assert isinstance(read(404, {}, errors("/data/id", status=404), asked).verdict, Stopped)


def test_a_pointer_in_the_answer_to_a_question_about_many_blames_none_of_them() -> None:
    asked = Request("GET", "/api/profiles", b"", "profile/get", asks=True)
    assert isinstance(read(400, {}, errors("/data/attributes/email"), asked).verdict, RejectedWhole)


@given(
    st.integers(200, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "ratelimit-limit", "ratelimit-reset"]), st.text(max_size=8)
    ),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["errors", "source", "pointer", "data", "meta", "id"]), inner, max_size=4
                )
            ),
        ).map(
            lambda value: orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME) if _fits(value) else b""
        ),
    ),
    st.sampled_from([SINGLE, BULK]),
)
def test_no_answer_is_too_strange(
    status: int, headers: dict[str, str], body: bytes, request: Request
) -> None:
    reply = read(status, headers, body, request)
    assert reply.status == status
    assert len(reply.text) <= replies.SHOWN


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
