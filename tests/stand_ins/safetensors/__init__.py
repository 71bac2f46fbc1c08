"""The part of the package safetensors that the documentation and the tests use, for machines without it."""

import json

import torch as _torch

TYPES = {"F16": _torch.float16, "BF16": _torch.bfloat16, "F32": _torch.float32, "F64": _torch.float64,
         "I8": _torch.int8, "I16": _torch.int16, "I32": _torch.int32, "I64": _torch.int64, "U8": _torch.uint8,
         "BOOL": _torch.bool}


class safe_open:
    """The tensors and the metadata of a file, as torch tensors."""

    def __init__(self, path, framework):
        assert framework == "pt"
        with open(path, "rb") as file:
            content = file.read()
        begin = 8 + int.from_bytes(content[:8], "little")
        self._header = json.loads(content[8:begin])
        self._metadata = self._header.pop("__metadata__", {})
        self._values = content[begin:]

    def keys(self):
        return self._header.keys()

    def metadata(self):
        return self._metadata

    def get_tensor(self, name):
        about = self._header[name]
        begin, end = about["data_offsets"]
        values = bytearray(self._values[begin:end])
        if not values:
            return _torch.empty(about["shape"], dtype=TYPES[about["dtype"]])
        return _torch.frombuffer(values, dtype=TYPES[about["dtype"]]).view(about["shape"])
