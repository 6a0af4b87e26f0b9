"""Reference numbers for tests/manifold_reference.rs, from NumPy and SciPy: kernels of d × d, Laplacians and systems
of n × n as the papers write them, none of the shortcuts of the Rust code.

    pip install numpy scipy && python manifold.py > manifold.json
"""
import json

import numpy as np
import scipy
from scipy.linalg import null_space
from scipy.spatial.distance import cdist

rng = np.random.default_rng(20240612)
n_classes, d = 3, 7
centres = 2.0 * rng.normal(size=(n_classes, d))
ys, yt = np.arange(30) % n_classes, np.arange(21) % n_classes
turn = np.linalg.qr(np.eye(d) + 0.4 * rng.normal(size=(d, d)))[0]
xs = (centres[ys] + rng.normal(size=(30, d))).round(6)
xt = ((centres[yt] + rng.normal(size=(21, d))) @ turn).round(6)
x = np.vstack([xs, xt])
ns, nt, n = len(xs), len(xt), len(x)


def axes(rows, k):
    return np.linalg.svd(rows - rows.mean(0))[2][:k].T


def geodesic_flow_kernel(k):
    """Equation 6, with the complement of the source's subspace."""
    ps, pt = axes(xs, k), axes(xt, k)
    rs = null_space(ps.T)
    u1, cosine, vt = np.linalg.svd(ps.T @ pt)
    theta = np.arccos(np.clip(cosine, -1, 1))
    u2 = -(rs.T @ pt @ vt.T) / np.sin(theta)
    l1 = 1 + np.sin(2 * theta) / (2 * theta)
    l2 = (np.cos(2 * theta) - 1) / (2 * theta)
    l3 = 1 - np.sin(2 * theta) / (2 * theta)
    left = np.hstack([ps @ u1, rs @ u2])
    middle = np.block([[np.diag(l1), np.diag(l2)], [np.diag(l2), np.diag(l3)]])
    return 0.5 * left @ middle @ left.T


def meda(k, p, lam, eta, rho, mu, sigma, rounds):
    """Equation 11 with the whole kernel matrix; gives F of all rows."""
    values, vectors = np.linalg.eigh(geodesic_flow_kernel(k))
    z = x @ (vectors * np.sqrt(np.clip(values, 0, None)))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    squared = cdist(z, z, "sqeuclidean")
    kernel = np.exp(-squared / (2 * sigma**2))
    w = np.zeros((n, n))
    for i in range(n):
        near = [j for j in np.argsort(squared[i]) if j != i][:p]
        w[i, near] = np.clip(z[near] @ z[i], 0, None)
    w = np.maximum(w, w.T)
    scale = np.diag(1 / np.sqrt(w.sum(1)))
    laplacian = np.eye(n) - scale @ w @ scale
    e = np.diag(np.r_[np.ones(ns), np.zeros(nt)])
    y = np.zeros((n, n_classes))
    y[np.arange(ns), ys] = 1
    labels = ys[squared[ns:, :ns].argmin(1)]
    for _ in range(rounds):
        v = np.r_[np.full(ns, 1 / ns), np.full(nt, -1 / nt)]
        m = (1 - mu) * n_classes * np.outer(v, v)
        for c in range(n_classes):
            if (labels == c).any():
                v = np.r_[(ys == c) / (ys == c).sum(), -1.0 * (labels == c) / (labels == c).sum()]
                m += mu * np.outer(v, v)
        m /= np.linalg.norm(m)
        alpha = np.linalg.solve((e + lam * m + rho * laplacian) @ kernel + eta * np.eye(n), e @ y)
        f = kernel @ alpha
        labels = f[ns:].argmax(1)
    return f


out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}",
    "x_source": xs.tolist(),
    "x_target": xt.tolist(),
    "source_codes": ys.tolist(),
    "n_classes": n_classes,
    "gfk_3": {"kernel": (x @ geodesic_flow_kernel(3) @ x.T)[[0, 40]].tolist()},
    "meda_k3_p4_lambda5_eta0.2_rho0.7_mu0.4_sigma0.8_t3": {"f": meda(3, 4, 5.0, 0.2, 0.7, 0.4, 0.8, 3).tolist()},
}
print(json.dumps(out))
