"""The peers of the benchmarks do the same work as this project."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from training.benchmarks import data
from training.benchmarks.peers import keras_training
from training.config import recipes
from training.config.jobs import Job
from training.data.folder import sample_images
from training.data.splits import Dataset
from training.trainer import backends
from training.trainer.run import Run
from training.trainer.training_model import compiled

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(6, 32, 32, 3)).astype("f4"), np.arange(6)


def ours():
    """ResNet-8 as `python -m training train` compiles it."""
    keras.utils.set_random_seed(0)
    nothing = Dataset("noise", tuple("0123456789"), (32, 32, 3), None, None, None)
    job = Job("resnet8", "noise", recipes.Recipe())
    return compiled(Run(job, job, nothing, backends.running()))


def torch_twin(model):
    """The peer's ResNet-8 with the same weights; both sides' tensors, paired in order."""
    torch = pytest.importorskip("torch")
    from training.benchmarks.peers.torch_resnet import CifarResNet

    net = CifarResNet(1)
    theirs = [*net.parameters()]
    order = ["conv1", *(f"conv{s}_block1_{i}" for s in (2, 3, 4) for i in (1, 2))]
    names = [f"{name}_{part}" for name in order for part in ("conv", "bn")] + ["predictions"]
    mine = [v for name in names for v in model.get_layer(name).trainable_variables]
    assert len(mine) == len(theirs)
    with torch.no_grad():
        for variable, parameter in zip(mine, theirs, strict=True):
            parameter.copy_(torch.from_numpy(as_torch(variable)))
    return net, mine, theirs


def as_torch(variable):
    value = variable.numpy()
    return {4: lambda: value.transpose(3, 2, 0, 1), 2: lambda: value.T}.get(
        value.ndim, lambda: value
    )()


def test_the_pytorch_net_computes_the_same_and_steps_alike():
    """Outputs, and every weight after two steps with momentum and weight decay."""
    torch = pytest.importorskip("torch")
    model = ours()
    net, mine, theirs = torch_twin(model)
    x, y = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2)), torch.from_numpy(LABELS)
    with torch.no_grad():
        expected = net.eval()(x).numpy()
    np.testing.assert_allclose(model(IMAGES, training=False), expected, rtol=1e-4, atol=1e-4)

    net.train()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    for _ in range(2):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        sgd.step()
        model.train_on_batch(IMAGES, LABELS)
    for variable, parameter in zip(mine, theirs, strict=True):
        found = parameter.detach().numpy()
        np.testing.assert_allclose(
            as_torch(variable), found, rtol=1e-3, atol=1e-3, err_msg=variable.path
        )


def test_plain_keras_steps_alike():
    """L2 terms in the loss are the coupled weight decay of kernels alone."""
    model = ours()
    net = keras_resnet.CifarResNet(8, weights=None, classifier_activation=None)
    plain = keras_training.decayed(net)
    plain.set_weights(model.get_weights())
    assert sum(float(loss) for loss in plain.losses) == pytest.approx(
        0.5e-4 * sum(float((w**2).sum()) for w in map(np.array, plain.weights) if w.ndim > 1),
        rel=1e-4,
    )
    plain.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for one in (plain, model):
        for _ in range(2):
            one.train_on_batch(IMAGES, LABELS)
    for a, b in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-3, err_msg=a.path)


def test_transformers_resnet50_has_our_size_and_the_paper_s_strides():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from training.benchmarks.peers.torch_training import transformers_resnet50

    net = transformers_resnet50()
    assert sum(p.numel() for p in net.parameters()) == 25_557_032  # Table 1's, as counted
    for stage in net.network.resnet.encoder.stages[1:]:
        strides = [layer.convolution.stride for layer in stage.layers[0].layer]
        assert strides == [(2, 2), (1, 1), (1, 1)]


@pytest.fixture(name="pictures")
def fixture_pictures(tmp_path):
    for i, encoded in enumerate(sample_images.drawn(3, 300, 3)):
        (tmp_path / f"{i}.jpg").write_bytes(encoded)
    return tmp_path


def test_the_pytorch_loader_makes_the_same_crops(pictures):
    """The same shape, type and scale of numbers."""
    pytest.importorskip("torch")
    from training.benchmarks.peers.pillow_loader import Photographs

    loader = Photographs(str(pictures))
    theirs = np.stack([loader[i][0] for i in range(24)])
    assert theirs.shape == (24, 224, 224, 3)
    assert theirs.dtype == np.float32
    assert data.files(str(pictures)).tolist() == [str(pictures / f"{i}.jpg") for i in range(3)]
    batch = next(iter(data.training_stream(str(pictures), batch=24)))[0].numpy()
    assert batch.shape == theirs.shape
    np.testing.assert_allclose(theirs.mean((0, 1, 2)), batch.mean((0, 1, 2)), atol=25)
    np.testing.assert_allclose(theirs.std(), batch.std(), rtol=0.15)
