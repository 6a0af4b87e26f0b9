"""Reference numbers for tests/methods_reference.rs, from NumPy and SciPy: dense matrices, generic solvers,
none of the shortcuts of the Rust code.

    pip install numpy scipy && python methods.py > methods.json
"""
import json

import numpy as np
import scipy
from scipy.linalg import eigh, sqrtm
from scipy.optimize import minimize
from scipy.spatial.distance import cdist, pdist

rng = np.random.default_rng(20240501)
xs = rng.normal(size=(24, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.3], [0.2, 0.0, 0.5]])
xt = rng.normal(size=(18, 3)) @ np.array([[0.7, 0.0, 0.3], [0.1, 1.2, 0.0], [0.0, 0.4, 0.6]]) + [0.5, -0.2, 0.3]
xs, xt = xs.round(6), xt.round(6)
x = np.vstack([xs, xt])
ns, nt, n = len(xs), len(xt), len(x)


def rbf(a, b, sigma):
    return np.exp(-cdist(a, b, "sqeuclidean") / (2 * sigma**2))


def laplacian(a, b, sigma):
    return np.exp(-cdist(a, b, "cityblock") / sigma)


def mmd2(kernel):
    kxx, kyy, kxy = kernel(xs, xs), kernel(xt, xt), kernel(xs, xt)
    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
    return {
        "biased": kxx.mean() + kyy.mean() - 2 * kxy.mean(),
        "unbiased": off(kxx) + off(kyy) - 2 * kxy.mean(),
    }


def coral(lam):
    cs = np.cov(xs, rowvar=False) + lam * np.eye(3)
    ct = np.cov(xt, rowvar=False) + lam * np.eye(3)
    a = np.real(np.linalg.inv(sqrtm(cs)) @ sqrtm(ct))
    return (xs - xs.mean(0)) @ a + xt.mean(0)


def subspace_alignment(k):
    ps = np.linalg.svd(xs - xs.mean(0))[2][:k].T
    pt = np.linalg.svd(xt - xt.mean(0))[2][:k].T
    return (xs - xs.mean(0)) @ ps @ ps.T @ pt, (xt - xt.mean(0)) @ pt


def tca(k, lam, sigma):
    """Coefficients alpha with w = Phi' alpha: the generalised eigenproblem over the whole kernel matrix."""
    kernel = rbf(x, x, sigma)
    e = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
    m = np.outer(e, e) / (e @ e)
    h = np.eye(n) - 1 / n
    a = kernel @ m @ kernel + lam * kernel
    values, alpha = eigh(kernel @ h @ kernel, a, subset_by_index=[n - k, n - 1])
    z = h @ kernel @ alpha[:, ::-1] * np.sqrt(lam)
    return values[::-1], z / np.linalg.norm(z, axis=1, keepdims=True)


def kmm(sigma, bound, epsilon):
    k = rbf(xs, xs, sigma)
    kappa = ns / nt * rbf(xs, xt, sigma).sum(1)
    result = minimize(
        lambda w: 0.5 * w @ k @ w - kappa @ w,
        np.ones(ns),
        jac=lambda w: k @ w - kappa,
        bounds=[(0, bound)] * ns,
        constraints=[
            {"type": "ineq", "fun": lambda w: ns * (1 + epsilon) - w.sum(), "jac": lambda w: -np.ones(ns)},
            {"type": "ineq", "fun": lambda w: w.sum() - ns * (1 - epsilon), "jac": lambda w: np.ones(ns)},
        ],
        method="SLSQP",
        options={"maxiter": 5000, "ftol": 1e-15},
    )
    assert result.success, result
    return {"objective": result.fun, "sum": result.x.sum()}


sa_source, sa_target = subspace_alignment(2)
values, z = tca(3, 0.5, 1.7)
distances = np.sort(pdist(x))
out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}",
    "x_source": xs.tolist(),
    "x_target": xt.tolist(),
    "median": {"euclidean": float(np.median(distances)), "manhattan": float(np.median(pdist(x, "cityblock")))},
    "mmd2": {
        "rbf_1.7": mmd2(lambda a, b: rbf(a, b, 1.7)),
        "laplacian_2.5": mmd2(lambda a, b: laplacian(a, b, 2.5)),
        "rbf_mean_0.5_1_2": mmd2(lambda a, b: (rbf(a, b, 0.5) + rbf(a, b, 1.0) + rbf(a, b, 2.0)) / 3),
    },
    "coral_0.3": coral(0.3).tolist(),
    "subspace_alignment_2": {"gram": (sa_source @ sa_target.T).tolist()},
    "tca_rbf_1.7_k3_lambda0.5": {"gram_rows_0_30": (z @ z.T)[[0, 30]].tolist()},
    "kmm_rbf_1.7_b3_e0.2": kmm(1.7, 3.0, 0.2),
}
print(json.dumps(out))
