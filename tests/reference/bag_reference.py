"""Linear models of bags in plain NumPy, to compare `amalgam label bags fit` with.

Written from the losses (Javanmard et al., ICLR 2024): rows and bags are kept, and least squares are solved on
them; no moments are added up.
"""

import numpy as np


class BagTable:
    """Rows x [rows, features], bag[i] in 0..bags-1, and responses y [bags] of whole bags."""

    def __init__(self, x, bag, y):
        self.x, self.bag, self.y = np.asarray(x, float), np.asarray(bag), np.asarray(y, float)
        self.sizes = np.bincount(self.bag, minlength=len(self.y))

    def means(self, values):
        sums = np.zeros((len(self.y),) + values.shape[1:])
        np.add.at(sums, self.bag, values)
        return sums / self.sizes.reshape((-1,) + (1,) * (values.ndim - 1))


def fit(table, rho, ridge=0.0, intercept=True):
    """(intercept, theta) that minimise n ((1 - rho) bag loss + rho instance loss) + ridge |theta|^2.

    That is least squares with a line for each bag (its mean, times the root of its size), one for each row (its
    distance from the mean, times the root of rho, towards 0), and one for each feature of the ridge.
    """
    ones = np.ones((len(table.x), 1)) if intercept else np.zeros((len(table.x), 0))
    x = np.hstack([ones, table.x])
    means = table.means(x)
    root = np.sqrt(table.sizes)
    shrink = np.sqrt(ridge) * np.eye(x.shape[1])[ones.shape[1]:]
    left = np.vstack([root[:, None] * means, np.sqrt(rho) * (x - means[table.bag]), shrink])
    right = np.concatenate([root * table.y, np.zeros(len(x) + len(shrink))])
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    return (solution[0], solution[1:]) if intercept else (0.0, solution)


def losses(table, intercept, theta):
    """Bag level, instance level and R, as means over rows."""
    f = intercept + table.x @ theta
    means = table.means(f)
    rows = len(f)
    bag = (table.sizes * (table.y - means) ** 2).sum() / rows
    instance = ((table.y[table.bag] - f) ** 2).sum() / rows
    spread = ((f - means[table.bag]) ** 2).sum() / rows
    return bag, instance, spread


def held_out_bag_loss(table, folds, rho, ridge=0.0, intercept=True):
    """The bag-level loss over all rows, each bag by the model of the other folds; fold[a] of each bag."""
    total = 0.0
    for fold in np.unique(folds):
        held = folds == fold
        a, theta = fit(part(table, ~held), rho, ridge, intercept)
        rest = part(table, held)
        total += losses(rest, a, theta)[0] * len(rest.x)
    return total / len(table.x)


def part(table, keep):
    """The bags for which `keep` holds, whole."""
    number = np.cumsum(keep) - 1
    rows = keep[table.bag]
    return BagTable(table.x[rows], number[table.bag[rows]], table.y[keep])
