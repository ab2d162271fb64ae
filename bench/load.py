"""Mixed load on a real server: `python -m bench.load MODEL [--minutes 10] [--seed 0] [--files 256]`.

Good pictures are sent one after the other, first alone and then beside bombs, large pictures, slow clients,
half-sent bodies and more connections than the server may open files. Printed: answers by kind, the p50 and
p99 of good requests quiet and loaded, memory at start and end, the time that SIGTERM takes, and how the
requests that were accepted before it were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import multiprocessing
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.bombs import large_jpeg, scan_bomb, wide_png
from bench.server_process import HOST, memory_mb, running_server
from bench.textures import draw_texture

QUIET_SHARE = 0.15
"""Of the minutes, for good requests alone."""
PAUSE_S = 0.1
CLIENT_S = 60.0
SAMPLES = 11
SETTLE_S = 30.0
"""For what the server still works on when the clients are gone."""


@dataclass
class Tally:
    """What happened, by kind of client."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"quiet": [], "loaded": []})
    health: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


class Load:
    """Clients of one server; each runs until it is cancelled."""

    def __init__(self, port: int, seed: int) -> None:
        self.port, self.seed = port, seed
        self.tally, self.random = Tally(), random.Random(seed)
        rng = np.random.default_rng(seed)
        self.good = [_encode(draw_texture(number % 8, rng)) for number in range(16)]
        self.bombs = {
            "scan bomb": scan_bomb(7000, 8000),
            "wide picture": wide_png(3_000_000, 16),
            "large picture": large_jpeg(7000, 7000),
            "cut picture": large_jpeg(4000, 4000)[:300_000],
            "no picture": b"milk, eggs" * 1000,
        }

    async def send_good(self, phase: str) -> None:
        """One good picture after the other, with a pause."""
        while True:
            picture = self.random.choice(self.good)
            start = time.perf_counter()
            answer = await self.post("/predict", picture)
            self.tally.seconds[phase].append(time.perf_counter() - start)
            self.tally.answers[f"good, {phase}", answer] += 1
            await asyncio.sleep(PAUSE_S)

    async def ask_health(self) -> None:
        """Ask /health once a second."""
        while True:
            start = time.perf_counter()
            answer = await self.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.tally.health.append(time.perf_counter() - start)
            self.tally.answers["health", answer] += 1
            await asyncio.sleep(1)

    async def send_bombs(self) -> None:
        """Pictures that are refused or take long, at random."""
        while True:
            name = self.random.choice(list(self.bombs))
            self.tally.answers[name, await self.post("/predict", self.bombs[name])] += 1
            await asyncio.sleep(self.random.uniform(0, 1))

    async def send_slowly(self) -> None:
        """A good request, a byte in a while."""
        while True:
            answer = await self.exchange(_request("/predict", self.good[0]), every_s=0.5, size=16)
            self.tally.answers["slow client", answer] += 1

    async def send_half(self) -> None:
        """Half of a request, and then nothing."""
        while True:
            request = _request("/predict", self.good[0])
            answer = await self.exchange(request[: self.random.randrange(len(request))])
            self.tally.answers["half a request", answer] += 1

    async def hold_connections(self, count: int) -> None:
        """More connections than the server can have; those that it closes are opened again."""
        with contextlib.ExitStack() as stack:
            while True:
                stack.pop_all().close()
                for _ in range(count):
                    with contextlib.suppress(OSError):
                        client = stack.enter_context(socket.socket())
                        client.setblocking(False)
                        loop = asyncio.get_running_loop()
                        await asyncio.wait_for(loop.sock_connect(client, (HOST, self.port)), 1)
                        self.tally.answers["held connection", "opened"] += 1
                await asyncio.sleep(5)

    async def watch_memory(self, pid: int, every_s: float) -> None:
        """Note the memory of the server and its processes."""
        while True:
            await asyncio.sleep(every_s)
            self.tally.memory.append(sum(memory_mb(pid)))

    async def post(self, path: str, picture: bytes) -> str:
        """Send a picture. Out: the status."""
        return await self.exchange(_request(path, picture))

    async def exchange(self, request: bytes, every_s: float = 0, size: int = 2**16) -> str:
        """Send bytes on a connection of its own. Out: the status of the answer, or how it ended."""
        try:
            async with asyncio.timeout(CLIENT_S):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    for start in range(0, len(request), size):
                        writer.write(request[start : start + size])
                        await writer.drain()
                        if every_s:
                            await asyncio.sleep(every_s)
                    line = await reader.readline()
                    await reader.read()
                finally:
                    writer.close()
        except TimeoutError:
            return "no answer"
        except OSError:
            return "closed"
        return line.split()[1].decode() if line else "closed"


async def measure(load: Load, minutes: float, files: int, pid: int) -> None:
    """Good requests alone, then beside all others, which have a process of their own."""
    await _run_for(minutes * 60 * QUIET_SHARE, lambda: load.send_good("quiet"), load.ask_health)
    seconds = minutes * 60 * (1 - QUIET_SHARE)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        others = pool.submit(disturb, load.port, load.seed, seconds, files)
        watch = partial(load.watch_memory, pid, seconds / SAMPLES)
        await _run_for(seconds, lambda: load.send_good("loaded"), load.ask_health, watch)
        load.tally.answers.update(await asyncio.to_thread(others.result))


def disturb(port: int, seed: int, seconds: float, files: int) -> Counter[tuple[str, str]]:
    """Run all clients but the good ones. Out: how they were answered."""
    load = Load(port, seed)
    clients = [load.send_bombs] * 4 + [load.send_slowly] * 10 + [load.send_half] * 10
    asyncio.run(_run_for(seconds, lambda: load.hold_connections(files), *clients))
    return load.tally.answers


async def _run_for(seconds: float, *clients: Callable[[], Awaitable[None]]) -> None:
    tasks = [asyncio.ensure_future(client()) for client in clients]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def end(load: Load, server: subprocess.Popen[bytes]) -> tuple[float, Counter[str]]:
    """Send SIGTERM while good requests are accepted. Out: seconds until the end, and their answers."""
    request = _request("/predict", load.good[0])
    waiting = [await asyncio.open_connection(HOST, load.port) for _ in range(16)]
    for _, writer in waiting:
        writer.write(request[:-1])
    half = await asyncio.open_connection(HOST, load.port)
    half[1].write(request[:100])
    await asyncio.sleep(1)
    for _, writer in waiting:
        writer.write(request[-1:])
        await writer.drain()
    server.send_signal(signal.SIGTERM)
    start = time.perf_counter()
    answers = Counter[str]()
    for reader, writer in waiting:
        line = b""
        with contextlib.suppress(OSError):
            line = await reader.readline()
        answers[line.split()[1].decode() if line else "lost"] += 1
        writer.close()
    await asyncio.to_thread(server.wait)
    half[1].close()
    return time.perf_counter() - start, answers


def percentile(seconds: list[float], share: float) -> float:
    """Return a percentile in milliseconds; NaN of nothing."""
    return float(np.quantile(seconds, share)) * 1000 if seconds else float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a model.onnx, or the folder of a run")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=256, help="files that the server may open")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running_server(given.model, given.files, log) as (server, port):
            load = Load(port, given.seed)
            asyncio.run(_warm_up(load))
            before = memory_mb(server.pid)
            asyncio.run(measure(load, given.minutes, given.files, server.pid))
            time.sleep(SETTLE_S)
            after = memory_mb(server.pid)
            seconds, answers = asyncio.run(end(load, server))
        _report(load.tally, log)
    print("memory meanwhile, in MB:", *(f"{each:.0f}" for each in load.tally.memory))
    for when, memory in (("start", before), ("end", after)):
        processes = " + ".join(f"{each:.0f}" for each in memory)
        print(f"memory at the {when}: {processes} = {sum(memory):.0f} MB")
    print(f"SIGTERM: ended after {seconds:.1f} s; accepted requests: {dict(answers)}")


async def _warm_up(load: Load) -> None:
    for picture in (*load.good, load.bombs["large picture"]):
        await load.post("/predict", picture)


def _report(tally: Tally, log: Path) -> None:
    for (client, answer), count in sorted(tally.answers.items()):
        print(f"{client:16} {answer:10} {count:6}")
    for phase, seconds in tally.seconds.items():
        p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
        print(f"good requests, {phase}: {len(seconds)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    ratio = percentile(tally.seconds["loaded"], 0.99) / percentile(tally.seconds["quiet"], 0.99)
    print(f"p99 loaded / quiet: {ratio:.1f}; /health at most {max(tally.health) * 1000:.0f} ms")
    print(f"log: {log.stat().st_size / 1e6:.1f} MB; {log.read_text().count('Traceback')} tracebacks")


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize((800, 600)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _request(path: str, picture: bytes) -> bytes:
    head = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    body = head + picture + b"\r\n--X--\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


if __name__ == "__main__":
    main()
