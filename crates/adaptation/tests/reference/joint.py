"""Reference numbers for tests/joint_reference.rs, from NumPy and SciPy: the n x n matrices of the papers, generic
eigensolvers, 1-NN by all distances; none of the shortcuts of the Rust code.

    pip install numpy scipy && python joint.py > joint.json
"""
import json

import numpy as np
import scipy
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

rng = np.random.default_rng(20261125)
C, d = 3, 5
centres = rng.normal(size=(C, d)) * 1.3
ys, yt = np.arange(30) % C, np.arange(25) % C
xs = (centres[ys] + rng.normal(size=(30, d))).round(6)
xt = ((centres[yt] + rng.normal(size=(25, d))) * [1.3, 0.8, 1.0, 1.2, 0.9] + [0.8, -0.5, 0.4, 0.0, 0.6]).round(6)
ns, nt, n = len(xs), len(xt), 55
x = np.vstack([xs, xt])
H = np.eye(n) - 1 / n


def nearest(zs, zt):
    return ys[cdist(zt, zs).argmin(1)]


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def marginal():
    e = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
    return np.outer(e, e)


def conditional(labels, weighted=False):
    m = np.zeros((n, n))
    for c in range(C):
        s, t = ys == c, labels == c
        if not s.any() or not t.any():
            continue
        ws, wt = (np.sqrt(s.mean()), np.sqrt(t.mean())) if weighted else (1, 1)
        e = np.r_[ws * s / s.sum(), -wt * t / t.sum()]
        m += np.outer(e, e)
    return m


def discriminative_joint(labels, mu):
    """Probability-weighted one-hot labels: agreement of equal classes, distance of different ones."""
    s, t = np.eye(C)[ys] / ns, np.eye(C)[labels] / nt
    fs = np.hstack([np.repeat(s[:, [c]], C - 1, 1) for c in range(C)])
    ft = np.hstack([np.delete(t, c, 1) for c in range(C)])
    stack = lambda a, b: np.vstack([a, -b])
    return stack(s, t) @ stack(s, t).T - mu * stack(fs, ft) @ stack(fs, ft).T


def solve(m, k, lam):
    """Generalised eigenproblem over columns; the k least of (X'MX + lam I) w = eta X'HX w."""
    m = m / np.linalg.norm(m)
    xc = H @ x
    left, right = xc.T @ m @ xc + lam * np.eye(d), xc.T @ xc
    eta, w = eigh(left, right, subset_by_index=[0, k - 1])
    return eta, xc @ w


def scaled(eta, z, lam):
    """Columns such that w'(X'MX + lam I)w = lam."""
    return z * np.sqrt(lam / eta)


def kernel_solve(m, k, lam, sigma):
    m = m / np.linalg.norm(m)
    kernel = np.exp(-cdist(x, x, "sqeuclidean") / (2 * sigma**2))
    centred = H @ kernel @ H
    values, alpha = eigh(centred @ centred, centred @ m @ centred + lam * centred + 1e-13 * np.eye(n))
    return None, centred @ alpha[:, ::-1][:, :k] * np.sqrt(lam)


def rounds(matrix, first, k, lam, t, how=solve, scale=scaled):
    labels, history = first, []
    for _ in range(t):
        eta, z = how(matrix(labels), k, lam)
        z = unit(scale(eta, z, lam) if scale else z)
        labels = nearest(z[:ns], z[ns:])
        history.append(labels.tolist())
    return {"labels": history, "gram_rows_0_40": (z @ z.T)[[0, 40]].tolist()}


jda = lambda labels: marginal() if labels is None else marginal() + conditional(labels)
bda = lambda mu: lambda labels: marginal() if labels is None else (1 - mu) * marginal() + mu * conditional(labels)
wbda = lambda mu: lambda labels: marginal() if labels is None else (1 - mu) * marginal() + mu * conditional(labels, True)
out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}",
    "x_source": xs.tolist(), "y_source": ys.tolist(), "x_target": xt.tolist(),
    "jda_k3_lambda0.1_t4": rounds(jda, None, 3, 0.1, 4),
    "jda_rbf_2.0_k3_lambda0.1_t4": rounds(jda, None, 3, 0.1, 4, lambda m, k, l: kernel_solve(m, k, l, 2.0), None),
    "bda_mu0.8_k3_lambda0.1_t4": rounds(bda(0.8), None, 3, 0.1, 4),
    "wbda_mu0.8_k3_lambda0.1_t4": rounds(wbda(0.8), None, 3, 0.1, 4),
}
# Columns of negative eta cannot be scaled by the constraint: those of the joint method have W'X'HXW = I.
out["jpda_mu0.1_k3_lambda0.1_t4"] = rounds(
    lambda labels: discriminative_joint(labels, 0.1), nearest(xs, xt), 3, 0.1, 4, scale=None)
print(json.dumps(out))
