"""HTTP requests with time and size limits, retries, and a memory of hosts that are down."""

import dataclasses
import functools
import time

import httpx2
import stamina

from transforms.deadletter import Unusable

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
PERMANENT_REDIRECTS = frozenset({301, 308})
# A host that did not answer this many requests in a row is left alone for a while.
HOST_FAILURES = 2
HOST_REST_SECONDS = 300.0


@dataclasses.dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Limits of a request: seconds, bytes after decompression, tries."""

    user_agent: str
    connect_timeout: float
    total_timeout: float
    attempts: int
    max_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: 2xx, or 304 (with an empty body) to a conditional request.

    ``url`` is where redirects ended; ``moved_to`` is the same where every redirect on the
    way was permanent (301 or 308), else None. The names of ``headers`` are in lower case.
    """

    url: str
    status: int
    body: bytes
    headers: dict[str, str]
    attempts: int
    moved_to: str | None = None

    @property
    def content_type(self) -> str | None:
        """Content-Type as sent."""
        return self.headers.get("content-type")


class HttpClient:
    """Gets web addresses under a policy; safe to use from threads."""

    def __init__(self, policy: HttpPolicy):
        self._policy = policy
        self._failures: dict[str, tuple[int, float]] = {}
        self._client = httpx2.Client(
            headers={"User-Agent": policy.user_agent},
            timeout=httpx2.Timeout(policy.total_timeout, connect=policy.connect_timeout),
            follow_redirects=True,
            max_redirects=10,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None),
        )

    def get(self, url: str, etag: str | None = None, last_modified: str | None = None) -> Response:
        """The answer to a GET, conditional where a validator is given (RFC 9110, section 13).

        Raises Unusable for anything but a whole 2xx answer or a 304 that was asked for.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers = {name: value for name, value in conditions.items() if value is not None}
        host = host_and_port(url)
        if self._is_resting(host):
            raise Unusable(
                "HostDown", f"{host} did not answer a moment ago", retryable=True, attempt=0
            )
        trials = stamina.retry_context(
            on=lambda error: self._worth_retrying(error, host),
            attempts=self._policy.attempts,
            timeout=2 * self._policy.total_timeout,
            wait_initial=0.2,
            wait_max=5.0,
        )
        for trial in trials:
            with trial:
                return self._get_once(url, headers, host, trial.num)
        raise AssertionError("a retry context makes at least one attempt")

    def _get_once(self, url: str, headers: dict[str, str], host: str, attempt: int) -> Response:
        deadline = time.monotonic() + self._policy.total_timeout
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                self._failures.pop(host, None)
                if not (headers and answer.status_code == httpx2.codes.NOT_MODIFIED):
                    self._check_status(answer, attempt)
                body = self._read(answer, deadline, attempt)
        except httpx2.TransportError as error:
            # Not always the host that was asked: a redirect may lead to another.
            host = host_and_port(str(error.request.url))
            no_connection = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
            # A page that hangs counts once, however often it is tried: the host may be well.
            if no_connection or (isinstance(error, httpx2.TimeoutException) and attempt == 1):
                self._note_failure(host)
            raise Unusable(
                type(error).__name__,
                f"no answer from {host}: {error}",
                retryable=not isinstance(error, httpx2.UnsupportedProtocol),
                attempt=attempt,
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise Unusable(type(error).__name__, str(error), attempt=attempt) from error
        return Response(
            url=str(answer.url),
            status=answer.status_code,
            body=body,
            headers=dict(answer.headers),
            attempts=attempt,
            moved_to=permanent_target(answer),
        )

    def _worth_retrying(self, error: Exception, host: str) -> bool:
        return isinstance(error, Unusable) and error.retryable and not self._is_resting(host)

    def _note_failure(self, host: str) -> None:
        earlier, _ = self._failures.get(host, (0, 0.0))
        self._failures[host] = (earlier + 1, time.monotonic())

    def _is_resting(self, host: str) -> bool:
        number, last = self._failures.get(host, (0, 0.0))
        return number >= HOST_FAILURES and time.monotonic() < last + HOST_REST_SECONDS

    def _read(self, answer: httpx2.Response, deadline: float, attempt: int) -> bytes:
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > self._policy.max_bytes:
                raise Unusable(
                    "TooLarge", f"body is over {self._policy.max_bytes:,} bytes", attempt=attempt
                )
            if time.monotonic() > deadline:
                raise Unusable(
                    "Timeout",
                    f"not whole after {self._policy.total_timeout:g} s",
                    retryable=True,
                    attempt=attempt,
                )
        return bytes(body)

    @staticmethod
    def _check_status(answer: httpx2.Response, attempt: int) -> None:
        if not answer.is_success:
            status = answer.status_code
            raise Unusable(
                f"Http{status}",
                f"HTTP {status} {answer.reason_phrase}".strip(),
                retryable=status in RETRYABLE_STATUS,
                attempt=attempt,
                status=status,
            )


def host_and_port(url: str) -> str:
    """The host of a URL, with its port where that is stated. Raises Unusable."""
    try:
        return httpx2.URL(url).netloc.decode("ascii")
    except (httpx2.InvalidURL, ValueError) as error:
        raise Unusable("InvalidURL", str(error)) from error


def permanent_target(answer: httpx2.Response) -> str | None:
    """Where redirects led, if there were any and all said the move is for good."""
    statuses = {redirect.status_code for redirect in answer.history}
    return str(answer.url) if statuses and statuses <= PERMANENT_REDIRECTS else None


@functools.cache
def open_client(policy: HttpPolicy) -> HttpClient:
    """The process's one client for a policy, with its open connections."""
    return HttpClient(policy)
