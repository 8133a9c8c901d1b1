"""A job, and its fields as they are in Redis. Pure."""

from __future__ import annotations

import json as _json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Union
from urllib.parse import urlencode

Headers = Mapping[str, Union[str, Sequence[str]]]
Pairs = Union[Mapping[str, Any], Sequence[tuple[str, Any]]]
#: A URL, or `url` with `method`, `headers`, `secret`, `flow` and `retry` of the callback's job.
Callback = Union[str, Mapping[str, Any]]

DAY = timedelta(days=1)
#: The bytes of a job's fields that a worker accepts, unless its `--max-job-bytes` is another.
JOB_BYTES_MAX = 4 << 20
_HEADERS_BYTES_MAX = 64 << 10
_HEADER_VALUES_MAX = 256
_CALLBACK_BYTES_MAX = 16 << 10
#: The longest JSON that the worker recognizes as such.
_JSON_BYTES_MAX = 64 << 10
_RESERVED = frozenset(
    "host content-length transfer-encoding connection keep-alive proxy-connection proxy-authorization proxy-authenticate "
    "http2-settings te trailer upgrade expect".split()
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class InvalidJob(ValueError):
    """No worker would accept the job. `field` is the wrong field; `None` if the job as a whole is too large. `index` is its
    place among those of `enqueue_many`."""

    def __init__(self, field: str | None, error: str) -> None:
        super().__init__(f"field `{field}`{'' if error.startswith(':') else ' '}{error}" if field else error)
        self.field = field
        self.index: int | None = None


def _text(pattern: str, error: str) -> Callable[[str, Any], str]:
    def encode(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidJob(name, "must be a text")
        if not re.fullmatch(pattern, value, re.DOTALL):
            raise InvalidJob(name, error)
        return value

    return encode


def _number(least: int, most: int, error: str, low: str = "must be at least 1") -> Callable[[str, Any], str]:
    """A whole number. Durations become milliseconds, times Unix milliseconds."""

    def encode(name: str, value: Any) -> str:
        if isinstance(value, timedelta):
            value = value // timedelta(milliseconds=1)
        elif isinstance(value, datetime):
            if value.tzinfo is None:
                raise InvalidJob(name, "must have a time zone, as datetime.now(timezone.utc) has")
            value = round(value.timestamp() * 1000)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**16:
            raise InvalidJob(name, "must be a whole number of 1 to 16 digits")
        if value < least:
            raise InvalidJob(name, low)
        if value > most:
            raise InvalidJob(name, error)
        return str(value)

    return encode


_time = _number(
    100_000_000_000,
    100_000_000_000_000,
    "is beyond the year 5000; it must be Unix time in milliseconds",
    "looks like seconds; it must be Unix time in milliseconds",
)


def _url(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidJob(name, "must be a text")
    if re.search(r"[\x00-\x1f]", value):
        raise InvalidJob(name, "has a control character, as a tab or a line break; remove it")
    scheme, colon, rest = value.lstrip(" ").partition(":")
    if scheme.lower() not in ("http", "https") or not colon:
        if colon and rest.startswith("/") and re.fullmatch("[A-Za-z0-9]+", scheme):
            raise InvalidJob(name, f': the scheme "{scheme}" is neither http nor https')
        raise InvalidJob(name, "must be absolute: it has no scheme; write https://example.org/hook")
    authority = re.split(r"[/\\?#]", rest.rstrip(" ").lstrip("/\\"), maxsplit=1)[0].rpartition("@")[2]
    host, port = re.fullmatch(r"(\[.*\]|[^:]*)(?::(.*))?", authority, re.DOTALL).groups() if authority else ("", None)  # type: ignore[union-attr]
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidJob(name, ": the port must be 1 to 65535")
    _host(name, host)
    return value


def _host(name: str, host: str) -> None:
    """Finds the mistakes that people make. The worker reads URLs by the WHATWG standard, and finds all."""
    if not host or re.search(r"[ <>^|]", host):
        raise InvalidJob(name, "is not a URL: its host is empty or has a wrong character")
    if host.startswith("["):
        try:
            socket.inet_pton(socket.AF_INET6, host[1:-1])
        except OSError:
            raise InvalidJob(name, ": the host is not an IPv6 address in brackets, without a zone") from None
    elif host.isascii() and "%" not in host:
        labels = host.removesuffix(".").split(".")
        if re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", labels[-1]):
            try:
                socket.inet_aton(host.removesuffix("."))
            except OSError:
                raise InvalidJob(name, ": the host ends in a number and is not an IPv4 address") from None
        elif not all(re.fullmatch("[A-Za-z0-9_-]{1,63}", label) for label in labels):
            raise InvalidJob(name, f': the host "{host[:64]}" is not a host name')


def _method(name: str, value: Any) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise InvalidJob(name, "is not an HTTP method, as GET or POST")
    if value.upper() == "CONNECT":
        raise InvalidJob(name, ": CONNECT is for proxies")
    return value


def _headers(name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        raise InvalidJob(name, "must be an object, or the text of one")
    count = 0
    for header, values in value.items():
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            raise InvalidJob(name, f": {header!r:.64} is not a header name")
        if header.lower() in _RESERVED:
            raise InvalidJob(name, f": `{header.lower()}` is set by the worker, leave it out")
        for text in [values] if isinstance(values, str) else values if isinstance(values, (list, tuple)) else [None]:
            if not isinstance(text, str):
                raise InvalidJob(name, f": the value of {header!r} must be text or a list of texts")
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
                raise InvalidJob(name, f": the value of {header!r} has a character that headers cannot")
            count += 1
    if count > _HEADER_VALUES_MAX:
        raise InvalidJob(name, f"has more than {_HEADER_VALUES_MAX} values")
    text = dumps(dict(value))
    if (size := len(text.encode())) > _HEADERS_BYTES_MAX:
        raise InvalidJob(name, f"has {size} bytes; at most {_HEADERS_BYTES_MAX}")
    return text


def _body(name: str, value: Any) -> str | bytes:
    if not isinstance(value, (str, bytes)):
        raise InvalidJob(name, "must be a text or bytes; `json` takes anything else")
    return value


def _flow(name: str, value: Any) -> str:
    return _sized(name, value, "must be 1 to 256 bytes")


def _callback(name: str, value: Any) -> str:
    members = value
    if isinstance(value, str):
        # Or the text of an object, as the field is in Redis.
        members = _object(name, value) if value.startswith("{") else {"url": value}
    if not isinstance(members, Mapping):
        raise InvalidJob(name, "must be a URL, or an object with `url`")
    for member, own in members.items():
        if member not in _CALLBACK:
            raise InvalidJob(name, f": {member!r:.64} is not known here; known are {', '.join(_CALLBACK)}")
        try:
            _CALLBACK[member](member, own)
        except InvalidJob as error:
            raise InvalidJob(name, f": {str(error).removeprefix('field ')}") from None
    if "url" not in members:
        raise InvalidJob(name, ": `url` is missing")
    text = value if isinstance(value, str) else dumps(dict(members))
    if (size := len(text.encode(errors="surrogatepass"))) > _CALLBACK_BYTES_MAX:
        raise InvalidJob(name, f"has {size} bytes; at most {_CALLBACK_BYTES_MAX}")
    return text


def _object(name: str, text: str) -> Any:
    try:
        return _json.loads(text)
    except ValueError as error:
        raise InvalidJob(name, f": it is not a JSON object: {error}") from None


def entries_of(jobs: Sequence[Job], max_job_bytes: int) -> list[dict[str, str | bytes]]:
    """The fields of many jobs. Raises `InvalidJob` for the first wrong one."""
    entries = []
    for index, job in enumerate(jobs):
        if not isinstance(job, Job):
            raise TypeError(f"jobs[{index}] must be a Job, not {type(job).__name__}")
        try:
            entries.append(job.fields(max_job_bytes))
        except InvalidJob as error:
            error.index, error.args = index, (f"jobs[{index}]: {error}",)
            raise
    return entries


def size_of(entry: Mapping[str, str | bytes]) -> int:
    """The bytes of all names and values."""
    return sum(len(name) + len(value if isinstance(value, bytes) else value.encode()) for name, value in entry.items())


def dumps(value: Any) -> str:
    """JSON as other languages write it: without blanks, and letters as they are."""
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _wire(encode: Callable[[str, Any], str | bytes]) -> Any:
    """A field of the entry, which is left out if it is `None`."""
    return field(default=None, metadata={"encode": encode})


_any = _text("(?s).*", "")
_CALLBACK = {"url": _url, "method": _method, "headers": _headers, "secret": _any, "flow": _flow, "retry": _any}


@dataclass(frozen=True, repr=False)
class Job:
    """One HTTP request to be made, with its policy. Names and limits are those of the page "Job fields" of the documents.

    Durations are milliseconds or a `timedelta`, times Unix milliseconds or a `datetime` with a time zone.
    """

    url: str = field(metadata={"encode": _url})
    _: KW_ONLY
    method: str | None = _wire(_method)
    headers: Headers | None = _wire(_headers)
    body: str | bytes | None = _wire(_body)
    label: str | None = _wire(_text("[!-~]{1,128}", "must be 1 to 128 printable ASCII characters without a blank"))
    delay_ms: int | timedelta | None = _wire(_number(0, 316_224_000_000, "is more than ten years"))
    not_before: int | datetime | None = _wire(_time)
    expires_at: int | datetime | None = _wire(_time)
    timeout_ms: int | timedelta | None = _wire(_number(1, 3_600_000, "is more than an hour"))
    max_attempts: int | None = _wire(_number(1, 100, "must be 1 to 100", "must be 1 to 100"))
    retry: str | None = _wire(_any)
    flow: str | None = _wire(_flow)
    order: str | None = _wire(_flow)
    secret: str | None = _wire(_any)
    result_ttl_ms: int | timedelta | None = _wire(_number(1, 604_800_000, "is more than seven days"))
    on_success: Callback | None = _wire(_callback)
    on_failure: Callback | None = _wire(_callback)
    traceparent: str | None = _wire(_any)
    tracestate: str | None = _wire(_any)
    baggage: str | None = _wire(_any)
    v: int | None = _wire(_number(1, 1, "is format version 2 or newer, which this client does not know"))
    #: Anything that `json.dumps` takes, as the body.
    json: Any = None
    #: Pairs as the body, as a browser sends a form.
    form: Pairs | None = None
    #: Pairs that are added to the URL's query.
    params: Pairs | None = None
    #: The idempotency key: within `key_ttl`, only the first enqueue with this key makes a job.
    key: str | None = None
    key_ttl: timedelta = DAY

    def fields(self, max_job_bytes: int = JOB_BYTES_MAX) -> dict[str, str | bytes]:
        """The fields of the entry, checked as a worker with this `--max-job-bytes` does. Raises `InvalidJob`."""
        values = {own.name: getattr(self, own.name) for own in fields(self) if "encode" in own.metadata}
        values["url"] = self._with_params(values["url"])
        self._add_body(values)
        entry = {}
        for own in fields(self):
            if own.name in values and (value := values[own.name]) is not None:
                try:
                    entry[own.name] = encoded = own.metadata["encode"](own.name, value)
                    encoded.encode() if isinstance(encoded, str) else None
                except UnicodeEncodeError:
                    raise InvalidJob(own.name, "has half a letter, which is not UTF-8") from None
        if "url" not in entry:
            raise InvalidJob("url", "is missing")
        if self.key is not None:
            _sized("key", self.key, ": write 1 to 256 bytes")
            if not timedelta(milliseconds=1) <= self.key_ttl <= 3650 * DAY:
                raise InvalidJob("key_ttl", "must be 1 ms to 3650 days")
        size = size_of(entry)
        if size > max_job_bytes:
            raise InvalidJob(None, f"{size} bytes are too many; at most {max_job_bytes}")
        return entry

    def __repr__(self) -> str:
        given = {own.name: getattr(self, own.name) for own in fields(self) if getattr(self, own.name) != own.default}
        return f"Job({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def _with_params(self, url: Any) -> Any:
        if not self.params or not isinstance(url, str):
            return url
        base, mark, fragment = url.partition("#")
        return f"{base}{'&' if '?' in base else '?'}{urlencode(self.params, doseq=True)}{mark}{fragment}"

    def _add_body(self, values: dict[str, Any]) -> None:
        if sum(body is not None for body in (self.body, self.json, self.form)) > 1:
            raise InvalidJob("body", "is given twice: of `body`, `json` and `form`, give one")
        content_type = None
        if self.form is not None:
            values["body"], content_type = urlencode(self.form, doseq=True), "application/x-www-form-urlencoded"
        elif self.json is not None:
            try:
                values["body"] = text = dumps(self.json)
            except (TypeError, ValueError) as error:
                raise InvalidJob("json", f"is not JSON: {error}") from None
            # The worker recognizes an object or a list by itself.
            if not text.startswith(("{", "[")) or len(text.encode()) > _JSON_BYTES_MAX:
                content_type = "application/json"
        headers = values["headers"] or {}
        if content_type and isinstance(headers, Mapping) and "content-type" not in (str(name).lower() for name in headers):
            values["headers"] = {**headers, "content-type": content_type}


def _sized(name: str, value: Any, error: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value.encode(errors="surrogatepass")) <= 256:
        raise InvalidJob(name, error)
    return value
