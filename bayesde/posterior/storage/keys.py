"""Hashes of everything that a unit of work depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["KEY_LENGTH", "add_to_hash"]

KEY_LENGTH = 32
"""Hexadecimal digits of a key."""


def add_to_hash(digest: hashlib._Hash, *parts: Any) -> None:
    """Hash values of any kind that options and data have, with their kinds and shapes.

    Parameters
    ----------
    digest : hash
        Of `hashlib`; is updated.
    *parts
        Arrays, numbers, texts, None, and sequences, mappings and dataclasses of these.
    """
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif is_dataclass(part):
            digest.update(type(part).__name__.encode())
            add_to_hash(digest, *(getattr(part, entry.name) for entry in fields(part)))
        elif isinstance(part, Mapping):
            add_to_hash(digest, *(item for name in sorted(part) for item in (name, part[name])))
        elif isinstance(part, tuple | list):
            digest.update(f"{len(part)} of".encode())
            add_to_hash(digest, *part)
        else:
            digest.update(f"{part!r};".encode())
