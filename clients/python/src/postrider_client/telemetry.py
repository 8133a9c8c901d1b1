"""Spans of a producer, if the OpenTelemetry API is installed: those of the page "Telemetry" of the documents."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from importlib import metadata
from types import TracebackType
from typing import Any

from .job import size_of

try:
    from opentelemetry import trace
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # pragma: no cover
    trace = None  # type: ignore[assignment]

Fields = dict[str, Any]

try:
    _VERSION: str | None = metadata.version("postrider-client")
except metadata.PackageNotFoundError:
    _VERSION = None


def _own_context(fields: Fields) -> Any:
    """The span whose context a job already has, in its fields or its headers."""
    carrier: Mapping[str, Any] = fields
    if "traceparent" not in fields and "traceparent" in str(fields.get("headers", "")).lower():
        carrier = {name.lower(): value for name, value in json.loads(fields["headers"]).items()}
    if "traceparent" not in carrier:
        return None
    span = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier, Context())).get_span_context()
    return span if span.is_valid else None


class Publishing:
    """The span of an enqueue: `publish` for jobs without a context, `send` if all have their own."""

    def __init__(self, queue: str, server: tuple[str, int | None] | None, entries: list[Fields], max_job_bytes: int) -> None:
        self._span: Any = None
        self._created: dict[int, Any] = {}
        if trace is None or not entries:
            return
        self._tracer = trace.get_tracer("postrider-client", _VERSION)
        self._queue, self._many, self._bytes_max = queue, len(entries) > 1, max_job_bytes
        own = [context for context in map(_own_context, entries) if context]
        name = "send" if len(own) == len(entries) else "publish"
        self._is_producer = name == "publish" and not self._many
        attributes = self._attributes(name, "send")
        if server:
            attributes["server.address"] = server[0]
            attributes |= {} if server[1] is None else {"server.port": server[1]}
        if self._many:
            attributes["messaging.batch.message_count"] = len(entries)
        kind = trace.SpanKind.PRODUCER if self._is_producer else trace.SpanKind.CLIENT
        self._current = trace.get_current_span().get_span_context()
        links = [trace.Link(context) for context in own]
        self._span = self._tracer.start_span(f"{name} {queue}", kind=kind, attributes=attributes, links=links)

    def _attributes(self, name: str, kind: str) -> dict[str, Any]:
        return {
            "messaging.system": "redis",
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
            "messaging.destination.name": self._queue,
        }

    def inject(self, fields: Fields) -> None:
        """Gives the only job the context of the publish span, unless it has its own."""
        if self._span and self._is_producer:
            self._inject(self._span, fields)

    def _inject(self, span: Any, fields: Fields, context: Any = None) -> None:
        context = trace.set_span_in_context(span, context)
        own: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(own, context)
        W3CBaggagePropagator().inject(own, context)
        self._add(own, fields)

    def _add(self, own: dict[str, str], fields: Fields) -> None:
        # A job without room for its context is delivered all the same.
        if size_of(fields) + size_of(own) <= self._bytes_max:
            fields.update(own)

    def create(self, index: int, fields: Fields) -> None:
        """Begins the trace of one of many jobs, which has no context: a root with a link to `publish`."""
        if not self._span or not self._many or index in self._created or _own_context(fields):
            return
        if self._current.is_valid and not self._current.trace_flags.sampled:
            # All jobs follow the decision for the span in which they are enqueued.
            self._add({"traceparent": f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-00"}, fields)
            return
        publish = self._span.get_span_context()
        links = [trace.Link(publish)] if publish.trace_flags.sampled else []
        attributes, kind = self._attributes("create", "create"), trace.SpanKind.PRODUCER
        self._created[index] = span = self._tracer.start_span(
            f"create {self._queue}", Context(), kind=kind, attributes=attributes, links=links
        )
        self._inject(span, fields, Context())

    def enqueued(self, index: int, job_id: str) -> None:
        if span := self._created.pop(index, None):
            span.set_attribute("messaging.message.id", job_id)
            span.end()
        elif self._span and not self._many:
            self._span.set_attribute("messaging.message.id", job_id)

    def __enter__(self) -> Publishing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for span in [*self._created.values(), self._span] if self._span else []:
            if error is not None and not isinstance(error, GeneratorExit):
                span.set_attribute("error.type", _error_type(error))
                span.set_status(trace.StatusCode.ERROR, str(error)[:256] if _is_ours(error) else type(error).__name__)
            span.end()


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("postrider_client")


def _error_type(error: BaseException) -> str:
    if _is_ours(error):
        return "refused"
    if "Timeout" in type(error).__name__:
        return "timeout"
    # The code of an error reply of Redis, as OOM.
    code = re.match("[A-Z_]{1,24}(?=[ :]|$)", str(error))
    return code[0] if code else type(error).__qualname__
