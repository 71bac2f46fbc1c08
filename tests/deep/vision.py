#!/usr/bin/python3
"""torchvision's networks with random weights, as a start for LambdaML: vision.py start|compare …"""
import os
import sys

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)

import numpy as np
import torch
import torchvision

import networks
from safetensors.torch import save_file  # found by networks

torch.set_num_threads(1)


def start(name, side, classes):
    """Writes NAME.safetensors, a state_dict whose statistics are those of some images, and NAME.npz, images."""
    torch.manual_seed(4)
    net = getattr(torchvision.models, name)(num_classes=int(classes))
    images = torch.randint(0, 256, (12, 3, int(side), int(side)), dtype=torch.uint8)
    with torch.no_grad():
        for _ in range(20):
            net(images / 255)
    save_file(net.state_dict(), f"{name}.safetensors", {"format": "pt"})
    np.savez(f"{name}.npz", image=images.numpy(), y=np.arange(12) % int(classes))


def compare(name, model, scores):
    """The largest difference of the logits in a CSV file from torchvision's for the start, and for the trained
    model; the deviation of the logits."""
    images = torch.from_numpy(np.load(f"{name}.npz")["image"]) / 255
    with open(scores) as file:
        header = file.readline().strip().split(",")
        rows = np.loadtxt(file, delimiter=",", ndmin=2)
    ours = torch.from_numpy(rows[:, [i for i, column in enumerate(header) if column.startswith("score")]])
    found = []
    for path in (f"{name}.safetensors", model):
        tensors, _ = networks.read_safetensors(path)
        net = getattr(torchvision.models, name)(num_classes=ours.shape[1])
        missing, unexpected = net.load_state_dict(tensors, strict=False)
        assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing), missing
        with torch.no_grad():
            theirs = net.eval()(images)
        found.append((ours - theirs).abs().max().item())
    print(*found, theirs.std().item())


if __name__ == "__main__":
    {"start": start, "compare": compare}[sys.argv[1]](*sys.argv[2:])
