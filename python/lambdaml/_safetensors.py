"""Reading safetensors files, the engine's models and checkpoints: numbers as arrays, and the metadata."""

from __future__ import annotations

import json
from typing import Any

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read(path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(tensors by name, metadata) of a file. Its numbers stay on the disk until they are used."""
    import numpy

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    data = numpy.memmap(path, mode="r", offset=0)[8 + length :]
    tensors = {}
    for name, facts in header.items():
        begin, end = facts["data_offsets"]
        tensors[name] = data[begin:end].view(_TYPES[facts["dtype"]]).reshape(facts["shape"])
    return tensors, metadata
