"""Golden statistics from SciPy and NumPy: python make.py > statistics.json

Bootstrap intervals of one seed come from scipy.stats.bootstrap (percentile method). SciPy has no
bootstrap over two levels; those intervals come from the few lines of NumPy below.
"""

import json

import numpy as np
import scipy
from scipy.stats import binomtest, bootstrap

RESAMPLES = 100_000
random = np.random.default_rng(20)


def outcomes(rate, seeds=3, items=80):
    """Errors out of lengths; items differ in difficulty, which all seeds share."""
    lengths = random.integers(2, 12, items)
    difficulty = random.beta(1, 3, items) * 2 * rate
    errors = [random.binomial(lengths, np.clip(difficulty * random.uniform(0.8, 1.2), 0, 1)) for _ in range(seeds)]
    return [[[int(e), int(n)] for e, n in zip(seed, lengths)] for seed in errors], lengths


def interval(statistic, data, paired):
    result = bootstrap(
        data, statistic, paired=paired, vectorized=True, method="percentile",
        n_resamples=RESAMPLES, batch=10_000, rng=np.random.default_rng(1),
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def ratio(errors, lengths, axis):
    return errors.sum(axis=axis) / lengths.sum(axis=axis)


def difference(a, b, lengths, axis):
    return (b.sum(axis=axis) - a.sum(axis=axis)) / lengths.sum(axis=axis)


def two_levels(arm, crossed):
    """Seeds, then items: the same items for all drawn seeds (crossed) or fresh ones (nested)."""
    draw = np.random.default_rng(2)
    errors = np.array([[e for e, _ in seed] for seed in arm], float)
    lengths = np.array([[n for _, n in seed] for seed in arm], float)
    seeds, items = errors.shape
    scores = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        rows = draw.integers(0, seeds, seeds)
        columns = draw.integers(0, items, (1 if crossed else seeds, items))
        columns = np.broadcast_to(columns, (seeds, items))
        e = np.take_along_axis(errors[rows], columns, 1).sum(1)
        n = np.take_along_axis(lengths[rows], columns, 1).sum(1)
        scores[k] = (e / n).mean()
    return [float(v) for v in np.percentile(scores, [2.5, 97.5])]


first, lengths = outcomes(0.2)
second = [[[int(random.binomial(e, 0.7)), n] for e, n in seed] for seed in first]
a, b = (np.array([e for e, _ in arm[0]], float) for arm in (first, second))
n = lengths.astype(float)
values = [float(v) for v in random.normal(2.0, 1.5, 60).round(4)]
sides = [(0, 0), (0, 5), (1, 8), (10, 10), (25, 12), (3, 40), (140, 95), (2500, 2300), (60, 900)]
shares = [0.0, 0.025, 0.1, 0.5, 0.9, 0.975, 1.0]

json.dump(
    {
        "made_with": f"scipy {scipy.__version__}, numpy {np.__version__}",
        "first": first,
        "second": second,
        "values": values,
        "mean": float(np.mean(values)),
        "standard_deviation": float(np.std(values, ddof=1)),
        "quantiles": [[s, float(np.percentile(values, 100 * s))] for s in shares],
        "mean_interval": interval(lambda x, axis: x.mean(axis=axis), (np.array(values),), False),
        "ratio": float(a.sum() / n.sum()),
        "ratio_interval": interval(ratio, (a, n), True),
        "difference": float((b.sum() - a.sum()) / n.sum()),
        "difference_interval": interval(difference, (a, b, n), True),
        "crossed_interval": two_levels(first, True),
        "nested_interval": two_levels(first, False),
        "mcnemar": [[x, y, float(binomtest(x, x + y, 0.5).pvalue) if x + y else 1.0] for x, y in sides],
    },
    __import__("sys").stdout,
)
print()
