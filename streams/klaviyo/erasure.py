"""Erasure: the call after which Klaviyo forgets a person. Pure."""

from collections.abc import Mapping

import orjson

from streams.klaviyo.budgets import ERASE
from streams.klaviyo.requests import Request


def erase(who: Mapping[str, str]) -> Request:
    """POST /api/data-privacy-deletion-jobs: 202, no body; one identifier: address, number, Klaviyo's id.

    Every profile that has it is erased, later and without a status to ask for.
    """
    name = next(name for name in ("email", "phone_number", "id") if name in who)
    resource = {"id": who[name], "attributes": {}} if name == "id" else {"attributes": {name: who[name]}}
    profile = {"data": {"type": "profile", **resource}}
    data = {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}
    body = orjson.dumps({"data": data})
    return Request("POST", "/api/data-privacy-deletion-jobs", body, ERASE, ((0,),))
