"""Reference numbers for tests/matching_reference.rs, from NumPy and SciPy: n x n kernel matrices, coefficients of rows and
generic eigensolvers; none of the shortcuts of the Rust code.

    pip install numpy scipy && python matching.py > matching.json
"""
import json

import numpy as np
import scipy
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

rng = np.random.default_rng(20261127)
C, d = 3, 5
centres = rng.normal(size=(C, d)) * 1.3
ys, yt = np.arange(33) % C, np.arange(24) % C
xs = (centres[ys] + rng.normal(size=(33, d))).round(6)
xt = ((centres[yt] + rng.normal(size=(24, d))) * [1.3, 0.8, 1.0, 1.2, 0.9] + [0.8, -0.5, 0.4, 0.0, 0.6]).round(6)
xs[25:] += [0.0, 2.5, 0.0, -2.0, 0.0]
ns, nt, n = len(xs), len(xt), 57
x = np.vstack([xs, xt])
H = np.eye(n) - 1 / n


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def centred(sigma):
    k = x @ x.T if sigma is None else np.exp(-cdist(x, x, "sqeuclidean") / (2 * sigma**2))
    return H @ k @ H


def joint_matching(sigma, k, lam, rounds):
    """max tr(A'KHKA) for A'(KMK + lam G)A = lam I, G of the round before."""
    kernel = centred(sigma)
    kernel *= n / np.trace(kernel)
    e = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
    m = np.outer(e, e)
    m /= np.linalg.norm(m)
    g = np.ones(n)
    for _ in range(rounds):
        left, right = kernel @ H @ kernel, (kernel @ m @ kernel + lam * np.diag(g)) / lam
        theta, a = eigh(left, right, subset_by_index=[n - k, n - 1])
        lengths = np.linalg.norm((a / np.sqrt(theta))[:ns], axis=1)
        g[:ns] = 1 / (2 * lengths)
    z = unit(kernel @ a)
    share = lengths.sum() ** 2 / (lengths**2).sum()
    return {"effective_source_rows": share, "gram_rows_0_40": (z @ z.T)[[0, 40]].tolist()}


def nearest(zs, zt):
    return ys[cdist(zt, zs).argmin(1)]


def two_maps(sigma, k, alpha, mu, beta, rounds):
    """max tr(W' diag(beta Sb, mu St) W) for W'(...)W = I, W = [A; B], over the features of all of the centred kernel."""
    if sigma is None:
        f = H @ x
    else:
        values, vectors = eigh(centred(sigma))
        f = (vectors * np.sqrt(np.maximum(values, 0)))[:, values > 1e-10 * values[-1]]
    f = f * np.sqrt(n / (f**2).sum())
    fs, ft, r = f[:ns], f[ns:], f.shape[1]
    zero, eye = np.zeros((r, r)), np.eye(r)
    hs = lambda m: np.eye(m) - 1 / m
    within = sum(fs[ys == c].T @ hs((ys == c).sum()) @ fs[ys == c] for c in range(C))
    between = fs.T @ hs(ns) @ fs - within
    numerator = np.block([[beta * between, zero], [zero, mu * ft.T @ hs(nt) @ ft]])
    both = np.block([[fs, np.zeros((ns, r))], [np.zeros((nt, r)), ft]])
    labels, history = nearest(xs, xt), []
    for _ in range(rounds):
        e = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
        m = np.outer(e, e)
        for c in range(C):
            s, t = ys == c, labels == c
            if s.any() and t.any():
                e = np.r_[s / s.sum(), -1.0 * t / t.sum()]
                m += np.outer(e, e)
        m /= np.linalg.norm(m)
        denominator = both.T @ m @ both + np.block(
            [[alpha * eye + beta * within, -alpha * eye], [-alpha * eye, (alpha + mu) * eye]])
        _, w = eigh(numerator, denominator, subset_by_index=[2 * r - k, 2 * r - 1])
        z = unit(both @ w)
        labels = nearest(z[:ns], z[ns:])
        history.append(labels.tolist())
    return {"labels": history, "gram_rows_0_40": (z @ z.T)[[0, 40]].tolist()}


def selection(sigma):
    """Weights of columns under which the domains are farthest apart, by a general optimiser; columns below the gap."""
    z = H @ x / (H @ x).std(0)
    e = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
    squares = (z[:, None] - z[None]) ** 2
    if sigma is None:
        distance = lambda v: e @ (z * v) @ z.T @ e
    else:
        distance = lambda v: e @ np.exp(-np.sqrt(d) * squares @ v / (2 * sigma**2)) @ e
    best = minimize(lambda v: -distance(v), np.full(d, d**-0.5), method="SLSQP", bounds=[(0, 1)] * d,
                    constraints={"type": "ineq", "fun": lambda v: 1 - v @ v}, options={"ftol": 1e-15, "maxiter": 1000})
    order = best.x.argsort()
    kept = order[: np.diff(best.x[order]).argmax() + 1]
    return {"distance": -best.fun, "weights": best.x.tolist(), "kept": sorted(kept.tolist())}


out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}",
    "x_source": xs.tolist(), "y_source": ys.tolist(), "x_target": xt.tolist(),
    "tjm_k3_lambda0.5_t6": joint_matching(None, 3, 0.5, 6),
    "tjm_k3_lambda20_t1": joint_matching(None, 3, 20.0, 1),
    "tjm_rbf_2.0_k3_lambda0.5_t6": joint_matching(2.0, 3, 0.5, 6),
    "jgsa_k3_t4": two_maps(None, 3, 1.0, 1.0, 0.1, 4),
    "jgsa_k2_alpha0.3_mu2_beta0.5_t3": two_maps(None, 2, 0.3, 2.0, 0.5, 3),
    "jgsa_rbf_2.0_k3_t4": two_maps(2.0, 3, 1.0, 1.0, 0.1, 4),
    "fmmd_linear": selection(None),
    "fmmd_rbf_5.0": selection(5.0),
}
print(json.dumps(out))
