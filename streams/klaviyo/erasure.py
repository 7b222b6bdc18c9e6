"""Erasure: the call after which Klaviyo forgets a person. Pure."""

from collections.abc import Mapping

import orjson

from streams.klaviyo.requests import Request


def erase(who: Mapping[str, str]) -> Request:
    """POST /api/data-privacy-deletion-jobs: 202, no body; one identifier, the address before the number.

    Every profile that has it is erased, later and without a status to ask for.
    """
    name = "email" if "email" in who else "phone_number"
    profile = {"data": {"type": "profile", "attributes": {name: who[name]}}}
    data = {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}
    body = orjson.dumps({"data": data})
    return Request("POST", "/api/data-privacy-deletion-jobs", body, "erase", ((0,),))
