"""The service that most people write for this: FastAPI over scikit-learn and pandas, one process of uvicorn.

`python server.py HOST PORT TRAINING.csv`. `POST /predict` takes `{"rows": [{...}]}` and answers as adaptd does;
`PUT /ingest` reads a CSV file from the body with pandas. It keeps nothing and checks less.
"""

import sys
import tempfile

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Rows(BaseModel):
    rows: list[dict[str, float]]


host, port, training = sys.argv[1:]
table = pd.read_csv(training)
features = [name for name in table.columns if name != "label"]
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table[features].to_numpy(), table["label"])
classes = [str(name) for name in model.classes_]
app = FastAPI()


@app.post("/predict")
async def predict(body: Rows):
    x = np.array([[row[name] for name in features] for row in body.rows])
    shares = model.predict_proba(x)
    best = shares.argmax(axis=1)
    predictions = [
        {"label": classes[k], "probabilities": dict(zip(classes, row))} for k, row in zip(best, shares.tolist())
    ]
    return {"model": "m", "predictions": predictions}


@app.put("/ingest")
async def ingest(request: Request):
    with tempfile.TemporaryFile() as file:
        async for chunk in request.stream():
            file.write(chunk)
        file.seek(0)
        table = pd.read_csv(file)
    return {"n_rows": len(table), "columns": {name: str(kind) for name, kind in table.dtypes.items()}}


uvicorn.run(app, host=host, port=int(port), log_level="error", access_log=False, timeout_keep_alive=300)
