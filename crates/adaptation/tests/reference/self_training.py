"""Reference numbers for tests/self_training_reference.rs, from NumPy and SciPy: the rounds written out over masks and
dense rows, logistic regression by a Newton-type solver of SciPy.

    pip install numpy scipy && python self_training.py > self_training.json
"""
import json

import numpy as np
import scipy
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

rng = np.random.default_rng(20261127)
C, d, L2 = 3, 4, 1e-3
centres = rng.normal(size=(C, d)) * 1.4
ys, yt = np.array([0] * 20 + [1] * 14 + [2] * 11), np.arange(38) % C
xs = (centres[ys] + rng.normal(size=(len(ys), d))).round(6)
xt = ((centres[yt] + rng.normal(size=(len(yt), d))) * [1.2, 0.8, 1.0, 1.1] + [0.7, -0.5, 0.4, 0.3]).round(6)
nt = len(xt)


def logistic(x, y, w):
    """W (C, d), b (C,) that minimise the weighted mean loss plus L2/2 ||W||^2."""
    w = w / w.sum()
    hot = np.eye(C)[y]

    def f(v):
        W, b = v[: C * d].reshape(C, d), v[C * d:]
        z = x @ W.T + b
        value = (w * (logsumexp(z, axis=1) - (z * hot).sum(1))).sum() + L2 / 2 * (W**2).sum()
        r = w[:, None] * (softmax(z, axis=1) - hot)
        return value, np.r_[(r.T @ x + L2 * W).ravel(), r.sum(0)]

    def hess(v):
        # Finite differences of the gradient are exact enough for Newton steps that end at a zero gradient.
        g = lambda u: f(u)[1]
        e = 1e-5
        return np.array([(g(v + e * i) - g(v - e * i)) / (2 * e) for i in np.eye(len(v))])

    v = minimize(f, np.zeros(C * d + C), jac=True, method="BFGS", options={"gtol": 1e-6}).x
    for _ in range(20):
        v = v - np.linalg.lstsq(hess(v), f(v)[1], rcond=1e-10)[0]
    assert np.abs(f(v)[1]).max() < 1e-13
    return v[: C * d].reshape(C, d), v[C * d:]


def probabilities(model, x):
    return softmax(x @ model[0].T + model[1], axis=1)


def run(rounds, share, weight, shares):
    def learn(mask, codes):
        x, y = np.vstack([xs, xt[mask]]), np.r_[ys, codes[mask]]
        return logistic(x, y, np.r_[np.ones(len(xs)), np.full(mask.sum(), weight)])

    p = probabilities(learn(np.zeros(nt, bool), np.zeros(nt, int)), xt)
    for t in range(1, rounds + 1):
        codes = p.argmax(1)
        two = np.sort(p, axis=1)
        margin = two[:, -1] - two[:, -2]
        chosen, half = np.zeros(nt, bool), np.zeros(nt, int)
        for c in range(C):
            order = sorted(np.flatnonzero(codes == c), key=lambda i: -margin[i])
            size = {"source": nt * (ys == c).mean(), "equal": nt / C, "predicted": len(order)}[shares]
            quota = int(np.ceil(share * t / rounds * size - 1e-9))
            chosen[order[:quota]] = True
            for place, i in enumerate(order):
                half[i] = place % 2
        if t == rounds:
            return probabilities(learn(chosen, codes), xt), int(chosen.sum())
        new = np.zeros((nt, C))
        for side in (0, 1):
            new[half == side] = probabilities(learn(chosen & (half != side), codes), xt[half == side])
        p = new


runs = []
for rounds, share, weight, shares in [(3, 0.8, 1.0, "source"), (4, 0.5, 0.5, "equal"), (2, 1.0, 2.0, "predicted")]:
    scores, taken = run(rounds, share, weight, shares)
    params = {"rounds": rounds, "share": share, "target_weight": weight, "class_shares": shares}
    runs.append({"params": params, "taken": taken, "scores": scores.tolist()})

print(json.dumps({
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
    "l2": L2, "x_source": xs.tolist(), "y_source": ys.tolist(), "x_target": xt.tolist(), "runs": runs,
}))
