"""Prints the inertia that scikit-learn's k-means reaches from the centroids of a model file.

Usage: scikit_kmeans.py MODEL.safetensors DATA.libsvm
"""
import json
import struct
import sys

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_svmlight_file

with open(sys.argv[1], "rb") as file:
    length = struct.unpack("<Q", file.read(8))[0]
    header = json.loads(file.read(length))
    data = file.read()
tensor = header["centroids"]
begin, end = tensor["data_offsets"]
start = np.frombuffer(data[begin:end], dtype="<f4").reshape(tensor["shape"])
rows = load_svmlight_file(sys.argv[2], n_features=start.shape[1])[0].toarray()
fit = KMeans(len(start), init=start.astype(np.float64), n_init=1, max_iter=300, tol=0).fit(rows)
print(fit.inertia_)
