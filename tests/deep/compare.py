#!/usr/bin/python3
"""Compares models trained by LambdaML with PyTorch's: compare.py KIND ARGUMENTS… (see main)."""
import json
import os
import sys

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)

import torch
import torch.nn.functional as F

import networks

torch.set_num_threads(1)


def load(name, path):
    """The network with the weights of a model file; every key must fit."""
    tensors, metadata = networks.read_safetensors(path)
    classes = len(json.loads(metadata["labels"]))
    net = networks.make(name, classes)
    net.load_state_dict(tensors, strict=True)
    return net


def loads(name, model, images, labels_file):
    """The trained model in PyTorch gives the same labels as `lambdaml predict` wrote, and says with
    which mean loss."""
    net = load(name, model).eval()
    x, y = networks.read_images(images)
    with torch.no_grad():
        logits = net(x)
    ours = torch.tensor([int(line) for line in open(labels_file)])
    agreement = (logits.argmax(1) == ours).float().mean().item()
    print(agreement, F.cross_entropy(logits, y).item())


def steps(name, mode, seed, end, images, lr, l2):
    """A step of SGD in PyTorch, from its own initial weights for the seed, gives the model file: the
    relative error of the gradient (with l2), and the largest difference of statistics. In `train` mode the
    gradient of an untrained network is ill-conditioned: PyTorch's own differ by percents between the memory
    formats; in `eval` mode, with frozen statistics, they do not."""
    ours, metadata = networks.read_safetensors(end)
    labels = torch.tensor(json.loads(metadata["labels"]))
    torch.manual_seed(int(seed))
    net = networks.make(name, len(labels)).train(mode == "train")
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": weights, "weight_decay": float(l2)},
                                 {"params": others}], float(lr))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x, y = networks.read_images(images)
    y = torch.searchsorted(labels, y)
    F.cross_entropy(net(x), y).backward()
    optimizer.step()
    apart = moved = statistics = 0.0
    for key, theirs in net.state_dict().items():
        if "running" in key:
            statistics = max(statistics, (ours[key] - theirs).abs().max().item())
        elif key in ours:
            apart += (ours[key] - theirs).double().square().sum().item()
            moved += (theirs - before[key]).double().square().sum().item()
    print((apart / moved) ** 0.5, statistics)


def export(kind, path):
    """A TorchScript file of a small network, or a faulty one."""

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, 2, 1)
            self.bn = torch.nn.BatchNorm2d(8)
            self.drop = torch.nn.Dropout(0.1)
            self.out = torch.nn.Linear(8 * 16, 10 if kind != "classes" else 7)

        def forward(self, x):
            x = F.relu(self.bn(self.conv(x)))
            return self.out(self.drop(F.avg_pool2d(x, 4).flatten(1)))

    class NoParameters(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :10]

    class NoLogits(Small):
        def forward(self, x):
            return self.conv(x)

    class OtherSizes(Small):
        def forward(self, x):
            return self.out(x.flatten(1))

    torch.manual_seed(5)
    module = {"parameters": NoParameters, "logits": NoLogits, "sizes": OtherSizes}.get(kind, Small)()
    torch.jit.script(module).save(path)


if __name__ == "__main__":
    {"loads": loads, "steps": steps, "export": export}[sys.argv[1]](*sys.argv[2:])
