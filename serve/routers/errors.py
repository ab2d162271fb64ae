"""Errors as JSON."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as HTTPError

from pixels.errors import BusyError
from serve.http.admission import busy_response
from serve.http.observe import REQUEST_ID
from serve.limits import ServerLimits
from serve.registry import UnknownModelError


def add_error_answers(app: FastAPI, limits: ServerLimits) -> None:
    """Answer each error of the application with its status and `{"error": reason}`."""
    app.add_exception_handler(HTTPError, _answer_http_error)
    app.add_exception_handler(UnknownModelError, lambda _, error: _error(404, str(error)))
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(BusyError, lambda _request, _error: busy_response(limits))
    app.add_exception_handler(Exception, _answer_failure)


def _error(status: int, text: object) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status)


def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPError)
    return _error(error.status_code, error.detail)


def _answer_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = []
    for one in error.errors():
        field, message = ".".join(map(str, one["loc"][1:])), one["msg"]
        if "UploadFile" in message:
            message = f"found text, expected a file; with curl: -F {one['loc'][1]}=@image.jpg"
        reasons.append(f"{field}: {message}")
    return _error(422, "; ".join(reasons))


def _answer_failure(request: Request, error: Exception) -> JSONResponse:
    """Answer for a fault of the server, which also writes it to its log."""
    answer = _error(500, f"the server failed: {type(error).__name__}")
    answer.headers[REQUEST_ID] = request.scope.get("request_id", "")
    return answer
