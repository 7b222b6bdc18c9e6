"""The check-up's questions over HTTP: Klaviyo's resources, and counts of processes beside this one."""

import json
import re
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from streams.config import Config
from streams.config.model import Account
from streams.klaviyo.revision import MEDIA_TYPE
from streams.ledger.account_rules import Answer

PATIENCE_S: Final = 10.0
MOST_PAGES: Final = 20
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def find_list(account: Account, wanted_list: str) -> Answer:
    """A list by its name, else by its id."""
    by_name = ask(account, "/api/lists", filter="equals(name," + json.dumps(wanted_list) + ")")
    if by_name.status != 200 or by_name.data:
        return by_name
    return ask(account, f"/api/lists/{quote(wanted_list, safe='')}")


def find_metrics(account: Account) -> tuple[Answer, set[str]]:
    """The last page's answer, and the names on all of them."""
    known: set[str] = set()
    answer = ask(account, "/api/metrics")
    for _ in range(MOST_PAGES):
        known |= {str(each.get("attributes", {}).get("name")) for each in answer.data}
        onward = (answer.body.get("links") or {}).get("next")
        if not onward:
            break
        parts = urlsplit(onward)  # whatever host it names, the key goes to ours alone
        answer = _get(f"{account.klaviyo.url}{parts.path}?{parts.query}", account)
    return answer, known


def ask(account: Account, path: str, **query: str) -> Answer:
    """GET of one account."""
    return _get(account.klaviyo.url + path + (f"?{urlencode(query)}" if query else ""), account)


def _get(address: str, account: Account) -> Answer:
    headers = {
        "Authorization": f"Klaviyo-API-Key {account.klaviyo.api_key.get_secret_value()}",
        "revision": account.revision,
        "Accept": MEDIA_TYPE,
    }
    try:
        before = time.time()
        status, content, said = _fetch(address, headers)
        ahead_ms = _ahead_ms(said, (before + time.time()) / 2)
        body: Any = json.loads(content) if content else {}
    except (OSError, HTTPException) as why:
        return Answer(0, says=str(getattr(why, "reason", why)))
    except ValueError:
        return Answer(0, says="with JSON")
    return Answer(status, body if isinstance(body, dict) else {}, ahead_ms=ahead_ms)


def _ahead_ms(said: str | None, now: float) -> float | None:
    """How far this clock is before a ``Date``, which is cut to its second; None if it is none."""
    try:
        return (now - parsedate_to_datetime(said or "").timestamp() - 0.5) * 1000
    except ValueError:
        return None


def counts(config: Config, further: int, name: str) -> list[tuple[dict[str, str], int]] | None:
    """Labels and value of each count of that name, from the admin port so far behind the gateway's."""
    at = f"http://{config.gateway.host}:{config.gateway.admin_port + further}/metrics"
    try:
        _, content, _ = _fetch(at, {})
    except (OSError, HTTPException):
        return None
    lines = content.decode(errors="replace").splitlines()
    found = [line.partition("{")[2].partition("} ") for line in lines if line.startswith(name + "{")]
    return [(dict(_LABEL.findall(labels)), int(float(count))) for labels, _, count in found]


def _fetch(address: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    """GET: status, body and ``Date``, whatever the status. Raises OSError, HTTPException."""
    opener = build_opener(ProxyHandler({}), _Stay())
    try:
        with opener.open(Request(address, headers=headers), timeout=PATIENCE_S) as reply:
            return reply.status, reply.read(), reply.headers["Date"]
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read(), refused.headers["Date"]


class _Stay(HTTPRedirectHandler):
    """A redirect is an answer: followed, it would carry the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""
