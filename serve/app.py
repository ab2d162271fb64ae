"""HTTP: pictures in, named answers out. Small enough to read, complete enough to stand behind a proxy."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import FastAPI, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from PIL import Image
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as HTTPError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixels import ImageError, decode_rgb
from serve.infer import MAX_UPLOAD_PIXELS, Predictor, usable_cores

MEBIBYTE = 2**20
MAX_UPLOAD_MB = 32
MAX_FILES = 32

Models = Mapping[str, Predictor]


class ModelSummary(BaseModel):
    """One line of `GET /models`."""

    name: str
    task: str
    classes: int
    metrics: dict[str, object]
    created: str


class NamedAnswer(BaseModel):
    """A class and its probability; of a segmentation model, its share of the pixels."""

    label: str
    probability: float


class FileResult(BaseModel):
    """The answers for one uploaded file, best first, or why there are none."""

    file: str
    answers: list[NamedAnswer] = []
    error: str | None = None


class Prediction(BaseModel):
    """What `POST /predict` returns."""

    model: str
    task: str
    results: list[FileResult]


def create_app(models: Models, max_upload_mb: int = MAX_UPLOAD_MB) -> FastAPI:
    """The web application over loaded models, the first of which answers where a request names none."""
    app = FastAPI(title="Graft", docs_url=None, redoc_url=None)  # the pages load scripts from other hosts
    app.add_middleware(LimitBody, max_bytes=max_upload_mb * MEBIBYTE)
    app.add_exception_handler(HTTPError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(Exception, _answer_failure)
    turns = BoundedSemaphore(usable_cores())  # more pictures at a time would take memory and bring no speed

    @app.get("/health")
    def health() -> dict[str, object]:
        """Alive, and how many models are loaded."""
        return {"status": "ok", "models": len(models)}

    @app.get("/models")
    def list_models() -> list[ModelSummary]:
        """The loaded models."""
        return [summarise(name, predictor) for name, predictor in models.items()]

    @app.get("/models/{name}")
    def show_model(name: str) -> dict[str, object]:
        """Everything one model says about itself."""
        return {"name": name, **asdict(_choose(models, name).metadata)}

    @app.post("/predict")
    def predict(
        files: Annotated[list[UploadFile], File(max_length=MAX_FILES)],
        model: Annotated[str | None, Form()] = None,
        top: Annotated[int, Form(ge=1)] = 5,
    ) -> Prediction:
        """The `top` best classes of each file; a file that is no image gets an error of its own."""
        predictor = _choose(models, model)
        results = []
        for file in files:
            with turns:
                results.append(_answer_file(predictor, file, top))
        if all(result.error for result in results):
            raise HTTPException(422, "; ".join(f"{result.file}: {result.error}" for result in results))
        return Prediction(model=_name(models, predictor), task=predictor.metadata.task, results=results)

    @app.post("/mask", response_class=Response)
    def mask(file: UploadFile, model: Annotated[str | None, Form()] = None) -> Response:
        """The class number of every pixel as a grey PNG of the image's size."""
        predictor = _choose(models, model)
        if predictor.metadata.task != "segmentation":
            raise HTTPException(400, f"{predictor.metadata.task} model: it has no mask, ask /predict")
        png = io.BytesIO()
        try:
            with turns:
                pixels = decode_rgb(file.file.read(), max_pixels=MAX_UPLOAD_PIXELS)
                Image.fromarray(predictor.mask(pixels)).save(png, "PNG")
        except ImageError as error:
            raise HTTPException(422, f"{file.filename}: {error.reason}") from error
        return Response(png.getvalue(), media_type="image/png")

    return app


def load_models(paths: Sequence[str | Path], threads: int | None = None) -> dict[str, Predictor]:
    """Models by the name of their spec; a second one of the same spec gets a number.

    Raises: ArtifactError for a path that holds no model of Graft's.
    """
    models: dict[str, Predictor] = {}
    for path in paths:
        predictor = Predictor(path, threads)
        stem = predictor.metadata.spec or predictor.path.stem
        number = 1
        name = stem
        while name in models:
            number += 1
            name = f"{stem}-{number}"
        models[name] = predictor
    return models


def summarise(name: str, predictor: Predictor) -> ModelSummary:
    """A model in one line."""
    about = predictor.metadata
    return ModelSummary(
        name=name,
        task=about.task,
        classes=len(about.labels),
        metrics=dict(about.metrics),
        created=about.created,
    )


def _choose(models: Models, name: str | None) -> Predictor:
    if name is None:
        return next(iter(models.values()))
    if name not in models:
        raise HTTPException(404, f"no model {name!r}; expected one of: {', '.join(models)}")
    return models[name]


def _name(models: Models, predictor: Predictor) -> str:
    return next(name for name, one in models.items() if one is predictor)


def _answer_file(predictor: Predictor, file: UploadFile, top: int) -> FileResult:
    name = file.filename or "upload"
    try:
        answers = predictor(decode_rgb(file.file.read(), max_pixels=MAX_UPLOAD_PIXELS))
    except ImageError as error:
        return FileResult(file=name, error=error.reason)
    return FileResult(
        file=name,
        answers=[NamedAnswer(label=label, probability=value) for label, value in answers[:top]],
    )


def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPError)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


def _answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"error": "; ".join(reasons)}, status_code=422)


def _answer_failure(_request: Request, error: Exception) -> JSONResponse:
    """Of our own mistakes; the server writes them to its log, too."""
    return JSONResponse({"error": f"the server failed: {type(error).__name__}"}, status_code=500)


class LimitBody:
    """ASGI middleware: a request body over `max_bytes` gets 413, whether or not it says its length."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        message = f"upload too large: at most {self.max_bytes / MEBIBYTE:g} MiB in one request"
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self.max_bytes:
            await JSONResponse({"error": message}, status_code=413)(scope, receive, send)
            return
        seen = 0

        async def receive_limited() -> Message:
            nonlocal seen
            part = await receive()
            seen += len(part.get("body", b""))
            if seen > self.max_bytes:
                raise HTTPException(413, message)
            return part

        await self.app(scope, receive_limited, send)
