"""What `/metrics` says, for Prometheus: of one process, or of all that serve on one port."""

from __future__ import annotations

import os
from collections import Counter as Counts
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from serve.registry import Registry

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder through which processes add up their metrics, set before they start."""


class Metrics:
    """Counters of one server. Safe to use from several threads."""

    def __init__(self, models: Registry, queue_length: Callable[[], int]) -> None:
        self._models, self._queue_length = models, queue_length
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "graft_requests", "Requests answered.", ("method", "path", "status"), registry=registry
        )
        self._latency = Histogram(
            "graft_request_seconds",
            "From the first byte of the request's head to the end of the answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self._run = Histogram(
            "graft_model_seconds",
            "Of the model alone, for one image.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self._images = Histogram(
            "graft_request_images",
            "Images in one request.",
            ("model",),
            buckets=IMAGES,
            registry=registry,
        )
        self._queue = Gauge(
            "graft_queue_requests",
            "Requests that run or wait.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._loads = Counter(
            "graft_model_loads",
            "Model files that were loaded or refused, by each process.",
            ("model", "outcome"),
            registry=registry,
        )
        self._counted: Counts[tuple[str, str]] = Counts()

    def count_request(self, method: str, path: str, status: int | str, seconds: float) -> None:
        """Count an answered request; `path` is the endpoint's, with names in place of values."""
        self._requests.labels(method, path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def count_images(self, model: str, images: int) -> None:
        """Count a request for a model by its images."""
        self._images.labels(model).observe(images)

    def count_run(self, model: str, seconds: float) -> None:
        """Count an image that a model answered."""
        self._run.labels(model).observe(seconds)

    def update(self) -> None:
        """Note the queue and the loaded files of this process, which another one may be asked for."""
        self._queue.set(self._queue_length())
        new = self._models.changes - self._counted
        for labels, count in new.items():
            self._loads.labels(*labels).inc(count)
        self._counted += new

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format; of several processes, the sums."""
        self.update()
        whole = CollectorRegistry()
        whole.register(_Loaded(self._models))
        if SHARED_FOLDER in os.environ:
            MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        else:
            whole.register(self._registry)
            ProcessCollector(registry=whole)
            PlatformCollector(registry=whole)
        return generate_latest(whole)


def forget_process(folder: str, number: int) -> None:
    """Let the requests that a process held when it failed count no longer."""
    mark_process_dead(number, folder)  # type: ignore[no-untyped-call]


class _Loaded(Collector):
    """The models as they are now, of which all processes have the same."""

    def __init__(self, models: Registry) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families."""
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
