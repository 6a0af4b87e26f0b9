"""Reference numbers for tests/domain_adaptation_svm_reference.rs, from NumPy: DASVM written out over sets of
rows, each SVM by a Newton method on the squared hinge.

    pip install numpy && python domain_adaptation_svm.py > domain_adaptation_svm.json
"""
import json

import numpy as np


def svm(x, t, c):
    """w, b that minimise |w|^2/2 + sum c_i max(0, 1 - t_i (w x_i + b))^2."""
    x1 = np.c_[x, np.ones(len(x))]
    ridge = np.r_[np.ones(x.shape[1]), 0.0]
    v = np.zeros(x1.shape[1])
    value = lambda v: 0.5 * (ridge * v * v).sum() + (c * np.maximum(0, 1 - t * (x1 @ v)) ** 2).sum()
    for _ in range(500):
        short = np.maximum(0, 1 - t * (x1 @ v))
        g = ridge * v - 2 * (x1 * (c * t * short)[:, None]).sum(0)
        if np.abs(g).max() < 1e-12:
            break
        inside = short > 0
        h = np.diag(ridge) + 2 * (x1[inside] * c[inside, None]).T @ x1[inside]
        step = np.linalg.lstsq(h + 1e-14 * np.eye(len(h)), g, rcond=None)[0]
        a = 1.0
        while value(v - a * step) > value(v) and a > 1e-10:
            a /= 2
        v = v - a * step
    return v[:-1], v[-1]


def dasvm(xs, ts, xt, c=1.0, per_side=None, initial=0.1, growth=5, tolerance=0.01, max_rounds=100):
    """The decision (w, b) after all rounds, and how many there were, for source labels ts in {-1, 1}."""
    rho = per_side or max(1, -(-len(xs) // 40))
    keep = np.ones(len(xs), bool)
    label, age = np.zeros(len(xt), int), np.zeros(len(xt), int)
    planned = -(-max((ts > 0).sum(), (ts < 0).sum()) // rho)
    for i in range(max_rounds):
        # The source's weight falls as the square of the round, that of a target row grows as the square of its age.
        ws = c * (1 - (1 - initial) * min(1, i / planned) ** 2)
        wt = c * (initial + (1 - initial) * (np.minimum(age, growth) / growth) ** 2)
        on = label != 0
        w, b = svm(np.vstack([xs[keep], xt[on]]), np.r_[ts[keep], label[on]], np.r_[np.full(keep.sum(), ws), wt[on]])
        f, fs = xt @ w + b, xs @ w + b
        age[on] += 1
        flipped = on & (np.where(f >= 0, 1, -1) != label)
        label[flipped], age[flipped] = 0, 0
        new = 0
        for side in (1, -1):
            free = [j for j in range(len(xt)) if label[j] == 0 and not flipped[j] and 0 <= side * f[j] < 1 and (f[j] >= 0) == (side > 0)]
            free.sort(key=lambda j: -side * f[j])
            for j in free[:rho]:
                label[j], age[j] = side, 0
                new += 1
        settled = not keep.any() and new + flipped.sum() <= tolerance * len(xt)
        for side in (1, -1):
            # A side keeps its source rows until the target has some of its own.
            if (label == side).any():
                mine = sorted(np.flatnonzero(keep & (ts == side)), key=lambda j: -side * fs[j])
                keep[mine[:rho]] = False
        if settled:
            break
    return w, b, i + 1


if __name__ == "__main__":
    rng = np.random.default_rng(20261128)
    C, d = 3, 4
    centres = rng.normal(size=(C, d)) * 2.2
    ys, yt = np.arange(60) % C, np.arange(50) % C
    xs = (centres[ys] + rng.normal(size=(len(ys), d))).round(6)
    xt = ((centres[yt] + rng.normal(size=(len(yt), d))) * [1.1, 0.9, 1.0, 1.1] + [0.5, -0.4, 0.3, 0.2]).round(6)
    runs = []
    for classes, params in [
        (3, {"c": 0.5, "rows_per_round": 4}),
        (2, {"c": 0.2, "rows_per_round": 3, "initial_weight": 0.3, "growth_rounds": 3, "tolerance": 0.05}),
        (2, {"c": 1.0}),
    ]:
        s, t = ys < classes, yt < classes
        names = {"rows_per_round": "per_side", "initial_weight": "initial", "growth_rounds": "growth"}
        settings = {names.get(k, k): v for k, v in params.items()}
        f, rounds = np.zeros((t.sum(), classes)), 0
        for c in range(classes) if classes > 2 else [1]:
            w, b, n = dasvm(xs[s], np.where(ys[s] == c, 1, -1), xt[t], **settings)
            f[:, c], rounds = xt[t] @ w + b, rounds + n
        if classes == 2:
            f[:, 0] = -f[:, 1]
        runs.append({"classes": classes, "params": params, "rounds": rounds, "decisions": f.tolist()})
    print(json.dumps({
        "versions": {"numpy": np.__version__},
        "x_source": xs.tolist(), "y_source": ys.tolist(), "x_target": xt.tolist(), "y_target": yt.tolist(), "runs": runs,
    }))
