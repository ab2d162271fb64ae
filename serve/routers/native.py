"""Graft's own HTTP endpoints: images in, named answers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Response, UploadFile
from pydantic import BaseModel

from pixels import ImageError
from pixels.pool import Decoder
from serve.codec import encode_output
from serve.predictor import Predictor

MAX_FILES = 32

Models = Mapping[str, Predictor]


class ModelSummary(BaseModel):
    """One model in `GET /models`."""

    name: str
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
    task: str
    results: list[FileResult]


def native_router(models: Models, decoder: Decoder) -> APIRouter:
    """Return the endpoints for loaded models, the first of which answers if a request names none.

    Endpoints that are coroutines do not wait for the threads in which images are answered.
    """
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, object]:
        """The server is running; how many models are loaded."""
        return {"status": "ok", "models": len(models)}

    @router.get("/models")
    async def list_models() -> list[ModelSummary]:
        """The loaded models."""
        return [
            ModelSummary(
                name=name,
                task=about.task,
                classes=len(about.labels),
                metrics=dict(about.metrics),
                created=about.created,
            )
            for name, about in ((name, predictor.metadata) for name, predictor in models.items())
        ]

    @router.get("/models/{name}")
    async def show_model(name: str) -> dict[str, object]:
        """All metadata of one model."""
        return {"name": name, **asdict(_find_model(models, name)[1].metadata)}

    @router.post("/predict")
    def predict(
        files: Annotated[list[UploadFile], File(max_length=MAX_FILES)],
        model: Annotated[str | None, Form()] = None,
        top: Annotated[int, Form(ge=1)] = 5,
    ) -> Prediction:
        """The `top` best classes of each file; a file that is no image gets its own error."""
        name, predictor = _find_model(models, model)
        results = [_answer_file(predictor, decoder, file, top) for file in files]
        if all(result.error for result in results):
            raise HTTPException(422, "; ".join(f"{result.file}: {result.error}" for result in results))
        return Prediction(model=name, task=predictor.metadata.task, results=results)

    @router.post("/output", response_class=Response)
    def output(file: UploadFile, model: Annotated[str | None, Form()] = None) -> Response:
        """The model's own output for one image: probabilities as JSON, a mask as a grey PNG of its size."""
        _, predictor = _find_model(models, model)
        try:
            with decoder.decoded(file.file.read()) as pixels:
                content, media_type = encode_output(predictor.output(pixels))
        except ImageError as error:
            raise HTTPException(422, f"{file.filename}: {error.reason}") from error
        return Response(content, media_type=media_type)

    return router


def _find_model(models: Models, name: str | None) -> tuple[str, Predictor]:
    if name is None:
        return next(iter(models.items()))
    if name not in models:
        raise HTTPException(404, f"no model {name!r}; expected one of: {', '.join(models)}")
    return name, models[name]


def _answer_file(predictor: Predictor, decoder: Decoder, file: UploadFile, top: int) -> FileResult:
    name = file.filename or "upload"
    try:
        with decoder.decoded(file.file.read()) as pixels:
            found = predictor.predict(pixels)
    except ImageError as error:
        return FileResult(file=name, error=error.reason)
    return FileResult(
        file=name,
        answers=predictor.task.to_json(found.answer[:top]),
        unknown=found.unknown,
        unlike=None if found.unknown is None else found.unlike,
        likely=list(found.likely),
    )
