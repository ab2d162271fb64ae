"""What a model answers for an encoded image, as a card."""

from __future__ import annotations

from pixels import ImageError
from pixels.errors import BusyError
from pixels.pool import Decoder
from serve.demo import cards
from serve.http.admission import BUSY
from serve.predictor import Predictor

TOP = 5


def answer_image(predictor: Predictor, decoder: Decoder, name: str, content: bytes) -> str:
    """Return the card for one image: its best classes, or why it could not be read."""
    try:
        with decoder.decoded(content) as picture:
            found = predictor.predict(picture)
    except ImageError as error:
        return cards.error_card(name, error.reason)
    except BusyError:
        return cards.error_card(name, BUSY)
    task, labels = predictor.task, predictor.labels
    drawn, notes = task.draw(picture, found.output), predictor.notes(found)
    return cards.answer_card(name, drawn, found.answer[:TOP], task.colours(labels), notes)
