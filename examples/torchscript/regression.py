#!/usr/bin/python3
"""Exports a regression model and writes scikit-learn's diabetes data as CSV: regression.py [FOLDER]"""
import sys

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn

folder = sys.argv[1] if len(sys.argv) > 1 else "."
rows, target = load_diabetes(return_X_y=True, scaled=False)
rows = (rows - rows.mean(0)) / rows.std(0)
names = ",".join([f"x{i}" for i in range(10)] + ["progression"])
np.savetxt(f"{folder}/diabetes.csv", np.c_[rows, target / 100], "%.6g", ",", header=names, comments="")
torch.manual_seed(1)
net = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))
torch.jit.script(net).save(f"{folder}/regression.pt")
