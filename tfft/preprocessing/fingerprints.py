"""Digests of settings, so that equal preprocessors are known as such."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Returns the SHA-256, in hex, of bytes, or of a value as JSON with sorted keys."""
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()
