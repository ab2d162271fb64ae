"""Graft's own HTTP endpoints: images in, named answers out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, Response, UploadFile
from pydantic import BaseModel

from pixels import ImageError
from serve.codec import encode_output
from serve.registry import Registry, Served
from serve.worker import Worker

MAX_FILES = 32

ModelName = Annotated[str | None, Form(description="the first model if it is left out")]
Version = Annotated[str | None, Form(description="the newest if it is left out")]


class ModelSummary(BaseModel):
    """One model in `GET /models`; `versions` are those that are loaded, newest first."""

    name: str
    versions: list[str]
    task: str
    classes: int
    metrics: dict[str, Any]
    created: str


class FileResult(BaseModel):
    """The answers for one uploaded file, best first, or the error.

    `unknown` is how unlike the training images it is, and `unlike` whether that is above the threshold; None
    if the model does not say. `likely` are the classes that hold the right one in a promised share of cases.
    """

    file: str
    answers: list[dict[str, Any]] = []
    unknown: float | None = None
    unlike: bool | None = None
    likely: list[str] = []
    error: str | None = None


class Prediction(BaseModel):
    """What `POST /predict` returns."""

    model: str
    version: str
    task: str
    results: list[FileResult]


def native_router(models: Registry, worker: Worker) -> APIRouter:
    """Return the endpoints for loaded models, the first of which answers if a request names none.

    Endpoints that are coroutines do not wait for the threads in which images are answered.
    """
    router = APIRouter(tags=["images"])

    @router.get("/health")
    async def health() -> dict[str, object]:
        """The server is running; how many models are loaded."""
        return {"status": "ok", "models": len(models.models)}

    @router.get("/models")
    async def list_models() -> list[ModelSummary]:
        """The loaded models."""
        return [_summary(models.find(name), list(versions)) for name, versions in models.models.items()]

    @router.get("/models/{name}")
    async def show_model(name: str, version: str | None = None) -> dict[str, object]:
        """All metadata of one model."""
        model = models.find(name, version)
        return {"name": name, "version": model.version, **asdict(model.predictor.metadata)}

    @router.post("/predict", response_model=Prediction)
    def predict(
        request: Request,
        files: Annotated[list[UploadFile], File(max_length=MAX_FILES)],
        model: ModelName = None,
        version: Version = None,
        top: Annotated[int, Form(ge=1, description="classes for each image")] = 5,
    ) -> Response:
        """The `top` best classes of each file; a file that is no image gets its own error."""
        found, deadline = models.find(model, version), float(request.scope["deadline"])
        worker.begin(found, len(files))
        results = [_answer_file(worker, found, file, top, deadline) for file in files]
        if all(result.error for result in results):
            raise HTTPException(422, "; ".join(f"{result.file}: {result.error}" for result in results))
        answer = Prediction(
            model=found.name, version=found.version, task=found.predictor.metadata.task, results=results
        )
        # Written here, and not in the one thread that reads requests.
        return Response(answer.model_dump_json(), media_type="application/json")

    @router.post("/output", response_class=Response)
    def output(
        request: Request, file: UploadFile, model: ModelName = None, version: Version = None
    ) -> Response:
        """The model's own output for one image: probabilities as JSON, a mask as a grey PNG of its size."""
        found, deadline = models.find(model, version), float(request.scope["deadline"])
        worker.begin(found, 1)
        try:
            answer = worker.predict(found, file.file.read(), deadline)
        except ImageError as error:
            raise HTTPException(422, f"{file.filename}: {error.reason}") from error
        content, media_type = encode_output(answer.output)
        return Response(content, media_type=media_type)

    return router


def _summary(model: Served, versions: list[str]) -> ModelSummary:
    about = model.predictor.metadata
    return ModelSummary(
        name=model.name,
        versions=versions,
        task=about.task,
        classes=len(about.labels),
        metrics=dict(about.metrics),
        created=about.created,
    )


def _answer_file(worker: Worker, model: Served, file: UploadFile, top: int, deadline: float) -> FileResult:
    name = file.filename or "upload"
    try:
        found = worker.predict(model, file.file.read(), deadline)
    except ImageError as error:
        return FileResult(file=name, error=error.reason)
    return FileResult(
        file=name,
        answers=model.predictor.task.to_json(found.answer[:top]),
        unknown=found.unknown,
        unlike=None if found.unknown is None else found.unlike,
        likely=list(found.likely),
    )
