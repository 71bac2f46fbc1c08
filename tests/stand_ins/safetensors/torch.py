"""safetensors.torch, as far as the documentation and the tests use it."""

import json
import struct

from . import TYPES, safe_open


def load_file(path):
    file = safe_open(path, "pt")
    return {name: file.get_tensor(name) for name in file.keys()}


def save_file(tensors, path, metadata=None):
    names = {kind: name for name, kind in TYPES.items()}
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
