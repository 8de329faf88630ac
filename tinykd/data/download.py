"""Fetching a file that may break off: retry, resume, next mirror, and never half a file."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from .locate import CLONE

ATTEMPTS = 4  # per address
CHUNK = 1 << 16  # bytes; a broken connection costs the chunk it was in
WAIT = 0.5  # seconds before the second attempt, doubled for each one after


def cache() -> Path:
    """The user's cache folder for tinykd."""
    return Path(pooch.os_cache("tinykd"))


def fetch(urls: Sequence[str], target: Path, verify: Callable[[Path], Any]) -> None:
    """Download `target` from the first of `urls` that yields a file `verify` accepts.

    The bytes gather in `target` + ".part", which outlives a broken connection and a killed process,
    and become `target` in one rename. `verify(path)` raises ValueError for a wrong file.

    Raises:
        ConnectionError: every attempt failed; lists the last error of each address.
        OSError: the folder cannot be written (disk full, no permission); leaves no partial file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    errors = {}
    # The ranks of one machine, and parallel tests, share the cache. The operating system lets go of
    # this lock when its holder dies.
    with FileLock(part.with_name(part.name + ".lock")):
        for url in urls:
            for attempt in range(ATTEMPTS):
                if target.is_file():
                    return
                if attempt:
                    time.sleep(WAIT * 2 ** (attempt - 1))
                error = _attempt(url, part, verify)
                if error is None:
                    os.replace(part, target)
                    return
                errors[url] = error
    tried = "\n".join(f"  {url}: {error}" for url, error in errors.items())
    raise ConnectionError(
        f"could not fetch {target.name}. {CLONE}\n{tried}\n"
        "Behind a proxy, set HTTPS_PROXY=http://host:port (and REQUESTS_CA_BUNDLE if it has its "
        "own certificate). TINYKD_DATA_URL names another mirror; with the file from elsewhere, "
        f"put it in {target.parent} or in the folder that TINYKD_DATA names. "
        "Then run `tinykd data`: it goes on where it broke off."
    )


def _attempt(url: str, part: Path, verify: Callable[[Path], Any]) -> Exception | None:
    """Download or go on with `part`; None when it is whole, or what went wrong on the way."""
    try:
        with part.open("ab") as file:
            _download(url, file)
        verify(part)
        return None
    except requests.RequestException as error:  # is an OSError, so it comes before that
        nothing_after = getattr(error.response, "status_code", None) == 416
        if nothing_after or part.stat().st_size == 0:
            part.unlink()
        return error
    except ValueError as error:  # whole, but not the file: nothing of it is worth keeping
        part.unlink()
        return error
    except OSError as error:  # a full disk, say: give back what little was taken
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(part)) from error


def _download(url: str, file: Any) -> None:
    """Append to `file` what the server has beyond the bytes in it."""

    def start_over(response: requests.Response, **_: Any) -> None:
        # 206 is the rest, as asked for; 200 is the whole file, from a server that cannot resume.
        if response.status_code == 200:
            file.truncate(0)

    have = file.tell()
    # A bar of our own, because pooch leaves its bar open when a download breaks off; total=1
    # because pooch asks for the bar's truth value before it sets the total.
    with tqdm(desc=url.rsplit("/", 1)[-1], total=1, unit="B", unit_scale=True) as bar:
        download = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=CHUNK,
            # No compression in transit: a range counts the bytes of the file as it lies there.
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {}),
            hooks={"response": start_over},
        )
        download(url, file, None)
