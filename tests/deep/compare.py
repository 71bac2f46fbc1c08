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


class Small(torch.nn.Module):
    """Trains in no time: convolution, batch normalization, dropout; a frozen weight and two of one name."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, 2, 1)
        self.bn = torch.nn.BatchNorm2d(8)
        self.drop = torch.nn.Dropout(0.1)
        self.out = torch.nn.Linear(8 * 16, classes)
        self.shift = torch.nn.Parameter(torch.full((8 * 16,), 0.25), requires_grad=False)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        return self.out(self.drop(F.avg_pool2d(x, 4).flatten(1) + self.shift))


class Sequence(torch.nn.Module):
    """Of two inputs, in the order in which the data do not have them: three targets of four classes each."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(6, 12)

    def forward(self, b, a):
        return self.line(a - b).view(-1, 4, 3)


def sequences(module, data, classes):
    """Writes rows for it, of which some targets are padding (-100); the loss and the accuracy of the module."""
    import numpy as np
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 40, 6)).astype(np.float32)
    y = rng.integers(0, int(classes), (40, 3))
    y[rng.random((40, 3)) < 0.3] = -100
    np.savez(data, a=a, b=b, y=y)
    y = torch.tensor(y)
    logits = torch.jit.load(module)(torch.tensor(b), torch.tensor(a))
    loss = F.cross_entropy(logits, y, ignore_index=-100) if int(classes) == 4 else torch.tensor(0.0)
    print(loss.item(), (logits.argmax(1) == y)[y >= 0].float().mean().item())


def export(kind, path):
    """A TorchScript file of a small network, or a faulty one."""

    class NoParameters(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :10]

    class NoLogits(Small):
        def forward(self, x):
            return self.conv(x)

    class OtherSizes(Small):
        def forward(self, x):
            return self.out(x.flatten(1))

    class TwoInputs(Small):
        def forward(self, image, mask):
            return self.out((image * mask).flatten(1))

    class ItsLoss(torch.nn.Module):
        """Half the squared error of a line through 28 features; predict() for those without a target."""

        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(28, 1)

        @torch.jit.export
        def predict(self, features):
            return self.line(features)

        def forward(self, features, target):
            return ((self.predict(features)[:, 0] - target) ** 2).mean() / 2

    class Number(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(28, 1)

        def forward(self, x):
            return self.line(x)

    torch.manual_seed(5)
    module = {"parameters": NoParameters, "logits": NoLogits, "sizes": OtherSizes, "inputs": TwoInputs,
              "loss": ItsLoss, "number": Number, "sequence": Sequence}.get(kind, Small)(*([7] if kind == "classes" else []))
    if kind == "frozen":
        module.requires_grad_(False)
    if kind == "tied":
        module = torch.nn.Sequential(torch.nn.Linear(28, 28), torch.nn.Tanh(), torch.nn.Linear(28, 28),
                                     torch.nn.Linear(28, 2))
        module[2].weight = module[0].weight
    if kind == "state":
        torch.save(module.state_dict(), path)
    elif kind in ("pickle", "legacy"):
        torch.save(module, path, _use_new_zipfile_serialization=kind == "pickle")
    else:
        torch.jit.script(module).save(path)


def strict(model, exported, images):
    """The tensors of a model file are the state_dict of the module that it was trained from; the largest difference
    between its logits and those of the exported module, and of what was frozen."""
    tensors, _ = networks.read_safetensors(model)
    net = Small()
    net.load_state_dict(tensors, strict=True)
    again = torch.jit.load(exported)
    x, _ = networks.read_images(images)
    with torch.no_grad():
        print((net.eval()(x) - again(x)).abs().max().item(), (net.shift - 0.25).abs().max().item(),
              int(again.training))


def rows_of(path):
    """Inputs and targets of a data set of the examples."""
    import numpy as np
    if path.endswith(".libsvm"):
        from sklearn.datasets import load_svmlight_file
        x, y = load_svmlight_file(path, n_features=28)
        return torch.tensor(x.toarray(), dtype=torch.float32), torch.tensor(y).long()
    if path.endswith(".npz"):
        file = np.load(path)
        return torch.tensor(file["tokens"]), torch.tensor(file["y"])
    if path.endswith(".csv"):
        table = torch.tensor(np.genfromtxt(path, delimiter=",", skip_header=1), dtype=torch.float32)
        return table[:, :-1], table[:, -1]
    images = np.fromfile(path, dtype=np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.fromfile(path.replace("images-idx3", "labels-idx1"), dtype=np.uint8)[8:]
    return torch.tensor(images).float() / 255, torch.tensor(labels).long()


def resume(net, optimizer, checkpoint):
    """Runs the script of docs/how-to/deep.md."""
    text = open(os.path.join(os.path.dirname(__file__), "../../docs/how-to/deep.md")).read()
    script = text[text.index("import json, sys, torch"):]
    sys.argv = ["", checkpoint]
    exec(script[:script.index("```")], {"net": net, "optimizer": optimizer})


def trains(module, data, loss, optimizer, lr, other, batch, epochs, checkpoint=None):
    """The mean loss of each epoch of training without shuffling; `other` is the momentum of sgd, the weight decay
    of weights of adamw. Goes on from a checkpoint."""
    net = torch.jit.load(module)
    x, y = rows_of(data)
    weights = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() == 1]
    if optimizer == "sgd":
        steps = torch.optim.SGD(net.parameters(), float(lr), float(other))
    else:
        steps = torch.optim.AdamW([{"params": weights, "weight_decay": float(other)},
                                   {"params": rest, "weight_decay": 0.0}], float(lr))
    if checkpoint:
        resume(net, steps, checkpoint)
    for _ in range(int(epochs)):
        total = 0.0
        for begin in range(0, len(x), int(batch)):
            rows, targets = x[begin:begin + int(batch)], y[begin:begin + int(batch)]
            out = net(rows)
            value = F.cross_entropy(out, targets) if loss == "cross_entropy" else F.mse_loss(out[:, 0], targets)
            steps.zero_grad()
            value.backward()
            steps.step()
            total += value.item() * len(rows)
        print(repr(total / len(x)))


if __name__ == "__main__":
    {"loads": loads, "steps": steps, "export": export, "strict": strict, "sequences": sequences, "trains": trains}[sys.argv[1]](*sys.argv[2:])
