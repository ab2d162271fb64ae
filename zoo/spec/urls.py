"""URLs in specs: which are allowed, and what of them is recorded."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from pixels.text import UNPRINTABLE

MAX_NAME_BYTES = 200  # of the file that is written; digits of its hash are added


def check_url(url: str) -> str:
    """Return the URL. Raises ValueError for one that no file can be downloaded from."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if not usable:
        raise ValueError("not a URL that can be downloaded: expected https://HOST/PATH/FILE")
    if UNPRINTABLE.search(unquote(parts.path)) or len(file_name(url).encode()) > MAX_NAME_BYTES:
        raise ValueError(f"the URL ends in no name of a file: at most {MAX_NAME_BYTES} bytes, all printable")
    return url


def file_name(url: str) -> str:
    """Return the name of the file at a URL, `weights` where it has none."""
    return unquote(urlsplit(url).path).strip("./").rpartition("/")[2] or "weights"


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment: a signed one holds the signer's key there."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
