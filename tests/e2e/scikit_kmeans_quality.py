"""Prints the mean inertia of scikit-learn's k-means over that many seeds, one start each.

Usage: scikit_kmeans_quality.py DATA.libsvm CLUSTERS SEEDS
"""
import sys

from sklearn.cluster import KMeans
from sklearn.datasets import load_svmlight_file

rows = load_svmlight_file(sys.argv[1])[0].toarray()
seeds = int(sys.argv[3])
fits = [KMeans(int(sys.argv[2]), n_init=1, random_state=seed, max_iter=300, tol=0).fit(rows)
        for seed in range(seeds)]
print(sum(fit.inertia_ for fit in fits) / seeds)
