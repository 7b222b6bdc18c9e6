"""OpenTelemetry's counts in Prometheus' text format. Pure."""

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics.export import (
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    Sum,
)


def exposition(data: MetricsData) -> str:
    """All metrics, version 0.0.4 of the format."""
    found = (m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics)
    return "".join(f"{line}\n" for metric in found for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    if isinstance(metric.data, Histogram):
        kind, name = "histogram", metric.name
    elif isinstance(metric.data, Sum) and metric.data.is_monotonic:
        kind, name = "counter", metric.name.removesuffix("_total") + "_total"
    else:
        kind, name = "gauge", metric.name
    yield f"# HELP {name} {metric.description or ''}"
    yield f"# TYPE {name} {kind}"
    for point in metric.data.data_points:
        labels = point.attributes or {}
        if isinstance(point, HistogramDataPoint):
            yield from _histogram(name, labels, point)
        else:
            yield f"{name}{_labels(labels)} {getattr(point, 'value', 0)}"


def _histogram(name: str, labels: Mapping[str, object], point: HistogramDataPoint) -> Iterator[str]:
    total = 0
    for bound, count in zip((*point.explicit_bounds, "+Inf"), point.bucket_counts, strict=True):
        total += count
        yield f"{name}_bucket{_labels({**labels, 'le': bound})} {total}"
    yield f"{name}_sum{_labels(labels)} {point.sum}"
    yield f"{name}_count{_labels(labels)} {point.count}"


def _labels(labels: Mapping[str, object]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
