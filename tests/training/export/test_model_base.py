"""Labels and configuration of TF Serving's model base."""

from __future__ import annotations

import pytest

from training.export import model_base


def fake_version(base, name, number):
    home = base / name / str(number)
    home.mkdir(parents=True)
    (home / "saved_model.pb").touch()
    model_base.refresh(base)


def test_labels_move_by_promote_and_rollback(tmp_path):
    fake_version(tmp_path, "net", 1)
    assert model_base.labels(tmp_path) == {"net": {"stable": [1]}}
    fake_version(tmp_path, "net", 2)
    assert model_base.labels(tmp_path) == {"net": {"stable": [1], "canary": [2]}}
    assert model_base.promote(tmp_path, "net") == 2
    assert model_base.labels(tmp_path) == {"net": {"stable": [2, 1]}}
    fake_version(tmp_path, "net", 3)
    assert model_base.rollback(tmp_path, "net") == 1
    assert model_base.labels(tmp_path)["net"] == {"stable": [1], "canary": [3]}
    with pytest.raises(ValueError, match="No earlier version"):
        model_base.rollback(tmp_path, "net")
    with pytest.raises(ValueError, match="no version 9; it has 1, 2, 3"):
        model_base.promote(tmp_path, "net", 9)
    with pytest.raises(ValueError, match="has no model 'other'; it has net"):
        model_base.promote(tmp_path, "other")


def test_the_configuration_is_tf_servings(tmp_path):
    config_pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason="needs tensorflow-serving-api"
    )
    from google.protobuf import text_format

    for name, number in (("a", 1), ("b", 1), ("b", 2), ("b", 3)):
        fake_version(tmp_path, name, number)
    model_base.promote(tmp_path, "b")
    text = (tmp_path / "models.config").read_text()
    parsed = text_format.Parse(text, config_pb2.ModelServerConfig())
    a, b = parsed.model_config_list.config
    assert (a.name, a.base_path, a.model_platform) == ("a", "/models/a", "tensorflow")
    assert dict(a.version_labels) == {"stable": 1}
    assert dict(b.version_labels) == {"stable": 3}
    assert list(b.model_version_policy.specific.versions) == [1, 3]
    local = (tmp_path / "models.local.config").read_text()
    assert f'base_path: "{tmp_path.resolve()}/a"' in local
