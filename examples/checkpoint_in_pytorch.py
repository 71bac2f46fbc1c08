#!/usr/bin/python3
"""The tensors in a job's checkpoints, to go on with in PyTorch: see docs/reference/optimizers.md.

checkpoint_in_pytorch.py FILES…   prints the names, shapes and norms of a checkpoint's parameters and
moments; FILES are those of all workers (W_P.S.safetensors) of one round."""
import json
import math
import sys

import torch


def read(path):
    """The metadata and the tensors of a safetensors file of vectors."""
    with open(path, "rb") as file:
        content = file.read()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    types = {"F32": torch.float32, "F64": torch.float64}
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            at, end = (begin + offset for offset in about["data_offsets"])
            tensors[name] = (torch.frombuffer(bytearray(content[at:end]), dtype=types[about["dtype"]])
                             if at < end else torch.empty(0))
    return header["__metadata__"], tensors


def named(files, vector):
    """The tensors, by name, of a vector of the state: parameters, velocity, first_moment, second_moment."""
    whole = None
    for path in files:
        about, tensors = read(path)
        part, cut = tensors[f"state.{vector}"], json.loads(about.get("cut", "{}"))
        if vector not in cut.get("names", []):
            whole = part
            break
        whole = torch.zeros(cut["size"]) if whole is None else whole
        for begin, end in cut["ranges"]:
            whole[begin:end], part = part[:end - begin], part[end - begin:]
    return {piece["name"]: whole[piece["begin"]:][:math.prod(piece["shape"])].view(piece["shape"])
            for piece in json.loads(about["tensors"]) if piece["begin"] < len(whole)}


def steps_in(files):
    """Adam's number of steps."""
    about, tensors = read(files[0])
    return tensors["scalars"][1 if json.loads(about["fingerprint"])["lr"] == "auto" else 0].item()


if __name__ == "__main__":
    _, vectors = read(sys.argv[1])
    for vector in ("parameters", "velocity", "first_moment", "second_moment"):
        if f"state.{vector}" in vectors:
            for name, values in named(sys.argv[1:], vector).items():
                print(vector, name, list(values.shape), f"{values.norm().item():.6g}")
