"""Reference numbers for tests/clusters_reference.rs, from NumPy and SciPy: the linear programme by a general solver,
graphs, Laplacians and objectives of n × n as the papers write them, none of the shortcuts of the Rust code.

    pip install numpy scipy && python clusters.py > clusters.json
"""
import json

import numpy as np
import scipy
from scipy.linalg import block_diag, eigh, sqrtm
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

rng = np.random.default_rng(20261127)
n_classes, d = 3, 6
centres = 2.0 * rng.normal(size=(n_classes, d))
ys, yt = np.arange(27) % n_classes, np.arange(22) % 2
turn = np.linalg.qr(np.eye(d) + 0.3 * rng.normal(size=(d, d)))[0]
xs = (centres[ys] + rng.normal(size=(27, d))).round(6)
# The target holds rows of two classes only, so that the programme has to fill the third.
xt = ((centres[yt] + 0.6 * rng.normal(size=(22, d))) @ turn).round(6)
ns, nt = len(xs), len(xt)
n = ns + nt


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def probabilities(x, means):
    e = np.exp(-cdist(x, means))
    return e / e.sum(1, keepdims=True)


def easy_transfer_learning():
    """Intra-domain programming after CORAL with λ = 1; the programme as it is written."""
    cs, ct = np.cov(xs.T) + np.eye(d), np.cov(xt.T) + np.eye(d)
    moved = xs @ np.linalg.inv(sqrtm(cs)).real @ sqrtm(ct).real
    means = np.array([moved[ys == c].mean(0) for c in range(n_classes)])
    cost = cdist(xt, means)
    rows = np.kron(np.eye(nt), np.ones(n_classes))
    columns = -np.kron(np.ones(nt), np.eye(n_classes))
    found = linprog(cost.ravel(), A_ub=columns, b_ub=-np.ones(n_classes), A_eq=rows, b_eq=np.ones(nt), bounds=(0, 1))
    labels = found.x.reshape(nt, n_classes).argmax(1)
    return {"labels": labels.tolist(), "cost": found.fun, "nearest": cost.argmin(1).tolist()}


def selective_pseudo_labeling(k, q, alpha, rounds):
    """W, D and L of n × n; the generalised eigenproblem."""
    z = unit(np.vstack([xs, xt]))
    axes = np.linalg.svd(z - z.mean(0))[2][:k].T
    z = unit(z @ axes)
    chosen = np.full(nt, -1)
    for t in range(rounds + 1):
        labels = np.r_[ys, chosen]
        w = ((labels[:, None] == labels) & (labels >= 0)).astype(float)
        degree = np.diag(w.sum(1))
        _, p = eigh(z.T @ degree @ z, z.T @ (degree - w) @ z + alpha * np.eye(k))
        y = z @ p[:, ::-1][:, :q]
        y = unit(y - y.mean(0))
        ps, pt = y[:ns], y[ns:]
        means = unit(np.array([ps[ys == c].mean(0) for c in range(n_classes)]))
        clusters, old = means.copy(), None
        while True:
            nearest = cdist(pt, clusters).argmin(1)
            if old is not None and (old == nearest).all():
                break
            old = nearest
            for c in range(n_classes):
                if (nearest == c).any():
                    clusters[c] = pt[nearest == c].mean(0)
        scores = np.maximum(probabilities(pt, means), probabilities(pt, unit(clusters)))
        predicted, sure = scores.argmax(1), scores.max(1)
        chosen = np.full(nt, -1)
        for c in range(n_classes):
            rows = np.flatnonzero(predicted == c)
            best = rows[np.argsort(-sure[rows], kind="stable")]
            chosen[best[: int(np.ceil(len(rows) * (t + 1) / rounds - 1e-12))]] = c
    return (scores / scores.sum(1, keepdims=True)).tolist()


def class_matching(k, alpha, beta, gamma, p, rounds, first):
    """Objectives with R, L and H of n × n; gives probabilities of the target's rows."""
    x = unit(np.vstack([xs, xt])).T
    e = np.zeros((n, n_classes))
    for c in range(n_classes):
        e[:ns][ys == c, c] = 1 / (ys == c).sum()
    ls = np.eye(ns) - (ys[:, None] == ys) / np.bincount(ys)[ys][:, None]
    ls /= np.linalg.norm(ls)
    h = np.eye(n) - 1 / n

    def laplacian(s):
        s = (s + s.T) / 2
        out = np.diag(s.sum(1)) - s
        return out / np.linalg.norm(out)

    def neighbours(rows, i, count):
        squared = ((rows - rows[i]) ** 2).sum(1)
        near = [j for j in np.argsort(squared, kind="stable") if j != i][:count]
        return near, squared[near]

    s, deltas = np.zeros((nt, nt)), []
    for i in range(nt):
        near, squared = neighbours(x.T[ns:], i, p + 1)
        deltas.append((p * squared[p] - squared[:p].sum()) / 2)
        s[i, near] = (squared[p] - squared) / (p * squared[p] - squared[:p].sum())
    lt, delta, labels = laplacian(s), np.mean(deltas), np.array(first)
    for _ in range(rounds):
        g = np.zeros((n, n_classes))
        g[ns + np.arange(nt), labels] = 1
        v = np.diag(np.r_[np.zeros(ns), np.ones(nt)])
        u = np.linalg.inv(alpha * g.T @ g + np.eye(n_classes))
        r = e @ e.T + alpha * v - (e + alpha * g) @ u @ (e + alpha * g).T
        r /= np.linalg.norm(r)
        both = block_diag(ls, lt)
        both /= np.linalg.norm(both)
        value, pr = eigh(x @ (r + gamma * both) @ x.T + beta * np.eye(d), x @ h @ x.T, subset_by_index=[0, k - 1])
        z = unit((h @ x.T) @ (pr / np.sqrt(value)))
        f = (z.T @ e + alpha * z.T @ g) @ u
        labels = cdist(z[ns:], f.T).argmin(1)
        s = np.zeros((nt, nt))
        for i in range(nt):
            near, squared = neighbours(z[ns:], i, p)
            # The projection on the simplex by bisection of its shift.
            wanted, low, high = -squared / (2 * delta), -squared.max() / (2 * delta) - 1, 0.0
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if np.maximum(wanted - middle, 0).sum() > 1 else (low, middle)
            s[i, near] = np.maximum(wanted - middle, 0)
        lt = laplacian(s)
    return probabilities(z[ns:], f.T).tolist()


# First labels by a linear support vector machine on rows of unit length, intercept unpenalised, squared hinge.
def svm():
    from scipy.optimize import minimize

    rows, labels = unit(xs), []
    for c in range(n_classes):
        t = np.where(ys == c, 1.0, -1.0)

        def loss(w):
            short = np.maximum(1 - t * (rows @ w[:-1] + w[-1]), 0)
            slope = -2 * (t * short)
            return 0.5 * w[:-1] @ w[:-1] + (short**2).sum(), np.r_[w[:-1] + rows.T @ slope, slope.sum()]

        w = minimize(loss, np.zeros(d + 1), jac=True, method="BFGS", options={"gtol": 1e-10}).x
        labels.append(unit(xt) @ w[:-1] + w[-1])
    return np.array(labels).argmax(0).tolist()


first = svm()
out = {
    "made_by": f"numpy {np.__version__}, scipy {scipy.__version__}",
    "x_source": xs.tolist(),
    "x_target": xt.tolist(),
    "source_codes": ys.tolist(),
    "n_classes": n_classes,
    "easy_transfer_learning": easy_transfer_learning(),
    "spl_k5_q3_alpha0.5_t4": selective_pseudo_labeling(5, 3, 0.5, 4),
    "spl_k5_alpha1_t3": selective_pseudo_labeling(5, 5, 1.0, 3),
    "cmms_k3_alpha0.2_beta0.3_gamma4_p4_t3": class_matching(3, 0.2, 0.3, 4.0, 4, 3, first),
}
print(json.dumps(out))
