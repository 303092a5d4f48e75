"""Signatures of Standard Webhooks: HMAC-SHA256 over ``id.timestamp.body``, one for each secret.

Several secrets are a rotation: who verifies needs only one of them to fit.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

from dispatcher.errors import ConfigError

PREFIX: Final = "whsec_"
SECRET_MIN, SECRET_MAX = 24, 64
"""Octets, as Standard Webhooks asks."""


def secret_of(text: str, at: str) -> bytes:
    """Return the key that a secret's text stands for. ConfigError: it is none; `at` says where it is."""
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        if not SECRET_MIN <= len(key) <= SECRET_MAX:
            raise ValueError
    except (ValueError, binascii.Error):
        expected = f"expected {PREFIX} and base64 of {SECRET_MIN} to {SECRET_MAX} octets"
        raise ConfigError(f"{at}: {expected}") from None
    return key


def headers_of(secrets: Sequence[bytes], webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of a delivery; no secrets: it is not signed."""
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp_s)}
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    digests = [hmac.digest(secret, signed, "sha256") for secret in secrets]
    if digests:
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests)
    return headers
