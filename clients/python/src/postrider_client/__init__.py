"""Enqueues HTTP jobs for Postrider, which delivers them. See `Job` and `Postrider`; `postrider_client.testing` is for tests,
`postrider_client.webhooks` for those who receive the requests."""

from .client import AsyncPostrider, Postrider
from .job import InvalidJob, Job
from .protocol import EnqueueError, NotAllEnqueued, QueueFull, Receipt, Result, ShardsChanging
from .webhooks import InvalidSignature, Verifier

__all__ = [
    "AsyncPostrider",
    "EnqueueError",
    "InvalidJob",
    "InvalidSignature",
    "Job",
    "NotAllEnqueued",
    "Postrider",
    "QueueFull",
    "Receipt",
    "Result",
    "ShardsChanging",
    "Verifier",
]
