#!/usr/bin/python3
"""Exports a classifier of texts and writes made-up token ids: text.py [FOLDER]"""
import sys

import numpy as np
import torch
from torch import nn

WORDS, LENGTH, CLASSES = 1000, 24, 4


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(WORDS, 32, mode="mean", padding_idx=0)
        self.out = nn.Linear(32, CLASSES)

    def forward(self, tokens):
        return self.out(self.embedding(tokens))


folder = sys.argv[1] if len(sys.argv) > 1 else "."
rng = np.random.default_rng(1)
labels = rng.integers(0, CLASSES, 2000)
# Half of the words are those of the class; 0 fills up what is shorter.
own = 1 + labels[:, None] + CLASSES * rng.integers(0, WORDS // CLASSES - 1, (2000, LENGTH))
tokens = np.where(rng.random(own.shape) < 0.5, own, rng.integers(1, WORDS, own.shape))
tokens[np.arange(LENGTH) >= rng.integers(4, LENGTH + 1, 2000)[:, None]] = 0
np.savez(f"{folder}/text.npz", tokens=tokens.astype(np.int64), y=labels.astype(np.int64))
torch.manual_seed(1)
torch.jit.script(Text()).save(f"{folder}/text.pt")
