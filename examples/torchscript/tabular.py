#!/usr/bin/python3
"""Exports a classifier of tables with 28 columns: tabular.py [FOLDER]"""
import sys

import torch
from torch import nn

folder = sys.argv[1] if len(sys.argv) > 1 else "."
torch.manual_seed(1)
net = nn.Sequential(nn.Linear(28, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
torch.jit.script(net).save(f"{folder}/tabular.pt")
