"""The log of a server: lines for people, or one JSON object per line for programs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, message, fields of a request, trace of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def log_settings(*, as_json: bool) -> dict[str, Any]:
    """Return the settings for `logging.config.dictConfig`; all lines go to stderr."""
    lines = {"()": JsonLines} if as_json else {"format": "%(levelname)s: %(message)s"}
    handler = {"class": "logging.StreamHandler", "formatter": "lines"}
    logger = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": lines},
        "handlers": {"stderr": handler},
        "loggers": {"uvicorn": logger, "graft": logger},
    }
