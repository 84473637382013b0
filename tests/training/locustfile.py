"""Load for a served model, over REST: every user sends an image and waits for the answer.

MODEL=net IMAGE=photo.jpg locust -f tests/training/locustfile.py --headless --users 8 \\
    --spawn-rate 100 --run-time 10s --host http://127.0.0.1:8501 --json
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from locust import FastHttpUser, constant, task

PATH = f"/v1/models/{os.environ['MODEL']}:predict"
IMAGE = base64.b64encode(Path(os.environ["IMAGE"]).read_bytes()).decode()
BODY = json.dumps({"signature_name": "classify", "instances": [{"b64": IMAGE}]})


class Caller(FastHttpUser):
    wait_time = constant(0)

    @task
    def classify(self) -> None:
        self.client.post(PATH, data=BODY, headers={"Content-Type": "application/json"})
