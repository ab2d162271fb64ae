"""LitServe on a model file, for bench.serve, in an environment of its own."""

import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.generic]


class Answer(litserve.LitAPI):  # type: ignore[misc]
    """Decodes and answers as the bare loop does, in as many processes as there are cores."""

    def setup(self, device: str) -> None:
        """Open the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options)

    def decode_request(self, request: Request) -> Pixels:
        """Bytes to pixels."""
        return np.asarray(Image.open(request["files"].file).convert("RGB"))

    def predict(self, x: Pixels) -> Pixels:
        """Pixels to probabilities."""
        return np.asarray(self.session.run(None, {"image": x[None]})[0][0])

    def encode_response(self, output: Pixels) -> dict[str, list[float]]:
        """Probabilities to JSON."""
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Answer(), accelerator="cpu", workers_per_device=2, timeout=60)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
