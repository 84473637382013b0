"""The images of warm-up requests."""

from __future__ import annotations

import served

from training.export import warmup_requests


def test_large_photographs_become_small_requests():
    photographs = [served.image(i, height=400, width=600) for i in range(2)]
    assert min(map(len, photographs)) > 500_000
    for signature, inputs in warmup_requests.requests(photographs, 32, 3):
        (values,) = inputs.values()
        if signature in ("serve_bytes", "classify_examples"):
            assert all(len(one) < 5000 for one in values)
        elif "image_bytes" not in inputs:
            assert values.shape[1:] == (32, 32, 3)
