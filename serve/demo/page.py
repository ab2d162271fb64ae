"""The demo's page, built with Gradio. Works offline."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio reads it when it is imported

import gradio as gr
from fastapi import FastAPI
from gradio.networking import setup_tunnel

from pixels.pool import Decoder
from serve.artifact import ArtifactError
from serve.demo import cards
from serve.demo.trial import add_trial
from serve.http.admission import Admission
from serve.http.server import make_server, run_server
from serve.limits import ServerLimits

LIMITS = ServerLimits(queue=32, upload_mb=64, drain_s=3, last_bytes_s=1)
KEPT_S = 24 * 3600
"""Uploaded images are deleted after this many seconds; how often they are looked for."""
CSS = Path(__file__).with_name("style.css")
THEME = gr.themes.Base(
    primary_hue="emerald",
    neutral_hue="slate",
    radius_size="lg",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400")


class TeachTab(Protocol):
    """The tab in which a person teaches; its own package imports this one."""

    def build(self, tab: gr.Tab, runs: Path, decoder: Decoder) -> None:
        """Fill the tab."""

    def close(self) -> None:
        """End what the tab started."""


def build_page(runs: Path, decoder: Decoder, teach: TeachTab | None = None) -> gr.Blocks:
    """Return the page for the models in `runs`, which are looked up again whenever it is loaded."""
    with gr.Blocks(title="Graft", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.HTML(cards.HEAD, padding=False)
        with gr.Tabs():
            with gr.Tab("Try") as tab:
                add_trial(tab, page, runs, decoder)
            with gr.Tab("Teach") as tab:
                if teach is None:
                    gr.HTML(cards.NO_TEACHING, padding=False)
                else:
                    teach.build(tab, runs, decoder)
    return page.queue(max_size=LIMITS.queue)


def create_demo(runs: Path, decoder: Decoder, teach: TeachTab | None = None) -> FastAPI:
    """Return the web application of the page, with a tab to teach if there is one."""

    @contextlib.asynccontextmanager
    async def decoding(_app: FastAPI) -> AsyncIterator[None]:
        decoder.start()
        yield
        decoder.close()
        if teach is not None:
            teach.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=decoding)
    app.add_middleware(Admission, limits=LIMITS)
    gr.mount_gradio_app(
        app,
        build_page(runs, decoder, teach),
        path="/",
        theme=THEME,
        css_paths=CSS,
        footer_links=[],
        max_file_size=f"{LIMITS.upload_mb}mb",
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
    )
    return app


def launch_demo(runs: Path, host: str, port: int, share: bool, teach: TeachTab | None = None) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Raises: ArtifactError if there is no public link.
    """
    decoder = Decoder()
    give_up = decoder.close
    app = create_demo(runs, decoder, teach)
    server = make_server(app, LIMITS, host=host, port=port, give_up=give_up, log_level="warning")
    print(f"The demo is at http://{host}:{port} (Ctrl-C ends it)", flush=True)
    if share:
        print(f"Public link, for everybody who knows it: {open_public_link(host, port)}", flush=True)
    run_server(server)


def open_public_link(host: str, port: int) -> str:
    """Return an address at gradio.live that leads to this server. Raises: ArtifactError."""
    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    except Exception as error:  # Gradio wraps few of the errors of the network and of its download
        raise ArtifactError(f"no public link: {error}. Without --share, the page works offline") from error
