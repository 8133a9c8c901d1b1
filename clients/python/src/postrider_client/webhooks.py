"""Verifies signatures by Standard Webhooks 1.0, as the worker makes them: `v1` (HMAC-SHA256) and `v1a` (Ed25519)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping


class InvalidSignature(Exception):
    """The request is not from the owner of any of the keys, or not from now."""


class Verifier:
    """Verifies requests with any of several keys: `whsec_…` (the secret itself), or `whpk_…` (a public key, which needs the
    package `cryptography`). `tolerance` is how many seconds a request may be old, or early."""

    def __init__(self, *keys: str, tolerance: float = 300) -> None:
        if not keys or not all(isinstance(key, str) for key in keys):
            raise ValueError("give at least one key, each as a text")
        self._keys = [_key(key) for key in keys]
        self._tolerance = tolerance

    def verify(self, headers: Mapping[str, str], body: bytes | str, *, now: float | None = None) -> str:
        """Returns the job id, which is the same on every attempt. `body` is the body as it came. Raises `InvalidSignature`."""
        given = {name.lower(): value for name, value in headers.items()}
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        if missing := [name for name in names if not given.get(name)]:
            raise InvalidSignature(f"the header {missing[0]} is missing")
        job_id, timestamp, signatures = (given[name] for name in names)
        if not (timestamp.isascii() and timestamp.isdigit()):
            raise InvalidSignature("the header webhook-timestamp is not Unix time in seconds")
        if abs(int(timestamp) - (time.time() if now is None else now)) > self._tolerance:
            raise InvalidSignature("the header webhook-timestamp is too far from now")
        body = body.encode() if isinstance(body, str) else body
        if not isinstance(body, bytes):
            raise TypeError(f"give the body as it came, not {type(body).__name__}: the signature is of its bytes")
        content = b".".join([job_id.encode(), timestamp.encode(), body])
        for signature in signatures.split(" "):
            version, _, text = signature.partition(",")
            try:
                raw = base64.b64decode(text, validate=True)
            except binascii.Error:
                continue
            if any(own == version and check(content, raw) for own, check in self._keys):
                return job_id
        raise InvalidSignature("no signature is that of a known key")


def _key(key: str):  # type: ignore[no-untyped-def]
    prefix, _, text = key.partition("_")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("the text after `whsec_` or `whpk_` must be Base64") from None
    if prefix == "whsec" and 24 <= len(raw) <= 64:
        return "v1", lambda content, signature: hmac.compare_digest(hmac.digest(raw, content, hashlib.sha256), signature)
    if prefix == "whpk" and len(raw) == 32:
        return "v1a", _ed25519(raw)
    raise ValueError("a key is `whsec_` and 24 to 64 bytes in Base64, or `whpk_` and 32 bytes")


def _ed25519(raw: bytes):  # type: ignore[no-untyped-def]
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise ImportError("a key `whpk_…` needs the package `cryptography`: pip install 'postrider-client[ed25519]'") from None
    public = Ed25519PublicKey.from_public_bytes(raw)

    def check(content: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, content)
        except exceptions.InvalidSignature:
            return False
        return True

    return check
