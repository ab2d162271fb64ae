"""Folders of models as Triton and KServe read them, from a run's checked file; `graft serve` reads them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from files import replacing
from serve.artifact import CHANNELS, FILE_NAME, INPUT, UNKNOWN, ArtifactError, Metadata, find_artifact
from serve.model import read_metadata
from serve.tasks import Output, find_task

LABELS, CONFIG, SERVICE = "labels.txt", "config.pbtxt", "inference-service.yaml"
TYPES = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
"""Names of Triton for those of onnxruntime."""
IMAGE = "graft-serve:latest"
"""The image that `deploy/Dockerfile` makes."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Names of folders and of models in addresses."""


def write_models(layout: str, run: str | Path, out: Path, name: str | None = None) -> Path:
    """Add a run's model to a folder of models: `NAME/VERSION/model.onnx`, the version after the last.

    `layout` is triton or kserve; `name` is that of the spec by default. Out: the file.
    Raises: ArtifactError if the run has no usable file, or the name or folder cannot be used.
    """
    source = find_artifact(run)
    metadata = read_metadata(source)
    name = name or metadata.spec
    if not NAME.fullmatch(name):
        raise ArtifactError(
            f"{name!r} cannot name a model here. Expected letters, digits and . _ -, at most 63: see --name"
        )
    try:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        CONFIGURE[layout](out, name, metadata)
        versions = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()]
        path = folder / str(max(versions, default=0) + 1) / FILE_NAME
        path.parent.mkdir()
        with replacing(path) as new:
            shutil.copyfile(source, new)
    except OSError as error:
        raise ArtifactError(f"{error.filename}: cannot be written: {error.strerror}. See --out") from error
    return path


def _write_triton(out: Path, name: str, metadata: Metadata) -> None:
    """Write the names of the classes, and what Triton needs to know of the file."""
    outputs = [find_task(metadata.task).output, *([] if metadata.unknown is None else [UNKNOWN])]
    blocks = [_block("input", INPUT, [-1, -1, -1, CHANNELS])]
    for output in outputs:
        classes = output.rank == 2  # noqa: PLR2004  batch and classes
        dims = [-1, len(metadata.labels)] if classes else [-1] * output.rank
        blocks.append(_block("output", output, dims, LABELS if classes else None))
    # The batch is a dimension like the others: batches of Triton's own would need images of equal size.
    head = f'name: {json.dumps(name)}\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
    _write(out / name / CONFIG, head + "".join(blocks))
    _write(out / name / LABELS, "".join(f"{' '.join(label.split())}\n" for label in metadata.labels))


def _block(kind: str, tensor: Output, dims: list[int], labels: str | None = None) -> str:
    lines = [f'name: "{tensor.name}"', f"data_type: {TYPES[tensor.dtype]}", f"dims: {dims}"]
    lines += [] if labels is None else [f'label_filename: "{labels}"']
    return f"{kind} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _write_kserve(out: Path, name: str, _metadata: Metadata) -> None:
    """Write the service, which answers with `graft serve` for the folder where it was uploaded."""
    _write(out / SERVICE, kserve_service(name))


def kserve_service(name: str) -> str:
    """Return KServe's manifest for a folder of models; names of services have small letters and dashes."""
    service = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"""\
# Where the folder is, and the image that deploy/Dockerfile makes, must be filled in.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: {IMAGE}
        args: [serve, /mnt/models, --host, 0.0.0.0, --port, "8080", --log, json]
        env:
          - name: STORAGE_URI # KServe copies it to /mnt/models
            value: s3://BUCKET/FOLDER
        ports:
          - {{containerPort: 8080, protocol: TCP}}
        readinessProbe:
          httpGet: {{path: /v2/health/ready, port: 8080}}
        livenessProbe:
          httpGet: {{path: /v2/health/live, port: 8080}}
        resources:
          requests: {{cpu: "1", memory: 1Gi}}
          limits: {{cpu: "2", memory: 4Gi}}
        securityContext:
          runAsNonRoot: true
          readOnlyRootFilesystem: true
          allowPrivilegeEscalation: false
          capabilities: {{drop: [ALL]}}
"""


def _write(path: Path, text: str) -> None:
    with replacing(path) as new:
        new.write_text(text, "utf-8")


CONFIGURE: dict[str, Callable[[Path, str, Metadata], None]] = {
    "triton": _write_triton,
    "kserve": _write_kserve,
}
