"""What `/metrics` says, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from serve.registry import Registry

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server. Safe to use from several threads."""

    def __init__(self, models: Registry, queue_length: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_State(models, queue_length))
        self._requests = Counter(
            "graft_requests", "Requests answered.", ("method", "path", "status"), registry=self._registry
        )
        self._latency = Histogram(
            "graft_request_seconds",
            "From the first byte of the request's head to the end of the answer.",
            ("path",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._run = Histogram(
            "graft_model_seconds",
            "Of the model alone, for one image.",
            ("model",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._images = Histogram(
            "graft_request_images",
            "Images in one request.",
            ("model",),
            buckets=IMAGES,
            registry=self._registry,
        )

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request; `path` is the endpoint's, with names in place of values."""
        self._requests.labels(method, path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def count_images(self, model: str, images: int) -> None:
        """Count a request for a model by its images."""
        self._images.labels(model).observe(images)

    def count_run(self, model: str, seconds: float) -> None:
        """Count an image that a model answered."""
        self._run.labels(model).observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """What is read when it is asked for: the queue, and the models."""

    def __init__(self, models: Registry, queue_length: Callable[[], int]) -> None:
        self._models, self._queue_length = models, queue_length

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the families."""
        yield GaugeMetricFamily(
            "graft_queue_requests", "Requests that run or wait.", value=self._queue_length()
        )
        labels = ("model", "version", "task", "created")
        loaded = GaugeMetricFamily("graft_model_info", "1 for each model that is served.", labels=labels)
        for name, versions in self._models.models.items():
            for version, one in versions.items():
                about = one.predictor.metadata
                loaded.add_metric((name, version, about.task, about.created), 1)
        yield loaded
        yield GaugeMetricFamily(
            "graft_model_errors", "Model files that are refused now.", value=len(self._models.errors)
        )
        loads = CounterMetricFamily(
            "graft_model_loads", "Model files that were loaded or refused.", labels=("model", "outcome")
        )
        for (name, outcome), count in self._models.changes.copy().items():
            loads.add_metric((name, outcome), count)
        yield loads
