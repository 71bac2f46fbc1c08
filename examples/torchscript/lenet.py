#!/usr/bin/python3
"""Exports LeNet and writes scikit-learn's digits, padded to 28 × 28, as idx files: lenet.py [FOLDER]"""
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, image):
        x = F.max_pool2d(F.relu(self.conv1(image)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


folder = sys.argv[1] if len(sys.argv) > 1 else "."
digits = load_digits()
images = np.pad((digits.images * 255 / 16).astype(np.uint8), ((0, 0), (10, 10), (10, 10)))
for name, kind, values in (("images-idx3", 3, images), ("labels-idx1", 1, digits.target.astype(np.uint8))):
    with open(f"{folder}/train-{name}-ubyte", "wb") as file:
        file.write(struct.pack(f">HBB{kind}I", 0, 8, kind, *values.shape) + values.tobytes())
torch.manual_seed(1)
torch.jit.script(LeNet()).save(f"{folder}/lenet.pt")
