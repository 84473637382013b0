"""Labels and configuration of TF Serving's model base."""

from __future__ import annotations

import pytest

from training.cli import main
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


@pytest.mark.parametrize(
    "content", ['["cat", "dog"]', '{"0": "cat"}', '{"net": {"0": "cat"}}', '{"net']
)
def test_a_file_of_the_users_is_never_overwritten(content, tmp_path):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ValueError, match=r"labels\.json"):
        fake_version(tmp_path, "net", 1)
    assert (tmp_path / "labels.json").read_text() == content
    assert not (tmp_path / "models.config").exists()


def test_folders_that_are_no_versions_are_left_out(tmp_path):
    for folder in ("backup/1-old", "notes/2026", "net/007", "net/x"):
        (tmp_path / folder).mkdir(parents=True)
        if folder != "notes/2026":
            (tmp_path / folder / "saved_model.pb").touch()
    fake_version(tmp_path, "net", 8)
    assert model_base.labels(tmp_path) == {"net": {"stable": [8]}}


@pytest.mark.parametrize("label", ["", "a/b", "ü", "-x"])
def test_a_label_that_no_url_can_name_is_refused(label, tmp_path):
    fake_version(tmp_path, "net", 1)
    with pytest.raises(ValueError, match="The name of a label is"):
        model_base.promote(tmp_path, "net", 1, label)
    assert model_base.labels(tmp_path) == {"net": {"stable": [1]}}


def test_a_folder_of_any_name_can_be_the_base(tmp_path):
    configuration = pytest.importorskip(
        "training.serving.server.configuration", reason="needs the extra serving"
    )
    base = tmp_path / 'Jürgen 😀 "x" \\'
    fake_version(base, "net", 1)
    found = configuration.models(base / model_base.LOCAL_CONFIG)
    assert found["net"].home == base / "net"
    assert found["net"].wanted() == [1]


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    for change in (model_base.promote, model_base.rollback):
        with pytest.raises(FileNotFoundError, match="no folder of exported models"):
            change(tmp_path / "typo", "net")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_one_model_is_not_served(tmp_path, capsys):
    fake_version(tmp_path, "net", 1)
    assert main(["serve", f"--base={tmp_path / 'net'}"]) == 2
    assert f"give --base {tmp_path}." in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["1"]
