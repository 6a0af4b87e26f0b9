"""Writes metrics.json: what scikit-learn says about small fixed predictions.

    python -m venv venv && venv/bin/pip install scikit-learn==1.9.1 numpy==2.4.6
    venv/bin/python metrics.py > metrics.json

scikit-learn has no expected calibration error; it is written out here.
"""

import json
import platform

import numpy as np
import sklearn
from sklearn import metrics as sk

SPLIT = [0.5, 0.3, 0.2]


def binary_with_ties():
    p = np.array([0.1, 0.4, 0.35, 0.8, 0.4, 0.4, 0.9, 0.65, 0.35, 0.05, 0.8, 0.55])
    truth = [0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1]
    return "binary, ties", 2, truth, (p >= 0.5).astype(int), np.column_stack([1 - p, p]), True


def binary_decisions():
    f = np.array([-2.0, 0.5, 0.5, -0.25, 3.0, 1.0, -0.25, -4.0, 0.125])
    truth = [0, 0, 1, 1, 1, 1, 0, 0, 0]
    # A shift of both columns of a row says nothing about its class.
    shift = np.arange(9) % 4 - 1.5
    return "binary, decisions", 2, truth, (f > 0).astype(int), np.column_stack([shift - f / 2, shift + f / 2]), False


def three_classes():
    p = np.array(
        [SPLIT, [0.3, 0.5, 0.2], [0.2, 0.3, 0.5], SPLIT, [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.6, 0.3, 0.1],
         [0.2, 0.2, 0.6], [0.05, 0.9, 0.05], SPLIT, [0.15, 0.05, 0.8], [0.3, 0.4, 0.3], [0.95, 0.04, 0.01]]
    )
    truth = [0, 1, 2, 1, 1, 0, 0, 2, 1, 2, 2, 0, 0]
    return "three classes, ties", 3, truth, p.argmax(axis=1), p, True


def three_decisions():
    f = np.array([[1.5, -0.5, 0], [0.2, 0.1, -1], [-1, 2, 2.5], [0, 1, -3], [1, 1.25, 0], [-2, -1, -0.5], [0, 0.5, 0.25]])
    return "three classes, decisions", 3, [0, 1, 2, 1, 0, 2, 2], f.argmax(axis=1), f, False


def absent_classes():
    # Class 1 is only predicted, class 3 is nowhere, class 4 is in the truth but unknown to the model.
    p = np.array(
        [[0.7, 0.2, 0.1, 0, 0], [0.3, 0.6, 0.1, 0, 0], [0.2, 0.1, 0.7, 0, 0], [0.4, 0.25, 0.35, 0, 0],
         [0.1, 0.5, 0.4, 0, 0], [0.8, 0.1, 0.1, 0, 0], [0.2, 0.2, 0.6, 0, 0], [0.45, 0.1, 0.45, 0, 0]]
    )
    return "absent classes", 5, [0, 0, 2, 2, 2, 0, 4, 4], p.argmax(axis=1), p, True


def one_class():
    p = np.array([0.9, 0.6, 0.3])
    return "one class in the truth", 2, [1, 1, 1], (p >= 0.5).astype(int), np.column_stack([1 - p, p]), True


def areas(truth, scores, c, probability):
    positive = truth == c
    if positive.all() or not positive.any():
        return None, None
    of_class = scores[:, c]
    if scores.shape[1] == 2 and not probability:
        of_class = scores[:, c] - scores[:, 1 - c]
    return sk.roc_auc_score(positive, of_class), sk.average_precision_score(positive, of_class)


def calibration_error(truth, codes, p):
    confidence = p[np.arange(len(truth)), codes]
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs((truth == codes)[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return sum(gaps)


def mean(values):
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def classification(case):
    name, n_classes, truth, codes, scores, probability = case
    truth, labels = np.array(truth), list(range(n_classes))
    by_class = [areas(truth, scores, c, probability) for c in labels]
    of_metric = [by_class[1]] if n_classes == 2 else by_class
    p = np.clip(scores, 1e-15, None)
    overall = {
        "accuracy": sk.accuracy_score(truth, codes),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, codes),
        "macro_precision": sk.precision_score(truth, codes, average="macro", zero_division=0),
        # A class that is not in the truth has no recall, so it is not part of the mean.
        "macro_recall": sk.recall_score(truth, codes, average="macro", zero_division=np.nan),
        "macro_f1": sk.f1_score(truth, codes, average="macro", zero_division=0),
        "micro_precision": sk.precision_score(truth, codes, average="micro"),
        "micro_recall": sk.recall_score(truth, codes, average="micro"),
        "micro_f1": sk.f1_score(truth, codes, average="micro"),
        "weighted_precision": sk.precision_score(truth, codes, average="weighted", zero_division=0),
        "weighted_recall": sk.recall_score(truth, codes, average="weighted", zero_division=0),
        "weighted_f1": sk.f1_score(truth, codes, average="weighted", zero_division=0),
        "roc_auc": mean(a for a, _ in of_metric),
        "average_precision": mean(a for _, a in of_metric),
        "log_loss": sk.log_loss(truth, p, labels=labels) if probability else None,
        "brier": sk.brier_score_loss(truth, scores, labels=labels, scale_by_half=False) if probability else None,
        "expected_calibration_error": calibration_error(truth, codes, scores) if probability else None,
    }
    precision, recall, f1, support = sk.precision_recall_fscore_support(truth, codes, labels=labels, zero_division=np.nan)
    seen = [c in truth or c in codes for c in labels]
    per_class = [
        {
            # Never predicted, yet in the truth: 0 by the convention of the macro mean.
            "precision": float(np.nan_to_num(precision[c])) if seen[c] else None,
            "recall": float(recall[c]) if support[c] else None,
            "f1": float(f1[c]) if seen[c] else None,
            "support": int(support[c]),
            "roc_auc": by_class[c][0],
            "average_precision": by_class[c][1],
        }
        for c in labels
    ]
    return {
        "name": name,
        "probability": probability,
        "truth": truth.tolist(),
        "codes": np.asarray(codes).tolist(),
        "scores": scores.tolist(),
        "overall": {k: None if v is None else float(v) for k, v in overall.items()},
        "per_class": per_class,
        "confusion": sk.confusion_matrix(truth, codes, labels=labels).tolist(),
    }


def regression(name, truth, values):
    return {
        "name": name,
        "truth": truth,
        "values": values,
        "overall": {
            "rmse": float(sk.root_mean_squared_error(truth, values)),
            "mae": float(sk.mean_absolute_error(truth, values)),
            # scikit-learn says 0 or 1 for a constant truth unless it is told not to.
            "r2": None if len(set(truth)) == 1 else float(sk.r2_score(truth, values)),
            "median_absolute_error": float(sk.median_absolute_error(truth, values)),
        },
    }


def main():
    cases = [binary_with_ties(), binary_decisions(), three_classes(), three_decisions(), absent_classes(), one_class()]
    print(json.dumps({
        "tools": {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "classification": [classification(case) for case in cases],
        "regression": [
            regression("odd", [3.0, -0.5, 2.0, 7.0, 4.25], [2.5, 0.0, 2.0, 8.0, 1.0]),
            regression("even, worse than the mean", [1.0, 2.0, 3.0, 4.0], [4.5, 3.0, 1.0, 1.0]),
            regression("constant truth", [0.1, 0.1, 0.1], [0.3, 0.1, -0.2]),
        ],
    }, indent=1))


if __name__ == "__main__":
    main()
