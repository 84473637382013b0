"""Every way to loop the steps of a call on JAX makes the same steps."""

from __future__ import annotations

import json

import pytest
from other_backends import run

from training.common import nvidia

PROGRAM = """
import json, numpy as np
from training.benchmarks import steps

found = {}
for loop in (None, "constant", "unrolled"):
    fit = steps.fitting("resnet8", batch=8, images=64, at_once=5, loop=loop, policy="float32")
    found[loop] = [np.asarray(weight) for weight in fit(1).weights]
    later = [np.asarray(weight) for weight in fit(1).weights]
    assert all((a != b).any() for a, b in zip(later, found[loop], strict=True))
print(json.dumps({
    str(loop): max(
        float(np.abs(one - other).max() / np.abs(other).max())
        for one, other in zip(weights, found[None], strict=True)
    )
    for loop, weights in found.items()
}))
"""


@pytest.mark.nightly
def test_every_loop_makes_the_same_steps():
    differences = json.loads(run("jax", "-c", PROGRAM).splitlines()[-1])
    assert differences["None"] == 0
    assert differences["constant"] < 1e-3
    assert differences["unrolled"] < 1e-3


@pytest.mark.accelerator
@pytest.mark.skipif(not nvidia.devices(), reason="there is no NVIDIA device")
def test_the_benchmark_measures_a_step():
    program = "from training.benchmarks.steps import stepping; print(stepping()())"
    assert 0.05 < float(run("jax", "-c", program).splitlines()[-1]) < 50
