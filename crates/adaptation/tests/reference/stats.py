"""Reference numbers for linear_optimal_transport, maximum_independence, mmd_location_scale and the kernels, from
NumPy, SciPy, POT and scikit-learn: dense matrices and generic solvers, none of the shortcuts of the Rust code.

    pip install numpy scipy POT scikit-learn && python stats.py > stats.json
"""
import json

import numpy as np
import ot
import scipy
import sklearn
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics.pairwise import cosine_similarity, polynomial_kernel

rng = np.random.default_rng(20250211)
xs = rng.normal(size=(24, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.3], [0.2, 0.0, 0.5]])
xt = rng.normal(size=(18, 3)) @ np.array([[0.7, 0.0, 0.3], [0.1, 1.2, 0.0], [0.0, 0.4, 0.6]]) + [0.5, -0.2, 0.3]
ws = rng.normal(size=(7, 12)) * np.linspace(0.5, 2, 12)
wt = rng.normal(size=(5, 12)) * np.linspace(1.5, 1, 12) + 0.4
xs, xt, ws, wt = (v.round(6) for v in (xs, xt, ws, wt))
y = [int(v[0] + v[1] > 0) + int(v[2] > 0.4) for v in xs]
values = (xs @ [1.0, -2.0, 0.5]).round(6)


def monge(source, target, rho):
    """POT's closed form on shrunk covariances; rho None is Ledoit and Wolf's."""
    def shrunk(x):
        c = np.cov(x, rowvar=False)
        r = ledoit_wolf_shrinkage(x) if rho is None else rho
        return (1 - r) * c + r * np.trace(c) / len(c) * np.eye(len(c))

    ms, mt = source.mean(0)[None], target.mean(0)[None]
    a, b = ot.gaussian.bures_wasserstein_mapping(ms, mt, shrunk(source), shrunk(target))
    return (source @ a + b).tolist()


def mida(kernel, domains, labels, mu, gamma, k, augment):
    """The n x n eigenproblem of the paper, with the centred kernel."""
    x = np.vstack(domains)
    n = len(x)
    d = np.repeat(np.eye(len(domains)), [len(v) for v in domains], axis=0)
    h = np.eye(n) - 1 / n
    m = h @ kernel(np.hstack([x, d]) if augment else x) @ h
    ky = np.zeros((n, n))
    ky[: len(labels), : len(labels)] = labels @ labels.T
    inner = m @ (-h @ d @ d.T @ h + mu * h + gamma * h @ ky @ h) @ m
    w = eigh((inner + inner.T) / 2, subset_by_index=[n - k, n - 1])[1][:, ::-1]
    z = m @ w / np.sqrt(eigh(m, eigvals_only=True)[-1])
    return (z @ z.T)[[0, len(x) - 1]].tolist()


def location_scale(frequencies, lam):
    pooled = np.vstack([xs, xt])
    mean, sd = pooled.mean(0), pooled.std(0)
    zs, zt = (xs - mean) / sd, (xt - mean) / sd
    omega = frequencies * sd[:, None]
    goal = np.exp(1j * zt @ omega).mean(0)
    mmd2 = lambda v: (np.abs(np.exp(1j * (zs * np.exp(v[:3]) + v[3:]) @ omega).mean(0) - goal) ** 2).mean()
    f = lambda v: mmd2(v) + lam / 3 * v @ v
    w = zt.std(0) / zs.std(0)
    moments = np.r_[np.log(w), zt.mean(0) - w * zs.mean(0)]
    start = min([np.zeros(6), moments], key=f)
    v = minimize(f, start, method="BFGS", options={"gtol": 1e-9}).x
    v = minimize(f, v, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 20000}).x
    mapped = mean + sd * (zs * np.exp(v[:3]) + v[3:])
    return {"mapped": mapped.tolist(), "mmd2_before": mmd2(np.zeros(6)), "mmd2_after": mmd2(v)}


rbf = lambda x: np.exp(-cdist(x, x, "sqeuclidean") / (2 * 1.7**2))
linear = lambda x: x @ x.T
one_hot = np.eye(3)[y]
standard = ((values - values.mean()) / values.std())[:, None]
frequencies = (rng.normal(size=(3, 40)) / 1.5).round(6)
kernels = {
    "cosine": cosine_similarity,
    "polynomial_1.3_3_0.7": lambda a, b: polynomial_kernel(a, b, degree=3, gamma=1.3**-2, coef0=0.7),
}
mean_off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
three = [xs[:10], xs[10:], xt]
out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}, POT {ot.__version__}, "
    f"scikit-learn {sklearn.__version__}",
    "x_source": xs.tolist(),
    "x_target": xt.tolist(),
    "wide_source": ws.tolist(),
    "wide_target": wt.tolist(),
    "classes": y,
    "values": values.tolist(),
    "ledoit_wolf": {name: ledoit_wolf_shrinkage(x) for name, x in
                    [("x_source", xs), ("x_target", xt), ("wide_source", ws), ("wide_target", wt)]},
    "monge": {
        "0": monge(xs, xt, 0.0),
        "0.1": monge(xs, xt, 0.1),
        "ledoit_wolf": monge(xs, xt, None),
        "wide_0.1": monge(ws, wt, 0.1),
        "wide_ledoit_wolf": monge(ws, wt, None),
    },
    "kernels": {name: {
        "source_target": k(xs[:3], xt).tolist(),
        "mmd2_unbiased": mean_off(k(xs, xs)) + mean_off(k(xt, xt)) - 2 * k(xs, xt).mean(),
    } for name, k in kernels.items()},
    "mida": {
        "linear": mida(linear, three, one_hot, 1.0, 0.0, 2, True),
        "linear_classes": mida(linear, three, one_hot, 1.0, 0.1, 3, True),
        "rbf_values": mida(rbf, [xs, xt], standard, 0.5, 0.2, 3, False),
        "rbf_classes_augmented": mida(rbf, three, one_hot, 2.0, 0.1, 4, True),
    },
    "mmd_location_scale": {"frequencies": frequencies.tolist(), **location_scale(frequencies, 0.01)},
}
print(json.dumps(out))
