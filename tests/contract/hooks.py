"""Puts what exists into some of the requests that schemathesis draws.

It cannot guess the id of a job, or bytes that are a table, so that most answers would be 404 and 422. Of the requests of
an operation in this list, every second gets one of the operation's own pieces, in turn; all else is left as it was drawn.
"""

import itertools
import os
from pathlib import Path

import schemathesis

JOBS = [{"path_parameters": {"id": job}} for job in os.environ.get("CONTRACT_JOBS", "").split()]
CSV = (Path(__file__).parents[2] / "examples/data/penguins/gentoo.csv").read_bytes()
ROW = {"bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211, "body_mass_g": 4500}


def body(content, media_type="application/json", **others):
    return {"body": content, "media_type": media_type, **others}


ADAPT = {"kind": "adapt", "sources": ["churn-us"], "target": "churn-eu", "method": {"id": "coral"}, "model": "contract"}
PREDICT = {"kind": "predict", "model": "churn-eu", "target": "churn-eu", "include": ["features"]}
PIECES = {
    "GET /v1/jobs/{id}": JOBS,
    "GET /v1/jobs/{id}/events": JOBS,
    "GET /v1/jobs/{id}/metrics": JOBS,
    "GET /v1/jobs/{id}/result": JOBS,
    "POST /v1/jobs/{id}/cancel": JOBS,
    "POST /v1/jobs": [
        body(ADAPT),
        body(PREDICT),
        body({"kind": "evaluate", "model": "churn-eu", "target": "churn-us"}),
        body({"kind": "fine_tune", "base": "churn-eu", "target": "churn-eu"}),
        body(ADAPT, query={"dry_run": "true"}),
        body({**ADAPT, "method": {"id": "none_such"}, "seed": -1}),
    ],
    "POST /v1/models/{name}/predict": [
        body({"rows": [ROW, ROW]}, query={}),
        body({"columns": list(ROW), "data": [list(ROW.values())]}),
        body(CSV, "text/csv", query={"include": "source_only"}),
        body({"rows": [{**ROW, "body_mass_g": "heavy"}]}, query={}),
    ],
    "PUT /v1/domains/{name}": [body(CSV, "text/csv", query={"label": "label"}), body(CSV, "text/csv")],
    "POST /v1/schema-guess": [body(CSV, "text/csv", query={}), body(CSV, "text/csv")],
    "POST /v1/domains": [body({"name": "contract-rows", "rows": [ROW, ROW]})],
    "GET /v1/domains/{name}/rows": [{"query": {}}, {"query": {"limit": "2", "columns": "bill_length_mm"}}],
}
TURNS = {label: itertools.cycle(itertools.chain(*((None, piece) for piece in pieces))) for label, pieces in PIECES.items()}


@schemathesis.hook
def map_case(context, case):
    piece = next(TURNS.get(case.operation.label, iter([None])), None)
    for name, value in (piece or {}).items():
        setattr(case, name, value)
    return case
