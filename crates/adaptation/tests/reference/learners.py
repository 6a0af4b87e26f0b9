"""Makes learners.json beside this file with scikit-learn and SciPy.

Run: python learners.py   (numpy, scipy and scikit-learn; versions are written into the file)
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

HERE = pathlib.Path(__file__).parent
VERSIONS = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}


def rows(n, d, n_classes, seed):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    x = rng.normal(size=(n, d)) * np.array([1.0, 2.0, 0.5, 3.0])[:d] + codes[:, None] * 0.8 + 1.0
    weights = rng.integers(1, 4, size=n).astype(float)
    values = x @ np.array([1.5, -2.0, 0.5, 0.25])[:d] + rng.normal(size=n) + 3.0
    return x.round(4), codes, values.round(4), weights


def logistic(x, codes, weights, l2):
    model = LogisticRegression(C=1.0 / (l2 * weights.sum()), tol=1e-12, max_iter=100000, solver="newton-cg")
    return model.fit(x, codes, sample_weight=weights)


def squared_hinge(x, codes, weights, c):
    """One against the rest with a free intercept, which liblinear penalises; by SciPy's own minimiser."""
    weights = weights / weights.mean()
    coef, intercept = [], []
    for k in range(codes.max() + 1):
        t = np.where(codes == k, 1.0, -1.0)

        def f(v):
            short = np.maximum(0.0, 1.0 - t * (x @ v[:-1] + v[-1]))
            g = -2.0 * c * weights * t * short
            return 0.5 * v[:-1] @ v[:-1] + c * (weights * short**2).sum(), np.append(v[:-1] + x.T @ g, g.sum())

        v = np.zeros(x.shape[1] + 1)
        for _ in range(3):
            v = minimize(f, v, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 10000}).x
        coef.append(v[:-1].tolist())
        intercept.append(float(v[-1]))
    return coef, intercept


def learners():
    x, codes, values, weights = rows(30, 4, 3, 1)
    new, _, _, _ = rows(9, 4, 3, 2)
    wide, _, wide_values, wide_weights = rows(3, 4, 3, 3)
    out = {
        "versions": VERSIONS, "x": x.tolist(), "codes": codes.tolist(), "values": values.tolist(),
        "weights": weights.tolist(), "new": new.tolist(),
    }
    model = logistic(x, codes, weights, 0.05)
    out["logistic"] = {
        "l2": 0.05, "coef": model.coef_.tolist(), "probabilities": model.predict_proba(new).tolist(),
    }
    two = codes < 2
    # Two rows of opposite sign share the penalty: half of it acts on their difference.
    model = logistic(x[two], codes[two], weights[two], 0.05 / 2.0)
    out["logistic_two"] = {"l2": 0.05, "probabilities": model.predict_proba(new).tolist()}
    model = Ridge(alpha=0.3 * weights.sum(), solver="cholesky").fit(x, values, sample_weight=weights)
    out["ridge"] = {"l2": 0.3, "coef": model.coef_.tolist(), "intercept": float(model.intercept_)}
    model = Ridge(alpha=0.3 * wide_weights.sum(), solver="svd").fit(wide, wide_values, sample_weight=wide_weights)
    out["ridge_wide"] = {
        "x": wide.tolist(), "values": wide_values.tolist(), "weights": wide_weights.tolist(), "l2": 0.3,
        "coef": model.coef_.tolist(), "intercept": float(model.intercept_),
    }
    model = LinearRegression().fit(x, values, sample_weight=weights)
    out["least_squares"] = {"l2": 0.0, "coef": model.coef_.tolist(), "intercept": float(model.intercept_)}
    model = RidgeClassifier(alpha=0.3 * weights.sum(), solver="cholesky").fit(x, codes, sample_weight=weights)
    out["ridge_classes"] = {"l2": 0.3, "decisions": model.decision_function(new).tolist()}
    coef, intercept = squared_hinge(x, codes, weights, 0.7)
    out["linear_svm"] = {"c": 0.7, "coef": coef, "intercept": intercept}
    for k in (1, 5):
        near = KNeighborsClassifier(k, algorithm="brute").fit(x, codes)
        mean = KNeighborsRegressor(k, algorithm="brute").fit(x, values)
        out[f"nearest_{k}"] = {"probabilities": near.predict_proba(new).tolist(), "values": mean.predict(new).tolist()}
    return out


(HERE / "learners.json").write_text(json.dumps(learners(), separators=(",", ":")) + "\n")
