"""Downloads a data set through TFDS, or says why it cannot be downloaded and what to do."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator

import tensorflow_datasets as tfds

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0  # until a download host that does not answer counts as unreachable


def prepare(builder: tfds.core.DatasetBuilder, data_dir: str) -> None:
    """Downloads the data.

    Raises:
        FileNotFoundError: If they cannot be downloaded; the message says what to do.
    """
    missing = f"{builder.name} is not in {data_dir} (looked for {builder.data_dir})"
    elsewhere = (
        "If it lies elsewhere, name that directory by --data-dir or TFDS_DATA_DIR. "
        "--dataset digits needs no data."
    )
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise FileNotFoundError(
            f"{missing}, and TensorFlow Datasets may not download it. Get its archives from their "
            f"owner, put them into {data_dir}/downloads/manual, and prepare them once: "
            f"tfds build {builder.name} --data_dir {data_dir}. {elsewhere}"
        )
    once = f"Run this once with access to the network to download it. {elsewhere}"
    for url in builder.url_infos or {}:
        if not reachable(url):
            raise FileNotFoundError(f"{missing}, and {url} cannot be reached. {once}")
    logger.info("%s: downloading into %s", builder.name, data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS lets through whatever its downloader raises
        raise FileNotFoundError(f"{missing}, and its download failed: {error}. {once}") from error


def reachable(url: str) -> bool:
    """Whether the URL's host, or its proxy, accepts a connection within `CONNECT_SECONDS`."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy)
    address = (parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme])
    connected = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection(address, CONNECT_SECONDS):
            connected.set()

    # A thread of its own, since resolving the host's name obeys no time-out.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(CONNECT_SECONDS)
    return connected.is_set()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS from warning of a directory without metadata, which is reported as an error."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        yield
    finally:
        absl.setLevel(level)
