"""Dawid-Skene where abstaining is one more thing that a labelling function says, in plain NumPy on the dense matrix.

`votes` is [items, functions], classes 0..K-1, -1 where the function abstains, and -2 where it has not seen the item.
"""

import numpy as np

from label_reference import FLOOR, softmax


def shares(votes, classes):
    counts = np.stack([(votes == k).sum(axis=1) for k in range(classes)], axis=1).astype(float)
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.where(sums > 0, sums, 1), 1 / classes)


def abstaining_dawid_skene(votes, classes, iterations, diagonal=0.0, off_diagonal=0.0):
    """The posterior [items, classes], and Pr(function abstains | class) [functions, classes]."""
    # said[l][i, j]: whether function j says l of item i; the last symbol is an abstention.
    said = np.stack([votes == k for k in range(classes)] + [votes == -1]).astype(float)
    seen = (votes > -2).any(axis=1)
    p = shares(votes, classes)
    pseudo = np.full((classes + 1, classes), off_diagonal)
    pseudo[np.arange(classes), np.arange(classes)] = diagonal
    for _ in range(iterations):
        prior = p[seen].mean(axis=0)
        counts = np.einsum("lij,ik->jlk", said, p) + pseudo
        counts = np.maximum(counts, FLOOR)
        logs = np.log(counts / counts.sum(axis=1, keepdims=True))
        p = softmax(np.log(np.maximum(prior, FLOOR)) + np.einsum("lij,jlk->ik", said, logs))
    return p, np.exp(logs[:, classes, :])
