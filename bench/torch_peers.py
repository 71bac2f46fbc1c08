#!/usr/bin/python3
"""Times training steps of the same networks in PyTorch: JSON, name → images per second.

Run with Debian's /usr/bin/python3 (python3-torch): batch 128, 2 threads, float32, the best of some steps.
With `tuned`, malloc keeps the memory of freed tensors; by itself it returns it, and every step touches new
pages.
"""
import ctypes
import json
import os
import sys
import time

for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    if variable in os.environ:
        del os.environ[variable]
        os.execv(sys.executable, [sys.executable] + sys.argv)

if sys.argv[1:] == ["tuned"]:
    libc = ctypes.CDLL("libc.so.6")
    for parameter in (-3, -1, -2):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        libc.mallopt(parameter, 64 << 20 if parameter == -2 else 2**31 - 1)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "deep"))

import torch
import torch.nn.functional as F

import networks

BATCH = 128


def main():
    torch.set_num_threads(2)
    results = {}
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    for name, steps in (("mobilenet", 8), ("resnet18", 4)):
        net = networks.make(name)
        optimizer = torch.optim.SGD(net.parameters(), 0.01, 0.9)
        best = float("inf")
        for _ in range(steps):
            start = time.perf_counter()
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            best = min(best, time.perf_counter() - start)
        results[name] = BATCH / best
    print(json.dumps(results))


if __name__ == "__main__":
    main()
