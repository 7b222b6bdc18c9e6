"""A webhook is let in by the bytes it was signed with, and by no others."""

import hmac
import time
from hashlib import sha1, sha256

import pytest

from streams.gateway.signatures import KlaviyoHeaders, Signed, first_element, klaviyo, segment

SECRETS = ("new", "old")


def hex1(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, sha1).hexdigest()


@pytest.mark.parametrize("secret", SECRETS)
def test_either_secret_signs_while_rotating(secret: str) -> None:
    body = b'{"type":"track"}'

    assert segment(SECRETS, body, hex1(secret, body), None) is Signed.WHOLE
    assert segment(SECRETS, body, None, hex1(secret, body).upper()) is Signed.WHOLE


def test_an_array_signed_by_its_first_element_is_let_in_as_weak() -> None:
    first = rb'{"a": "}\"{", "b": {"c": [1]}}'
    body = b" [ " + first + b', {"a": 2}]'

    assert segment(SECRETS, body, None, hex1("new", first)) is Signed.FIRST
    assert segment(SECRETS, body, None, hex1("new", body)) is Signed.WHOLE


def test_the_whole_body_signature_can_not_be_bypassed_by_the_weak_one() -> None:
    body = b"[{},{}]"

    assert segment(SECRETS, body, "0" * 40, hex1("new", body)) is Signed.NOT


@pytest.mark.parametrize("given", [None, "", "zz", "é", "0" * 40])
def test_what_does_not_fit_is_not_let_in(given: str | None) -> None:
    assert segment(SECRETS, b"{}", given, None) is Signed.NOT
    assert segment(SECRETS, b"{}", None, given) is Signed.NOT


def test_without_secrets_nothing_fits() -> None:
    assert segment((), b"{}", hex1("", b"{}"), None) is Signed.NOT


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b"[1,2]", b"{}", b'["{}"]', b"[{", b'[{"a":"\\', b"x[{}]"]
)
def test_only_an_array_with_an_object_first_has_a_first_element(body: bytes) -> None:
    assert first_element(body) is None


STAMP = "Thu, 04 Jan 2024 18:05:25 GMT"
STAMP_MS = 1_704_391_525_000
ID = "a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"
BODY = (
    b'{"data":[{"external_id":"4L3cwQae2TX","topic":"event:klaviyo.sent_sms"}],'
    b'"meta":{"klaviyo_webhook_id":"' + ID.encode() + b'"}}'
)
VECTOR = "5aa0e720d80b3a04ca04baf3c65cdfe31da57504af69fee8da29c35d45f0596b"


def test_klaviyos_vector_is_accepted() -> None:
    headers = KlaviyoHeaders(ID, STAMP, VECTOR)

    assert klaviyo(("other", "klaviyo-test-secret"), BODY, headers, STAMP_MS + 10_000, 300) is None


@pytest.mark.parametrize(
    ("headers", "now", "says"),
    [
        (KlaviyoHeaders(None, STAMP, VECTOR), STAMP_MS, "required"),
        (KlaviyoHeaders(ID, None, VECTOR), STAMP_MS, "required"),
        (KlaviyoHeaders(ID, STAMP, None), STAMP_MS, "required"),
        (KlaviyoHeaders(ID, STAMP, "0" * 64), STAMP_MS, "does not fit"),
        (KlaviyoHeaders(ID, "Thu, 04 Jan 2024 18:05:26 GMT", VECTOR), STAMP_MS, "does not fit"),
        (KlaviyoHeaders(ID, STAMP, VECTOR), STAMP_MS + 301_000, "away from this clock"),
        (KlaviyoHeaders(ID, STAMP, VECTOR), STAMP_MS - 301_000, "away from this clock"),
    ],
)
def test_klaviyos_refusals_say_why(headers: KlaviyoHeaders, now: int, says: str) -> None:
    wrong = klaviyo(("klaviyo-test-secret",), BODY, headers, now, 300)

    assert wrong is not None
    assert says in wrong


def test_an_unreadable_timestamp_is_refused_even_when_signed() -> None:
    signature = hmac.new(b"s", b"{}" + b"soon", sha256).hexdigest()

    assert klaviyo(("s",), b"{}", KlaviyoHeaders(ID, "soon", signature), STAMP_MS, 300) is not None


@pytest.mark.parametrize("stamp", [STAMP, STAMP.replace("GMT", "-0000"), STAMP.removesuffix(" GMT")])
def test_a_timestamp_is_utc_whatever_the_machines_zone_is(
    stamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = hmac.new(b"s", BODY + stamp.encode(), sha256).hexdigest()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()

    try:
        assert klaviyo(("s",), BODY, KlaviyoHeaders(ID, stamp, signature), STAMP_MS, 1) is None
    finally:
        monkeypatch.undo()
        time.tzset()
