"""Makes learners.json and metrics.json beside this file with scikit-learn and SciPy.

Run: python learners_and_metrics.py   (numpy, scipy and scikit-learn; versions are written into the files)
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize
from sklearn import metrics
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


def classification(truth, scores, kind, n_classes, codes=None):
    truth, scores = np.array(truth), np.array(scores)
    codes = scores.argmax(axis=1) if codes is None else np.array(codes)
    present = np.unique(truth)
    column = lambda c: scores[:, c] if c < scores.shape[1] else np.zeros(len(truth))
    # Labels that are in neither are left out of the means, as scikit-learn does by default.
    expected = {
        "accuracy": metrics.accuracy_score(truth, codes),
        "balanced_accuracy": metrics.recall_score(truth, codes, labels=present, average="macro"),
        "macro_precision": metrics.precision_score(truth, codes, average="macro", zero_division=0),
        "macro_recall": metrics.recall_score(truth, codes, average="macro", zero_division=0),
        "macro_f1": metrics.f1_score(truth, codes, average="macro", zero_division=0),
        "micro_f1": metrics.f1_score(truth, codes, average="micro"),
        "weighted_f1": metrics.f1_score(truth, codes, average="weighted", zero_division=0),
        "roc_auc": np.mean([metrics.roc_auc_score(truth == c, column(c)) for c in present]),
        "average_precision": np.mean([metrics.average_precision_score(truth == c, column(c)) for c in present]),
    }
    if kind == "probability":
        padded = np.hstack([scores, np.zeros((len(truth), n_classes - scores.shape[1]))])
        expected["log_loss"] = metrics.log_loss(truth, padded, labels=np.arange(n_classes))
        expected["brier"] = float(((padded - np.eye(n_classes)[truth]) ** 2).sum(axis=1).mean())
    fpr, tpr, _ = metrics.roc_curve(truth == present[0], column(present[0]), drop_intermediate=False)
    confusion = metrics.confusion_matrix(truth, codes, labels=np.arange(n_classes))
    return {
        "truth": truth.tolist(), "codes": codes.tolist(), "scores": scores.tolist(), "kind": kind,
        "n_classes": n_classes, "expected": {k: float(v) for k, v in expected.items()},
        "confusion": confusion.tolist(),
        "roc": {"class": int(present[0]), "fpr": fpr.tolist(), "tpr": tpr.tolist()},
    }


def metric_cases():
    rng = np.random.default_rng(7)
    n = 60
    # Tenths make ties.
    raw = rng.integers(1, 10, size=(n, 3)).astype(float)
    probabilities = (raw / raw.sum(axis=1, keepdims=True)).round(3)
    probabilities[:, 2] = 1.0 - probabilities[:, 0] - probabilities[:, 1]
    truth = np.where(rng.random(n) < 0.6, probabilities.argmax(axis=1), rng.integers(0, 3, n))
    two = rng.integers(1, 10, size=n) / 10.0
    binary = np.stack([1.0 - two, two], axis=1)
    binary_truth = (rng.random(n) < two).astype(int)
    decisions = rng.integers(-5, 6, size=(n, 3)).astype(float)
    unseen = np.where(np.arange(n) % 10 == 0, 3, truth)
    values = rng.normal(size=n).round(3)
    predicted = (values + rng.normal(size=n) * 0.5).round(3)
    return {
        "versions": VERSIONS,
        "classification": [
            classification(truth, probabilities, "probability", 3),
            classification(binary_truth, binary, "probability", 2),
            classification(truth, decisions, "decision", 3),
            classification(np.where(truth == 2, 0, truth), probabilities, "probability", 3),
            classification(unseen, probabilities, "probability", 4),
        ],
        "regression": {
            "truth": values.tolist(), "values": predicted.tolist(),
            "rmse": float(np.sqrt(metrics.mean_squared_error(values, predicted))),
            "mae": float(metrics.mean_absolute_error(values, predicted)),
            "r2": float(metrics.r2_score(values, predicted)),
            "median_absolute_error": float(metrics.median_absolute_error(values, predicted)),
        },
    }


for name, content in (("learners", learners()), ("metrics", metric_cases())):
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=None, separators=(",", ":")) + "\n")
