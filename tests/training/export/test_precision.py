"""A SavedModel in bfloat16 looks like one in float32 to its callers, and answers nearly alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
import served
import tensorflow as tf

from training.export.saved_model import export

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Of the same net, in float32 and in bfloat16."""
    base = tmp_path_factory.mktemp("base")
    return served.exported(), export(served.tiny(), "net", base, precision="bfloat16")


def test_what_lies_there(versions):
    exact, half = versions
    facts = json.loads((half / "assets" / "model.json").read_text())
    assert facts["precision"] == "bfloat16"
    assert 1e-5 < facts["largest_difference_from_keras"] <= 0.1
    assert "maps and their weights in bfloat16" in (half / "README.md").read_text()
    data = "variables/variables.data-00000-of-00001"
    assert (half / data).stat().st_size < 0.6 * (exact / data).stat().st_size


def test_callers_meet_float32(versions):
    exact, half = (tf.saved_model.load(version) for version in versions)
    encoded = tf.constant([served.image(0), served.image(1)])
    for name, signature in exact.signatures.items():
        assert half.signatures[name].structured_input_signature == (
            signature.structured_input_signature
        )
        assert half.signatures[name].structured_outputs == signature.structured_outputs
    found, expected = (model.signatures["grad_cam"](image_bytes=encoded) for model in (half, exact))
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["maps"], expected["maps"], atol=0.1)
