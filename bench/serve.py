"""The server of models under load: `python -m bench.serve MODEL… [--processes 1 2] [--litserve PYTHON]`.

64 clients send JPEG files of 512 by 384 pixels, as a form and as binary tensors of the open inference
protocol. Against them: a loop that decodes and runs the same file on as many threads as there are cores,
without HTTP; and LitServe. All take turns, and the clients share the cores. Then: times of answers at 70% of
the load that the server can take, three times that load, the speed afterwards, and memory over many requests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
from PIL import Image

from bench.clients import LOST, Answers, closed_loop, multipart, open_loop, post
from bench.document import machine, write_or_print
from bench.server_process import memory_mb, processor_s, running, running_server
from bench.textures import draw_texture
from pixels.cores import usable_cores
from serve.artifact import find_artifact
from serve.model import open_session, read_metadata, session_options

PAGE, MARK = Path("docs/serving.md"), "speed"
CLIENTS, PICTURES, SIZE = 64, 16, (512, 384)
USUAL, OVERLOAD = 0.7, 3.0
FILES = 2048
LITSERVE = Path(__file__).with_name("litserve_server.py")
HEAD = (
    "| network | processes | bare loop | `/predict` | processor | tensors | processor | "
    "LitServe | processor | 70% load: p50, p99 | three times the load | afterwards | "
    "MiB after 1,000 requests | after all |"
)


@dataclass
class Way:
    """Images per second, and of the processor for one image, each in rounds."""

    per_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)

    def note(self, count: int, wall_s: float, busy_s: float) -> None:
        """Add a round."""
        self.per_s.append(count / wall_s)
        self.processor_s.append(busy_s / max(count, 1))


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="model.onnx files, or folders of runs")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, usable_cores()], help="of the server")
    parser.add_argument("--litserve", type=Path, help="the Python of an environment with LitServe")
    parser.add_argument("--seconds", type=float, default=4, help="of one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=5000, help="over which memory is measured")
    given = parser.parse_args()
    lines = [HEAD, "|---|" + "--:|" * (HEAD.count("|") - 2)]
    for path in given.models:
        for processes in given.processes:
            lines.append(_measure(find_artifact(path), processes, given))
            print(lines[-1], flush=True)
    note = (
        "Images per second: the bare loop in numbers, 64 clients of servers as a ratio to it. *Processor*: "
        "its time in the server's processes for one image, as a ratio to that of the bare loop. For tensors, "
        "the bare loop does not decode. Clients run on the same cores. Memory is that of all processes of "
        f"the server, after 1,000 and after {given.requests:,} requests of `/predict`, 64 at a time."
    )
    write_or_print(PAGE, MARK, "\n".join([*lines, "", note, machine()]))


def _measure(path: Path, processes: int, given: argparse.Namespace) -> str:
    """Return the line of one network."""
    litserve, seconds = given.litserve, given.seconds
    photos = [_jpeg(number) for number in range(PICTURES)]
    forms = [multipart("/predict", photo) for photo in photos]
    tensors = [_tensor(photo, read_metadata(path).spec) for photo in photos]
    ways = {name: Way() for name in ("bare", "bare without decoding", "form", "tensor", "litserve")}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours, port = stack.enter_context(running_server(path, FILES, folder / "log", processes))
        servers: list[tuple[str, int, int, list[bytes]]] = [
            ("form", ours.pid, port, forms),
            ("tensor", ours.pid, port, tensors),
        ]
        if litserve is not None:
            command = [str(litserve), str(LITSERVE), str(path)]
            process, other = stack.enter_context(running(command, folder / "litserve.log"))
            servers.append(("litserve", process.pid, other, forms))
        for _name, _, at, requests in servers:
            asyncio.run(closed_loop(at, requests, CLIENTS, 1))
        for _ in range(given.rounds):
            for name, work in (("bare", _decode), ("bare without decoding", lambda _: None)):
                ways[name].note(*_bare(path, photos, seconds, work))
            for name, pid, at, requests in servers:
                before = processor_s(pid)
                found = asyncio.run(closed_loop(at, requests, CLIENTS, seconds))
                ways[name].note(found.statuses[200], found.wall_s, processor_s(pid) - before)
                print(name, dict(found.statuses), f"{found.per_s:.1f}/s", flush=True)
        load = asyncio.run(_under_load(port, forms, median(ways["form"].per_s), seconds))
        memory = [_memory_after(count, ours.pid, port, forms) for count in (1000, given.requests - 1000)]
    name = f"{read_metadata(path).spec} | {processes}"
    return _line(name, ways, load, memory, known=litserve is not None)


def _memory_after(count: int, pid: int, port: int, forms: list[bytes]) -> float:
    """Return the MiB of the server's processes after so many further requests."""
    answered = 0
    while answered < count:
        answered += asyncio.run(closed_loop(port, forms, CLIENTS, 1)).statuses[200]
    return sum(memory_mb(pid))


async def _under_load(port: int, forms: list[bytes], most: float, seconds: float) -> list[Answers]:
    """Return the answers before, at the usual load, at overload, and afterwards."""
    return [
        await closed_loop(port, forms, CLIENTS, seconds),
        await open_loop(port, forms, USUAL * most, 2 * seconds),
        await open_loop(port, forms, OVERLOAD * most, seconds),
        await closed_loop(port, forms, CLIENTS, seconds),
    ]


def _line(name: str, ways: dict[str, Way], load: list[Answers], memory: list[float], *, known: bool) -> str:
    before, usual, overload, afterwards = load

    def ratio(way: str, to: str) -> str:
        pairs = zip(ways[way].per_s, ways[to].per_s, strict=True)
        return f"{median(mine / bare for mine, bare in pairs):.2f}"

    def busy(way: str, to: str) -> str:
        pairs = zip(ways[way].processor_s, ways[to].processor_s, strict=True)
        return f"{median(mine / bare for mine, bare in pairs):.2f}"

    statuses = overload.statuses
    others = sum(statuses.values()) - sum(statuses[each] for each in (200, 503, LOST))
    bare = "bare without decoding"
    cells = [
        name,
        f"{median(ways['bare'].per_s):.0f}",
        ratio("form", "bare"),
        busy("form", "bare"),
        ratio("tensor", bare),
        busy("tensor", bare),
        ratio("litserve", "bare") if known else "",
        busy("litserve", "bare") if known else "",
        f"{usual.percentile_ms(0.5):.0f} ms, {usual.percentile_ms(0.99):.0f} ms",
        f"{statuses[200]} answered, {statuses[503]} got 503, {statuses[LOST]} none, {others} else; "
        f"at most {overload.slowest_s:.1f} s",
        f"{afterwards.per_s / before.per_s:.2f}",
        *(f"{mb:.0f}" for mb in memory),
    ]
    return f"| {' | '.join(cells)} |"


def _bare(
    path: Path, photos: list[bytes], seconds: float, decode: Callable[[bytes], object]
) -> tuple[int, float, float]:
    """Decode and run on threads. Out: images, seconds, and seconds of the processor."""
    session: ort.InferenceSession = open_session(str(path), session_options(1))
    pixels = [np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")) for photo in photos]
    session.run(None, {"image": pixels[0][None]})
    start, busy = time.perf_counter(), time.process_time()

    def loop(first: int) -> int:
        number = first
        while time.perf_counter() < start + seconds:
            decode(photos[number % PICTURES])
            session.run(None, {"image": pixels[number % PICTURES][None]})
            number += 1
        return number - first

    with ThreadPoolExecutor(usable_cores()) as pool:
        count = sum(pool.map(loop, range(usable_cores())))
    return count, time.perf_counter() - start, time.process_time() - busy


def _decode(photo: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))


def _jpeg(number: int) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(draw_texture(number % 8, np.random.default_rng(number)))
    picture.resize(SIZE).save(file, "JPEG", quality=90)
    return file.getvalue()


def _tensor(photo: bytes, model: str) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))[None]
    size = {"binary_data_size": pixels.nbytes}
    image = {"name": "image", "datatype": "UINT8", "shape": pixels.shape, "parameters": size}
    head = json.dumps({"inputs": [image], "parameters": {"binary_data_output": True}}).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post(f"/v2/models/{model}/infer", head + pixels.tobytes(), length)


if __name__ == "__main__":
    main()
