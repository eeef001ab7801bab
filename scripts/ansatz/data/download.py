"""Download files: the rest of one that broke off, again what may succeed later, and nothing for ever."""

import base64
import errno
import logging
import netrc
import ssl
import time
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ansatz import __version__
from ansatz.errors import UserError

LOG = logging.getLogger(__name__)
TIMEOUT = 60  # seconds without a byte
PAUSES = (2, 8, 30, 60)  # seconds before further attempts; after any progress, all of them are left again
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP's codes for what may pass
FAILURES = (URLError, TimeoutError, ConnectionError, HTTPException, ssl.SSLError, ValueError)
NETWORK_IS_DOWN = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
CHUNK = 2**16


def download(url: str, to: Path) -> None:
    """Download a file, or the rest of one that has been downloaded in part.

    A name and password for the host are taken from ``~/.netrc``. On a terminal, a bar shows the progress.

    Parameters
    ----------
    url : str
    to : Path
        It is continued if it is there, and kept if the download fails, to be continued by the next one.

    Raises
    ------
    UserError
        At once if the file, the host or its certificate is not there; after several attempts if the connection breaks
        or stalls, or the server is busy.
    """
    LOG.info("downloading %s", url)
    pauses, furthest = iter(PAUSES), _size(to)
    while True:
        try:
            return _continue(url, to)
        except (*FAILURES, OSError) as error:
            if not isinstance(error, FAILURES) and error.errno not in NETWORK_IS_DOWN:
                raise  # of the disk
            if _size(to) > furthest:
                pauses, furthest = iter(PAUSES), _size(to)
            pause = next(pauses, None) if _may_pass(error) else None
            if pause is None:
                put = "rerun to resume it, or put" if _size(to) else "put"
                raise UserError(
                    f"{url}: cannot be downloaded ({_reason(error)}); {put} the file into the configuration's data_dir"
                ) from error
            LOG.info("%s: %s; trying again in %d seconds", url, _reason(error), pause)
            time.sleep(pause)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed: not if there is no such file or host, or nothing listens there."""
    if isinstance(error, HTTPError):
        return error.code in PASSING
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, OSError) and reason.errno in NETWORK_IS_DOWN:
        return True
    passing = isinstance(reason, TimeoutError | ConnectionError | IncompleteRead | ssl.SSLEOFError)
    return passing and not isinstance(reason, ConnectionRefusedError)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"{error.code} {error.reason}"
    return str(getattr(error, "reason", error) or type(error).__name__)


def _continue(url: str, to: Path) -> None:
    """Append what is missing, or write all of it if the server does not send parts."""
    from tqdm import tqdm  # the library does without it otherwise

    start = _size(to)
    request = Request(url, headers={"User-Agent": f"ansatz/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    if login := _login(url):
        request.add_unredirected_header("Authorization", login)
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not start:
            raise
        if error.headers["Content-Range"] != f"bytes */{start}":  # otherwise nothing is missing
            to.unlink()  # longer than the file, so it is of another one
            _continue(url, to)
        return
    with response:
        part = response.headers["Content-Range"] or f"bytes {start}-"
        if response.status != 206 or not part.startswith(f"bytes {start}-"):
            start = 0  # all of it, or another part than was asked for, whose checksum then differs
        length = response.headers["Content-Length"]
        total = start + int(length) if length else None
        bar = tqdm(desc=url.rpartition("/")[2], initial=start, total=total, unit="B", unit_scale=True, disable=None)
        with open(to, "ab" if start else "wb") as file, bar:
            while chunk := response.read1(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(to) < total:
        raise ConnectionResetError(f"the connection ended after {_size(to)} of {total} bytes")


def _login(url: str) -> str | None:
    """Return the header with the name and password that the user's ``.netrc`` has for the host."""
    try:
        login = netrc.netrc().authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return f"Basic {base64.b64encode(f'{login[0]}:{login[2]}'.encode()).decode()}" if login else None
