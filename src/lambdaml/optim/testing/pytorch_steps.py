#!/usr/bin/python3
"""The parameters after each step of PyTorch's optimizers, for StepRule's test to compare with:
pytorch_steps.py OPTIMIZER LR MOMENTUM L2 CLIP. A weight of 4 × 5 and a bias of 4, with given gradients."""
import math
import sys

import torch

STEPS = 12
WEIGHT, BIAS = (4, 5), (4,)


class Lars(torch.optim.Optimizer):
    """You, Gitman, Ginsburg 2017, algorithm 1; parameters with `trust` None have steps of SGD."""

    def __init__(self, groups, lr, momentum):
        super().__init__(groups, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                rate = group["lr"]
                if group["trust"] is not None:
                    rate *= (group["trust"] * w.norm()
                             / (w.grad.norm() + group["weight_decay"] * w.norm())).item()
                v = self.state[w].setdefault("velocity", torch.zeros_like(w))
                v.mul_(group["momentum"]).add_(w.grad + group["weight_decay"] * w, alpha=rate)
                w.sub_(v)


def numbers(shape, of):
    count = math.prod(shape)
    return torch.tensor([of(i) for i in range(count)], dtype=torch.float32).reshape(shape)


def main(name, lr, momentum, l2, clip):
    weight = torch.nn.Parameter(numbers(WEIGHT, lambda i: 0.5 * math.cos(i)))
    bias = torch.nn.Parameter(numbers(BIAS, lambda i: 0.5 * math.cos(i + 20)))
    groups = [{"params": [weight], "weight_decay": l2, "trust": 0.02},
              {"params": [bias], "weight_decay": 0.0, "trust": None}]
    optimizer = {"sgd": lambda: torch.optim.SGD(groups, lr, momentum),
                 "nesterov": lambda: torch.optim.SGD(groups, lr, momentum, nesterov=True),
                 "adam": lambda: torch.optim.Adam(groups, lr),
                 "adamw": lambda: torch.optim.AdamW(groups, lr),
                 "lars": lambda: Lars(groups, lr, momentum)}[name]()
    average = torch.optim.swa_utils.AveragedModel(
        torch.nn.ParameterList([weight, bias]), avg_fn=lambda a, w, n: 0.9 * a + (1 - 0.9) * w)
    for step in range(STEPS):
        of = lambda i: math.sin(0.7 * step + 1.3 * i) * (10 if i % 3 == 0 else 1)
        weight.grad = numbers(WEIGHT, of)
        bias.grad = numbers(BIAS, lambda i: of(i + 20))
        if clip > 0:
            torch.nn.utils.clip_grad_norm_([weight, bias], clip)
        optimizer.step()
        average.update_parameters(torch.nn.ParameterList([weight, bias]))
        for tensor in (weight, bias, *average.module):
            print(*(f"{value:.9g}" for value in tensor.detach().flatten().tolist()))


if __name__ == "__main__":
    main(sys.argv[1], *(float(argument) for argument in sys.argv[2:]))
