"""The gateway's counts, as Prometheus reads them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counted by request, never by event."""

    def __init__(self, warned: Counter[str] | None = None) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.weak: Counter[str] = Counter()
        self._warned: Counter[str] = Counter() if warned is None else warned
        """Tracks that break their contract and are let pass, by event; the tracking plan counts them."""
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests[route, status] += 1
        self._buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def text(self, in_flight: int) -> str:
        """Return the exposition text."""
        return "\n".join((*self._lines(in_flight), ""))

    def _lines(self, in_flight: int) -> Iterator[str]:
        yield from _head("streams_gateway_requests_total", "counter", "Requests answered.")
        for (route, status), count in sorted(self.requests.items()):
            yield f'streams_gateway_requests_total{{route="{route}",status="{status}"}} {count}'
        counters = (
            ("streams_gateway_records_total", "Records acknowledged by Kafka.", "source", self.accepted),
            ("streams_gateway_refused_total", "Events that became dead letters.", "reason", self.refused),
            ("streams_gateway_weak_signatures_total", "Signed by first element only.", "source", self.weak),
            ("streams_gateway_contract_warnings_total", "Broke a contract, let pass.", "event", self._warned),
        )
        for name, says, label, counter in counters:
            yield from _head(name, "counter", says)
            yield from (
                f'{name}{{{label}="{_escaped(value)}"}} {count}' for value, count in sorted(counter.items())
            )
        yield from _head("streams_gateway_in_flight_bytes", "gauge", "Bytes not acknowledged yet.")
        yield f"streams_gateway_in_flight_bytes {in_flight}"
        yield from self._histogram()

    def _histogram(self) -> Iterator[str]:
        name = "streams_gateway_request_seconds"
        yield from _head(name, "histogram", "From the headers read to the answer made.")
        total = 0
        for bound, count in zip((*_BOUNDS, "+Inf"), self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._seconds:.6f}"
        yield f"{name}_count {total}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, kind: str, says: str) -> Iterable[str]:
    return f"# HELP {name} {says}", f"# TYPE {name} {kind}"
