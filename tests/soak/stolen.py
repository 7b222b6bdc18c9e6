"""Another client takes 30 % of the same budget, whenever it likes."""

import random
import threading
import time
import urllib.error
import urllib.request

from streams.klaviyo.revision import MEDIA_TYPE, REVISION
from tests.bench.place import Place
from tests.soak.backlog import BULK, LATENCY_MS, SINGLE, flood
from tests.soak.kept import kept
from tests.soak.place import KEY, Line, line
from tests.soak.results import Row
from tests.soak.windows import use

SHARE = 0.3
NAME = "another-client"


class Thief(threading.Thread):
    """Makes calls of its own at random moments, with the account's own key."""

    def __init__(self, url: str, path: str, a_minute: float) -> None:
        super().__init__(daemon=True)
        self._address, self._rate = url + path, a_minute / 60
        self._chance = random.Random(path)
        self.over = threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        headers = {
            "Authorization": f"Klaviyo-API-Key {KEY}",
            "revision": REVISION,
            "Content-Type": MEDIA_TYPE,
            "User-Agent": NAME,
        }
        while not self.over.wait(self._chance.expovariate(self._rate)):
            request = urllib.request.Request(self._address, b"{}", headers)
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except urllib.error.HTTPError as refused:
                refused.close()  # 400: the call counts, nothing is stored


def _report(at: Line, until: float) -> list[Row]:
    rows, asked, refused = [], 0, 0
    for lane, steady in (("events", BULK), ("profiles", SINGLE)):
        calls = [r for r in at.klaviyo.requests(lane) if r["path"] != "/api/events"]
        own = [r for r in calls if r["headers"].get("user-agent") != NAME]
        asked += len(own)
        refused += sum(r["status"] == 429 for r in own)
        both, alone = use(calls, steady, until), use(own, steady, until)
        note = f"own {alone}; with the other's {both}"
        rows.append(Row(f"stolen.{lane}.used", round(both.share * 100, 1), 100.0, "%", note=note))
    note = f"{refused} of {asked}"
    return [*rows, Row("stolen.http_429", round(100 * refused / max(asked, 1), 3), 0.1, "%", note=note)]


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Both budgets shared with another client."""
    with line(place, LATENCY_MS) as at:
        flood(at, rows)
        at.worker()
        thieves = [
            Thief(at.klaviyo.url, "/api/event-bulk-create-jobs", SHARE * BULK),
            Thief(at.klaviyo.url, "/api/profile-import", SHARE * SINGLE),
        ]
        for thief in thieves:
            thief.start()
        time.sleep(seconds or 330)
        found = _report(at, time.time())
        for thief in thieves:
            thief.over.set()
            thief.join()
        at.feeds[1].stop()
        return [*found, *kept("stolen", at)]
