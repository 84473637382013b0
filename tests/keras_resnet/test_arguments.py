"""Arguments give a working model or a ValueError that says what was given and what is allowed."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large_nets import undrawn

import keras_resnet
from keras_resnet import Architecture

SMALL = {"weights": None, "input_shape": (8, 8, 3)}
LINEAR = (None, "linear", keras.activations.linear)
TINY = Architecture("tiny", "cifar", "basic", (1, 1), (4, 6), "B", stem_filters=4)


def tiny(**arguments) -> keras.Model:
    return keras_resnet.ResNet(TINY, **{**SMALL, **arguments})


def plain(**arguments) -> keras.Model:
    return keras_resnet.CifarPlain(8, **{**SMALL, **arguments})


def resnet50(**arguments) -> keras.Model:
    return keras_resnet.ResNet50(**{"weights": None, **arguments})


REFUSED = [
    (keras_resnet.CifarResNet, {"depth": 21, "weights": None}, ("6n+2", "21", "20")),
    (keras_resnet.ResNet, {"architecture": "resnet50"}, ("Architecture", "'resnet50'")),
    (tiny, {"shortcut": "D"}, ("'D'", "'A'", "'B'", "'C'")),
    (tiny, {"version": "v1.5"}, ("v1.5", "basic", "bottleneck", "tiny")),
    (plain, {"shortcut": "A"}, ("plain8", "shortcut", "'A'")),
    (tiny, {"pooling": "sum"}, ("'sum'", "None", "'avg'", "'max'")),
    (tiny, {"classes": 0}, ("classes", "0", "at least 1")),
    (tiny, {"classes": -3}, ("classes", "-3")),
    (tiny, {"classes": 2.5}, ("classes", "2.5")),
    (tiny, {"classes": "10"}, ("classes", "'10'")),
    (tiny, {"classes": True}, ("classes", "True")),
    (tiny, {"classifier_activation": "sofmax"}, ("sofmax",)),
    (tiny, {"input_shape": (1, 8, 3)}, ("2x2", "(1, 8, 3)", "tiny")),
    (resnet50, {"input_shape": (224, 31, 3)}, ("32x32", "(224, 31, 3)", "resnet50")),
    (resnet50, {"input_shape": (3, 224, 224)}, ("(3, 224, 224)", "height, width, channels")),
    (tiny, {"input_shape": (8, 8)}, ("(8, 8)", "(height, width, channels)")),
    (tiny, {"input_shape": (8, 8, 3, 1)}, ("(8, 8, 3, 1)", "(height, width, channels)")),
    (tiny, {"input_shape": (8, 8, 0)}, ("(8, 8, 0)", "positive")),
    (tiny, {"input_shape": (8, 8, -3)}, ("(8, 8, -3)", "positive")),
    (tiny, {"input_shape": (8, 8, 3.0)}, ("(8, 8, 3.0)", "positive")),
    (tiny, {"input_shape": (8, 8, None)}, ("(8, 8, None)", "channels")),
    (tiny, {"input_shape": 8}, ("8", "(height, width, channels)")),
    (tiny, {"input_tensor": np.zeros((1, 8, 8, 3))}, ("ndarray", "keras.Input")),
    (
        tiny,
        {"input_tensor": keras.Input((8, 9, 3)), "input_shape": (8, 8, 3)},
        ("(8, 9, 3)", "(8, 8, 3)", "disagree"),
    ),
    (tiny, {"input_tensor": keras.Input((8, 1, 3)), "input_shape": None}, ("2x2", "(8, 1, 3)")),
    (tiny, {"input_tensor": keras.Input((8, 3)), "input_shape": None}, ("(8, 3)",)),
    (
        tiny,
        {"input_tensor": keras.Input((8, 8, 3), dtype="uint8"), "input_shape": None},
        ("uint8", "floating-point", "cast"),
    ),
    (tiny, {"weights": 5}, ("weights", "5", "None", ".keras")),
    (tiny, {"weights": True}, ("weights", "True", "None", ".keras")),
    (tiny, {"weights": ["a.keras"]}, ("weights", "['a.keras']", "None", ".keras")),
    (tiny, {"weights": "imagnet"}, ("'imagnet'", "None")),
    (tiny, {"weights": "somewhere/net.zip"}, ("'somewhere/net.zip'", ".weights.h5", ".keras")),
]


@pytest.mark.parametrize(
    ("constructor", "arguments", "said"),
    REFUSED,
    ids=[
        f"{function.__name__}-{'-'.join(given)}-{i}"
        for i, (function, given, _) in enumerate(REFUSED)
    ],
)
def test_bad_arguments_are_refused(constructor, arguments, said):
    with pytest.raises(ValueError, match=r".") as error:
        constructor(**arguments)
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((), {"wieghts": None}, "ResNet50.*unexpected keyword argument 'wieghts'"),
        ((False,) * 9, {}, "ResNet50.*too many positional arguments"),
    ],
)
def test_unknown_arguments_are_named_with_the_constructor(arguments, options, said):
    with pytest.raises(TypeError, match=said):
        keras_resnet.ResNet50(*arguments, **options)


def test_a_missing_weights_file_is_named(tmp_path):
    path = str(tmp_path / "net.weights.h5")
    with pytest.raises(FileNotFoundError) as error:
        tiny(weights=path)
    assert path in str(error.value)


def test_channels_first_shapes_are_read_as_such():
    keras.config.set_image_data_format("channels_first")
    try:
        assert tiny(input_shape=(3, 8, 10), include_top=False).output_shape == (None, 6, 4, 5)
        with pytest.raises(ValueError, match=r"\(8, 8, 1\).*\(channels, height, width\)"):
            tiny(input_shape=(8, 8, 1))
    finally:
        keras.config.set_image_data_format("channels_last")


@undrawn()
def test_defaults_are_the_papers_sizes():
    assert resnet50().input_shape == (None, 224, 224, 3)
    # keras.applications has no size without a top
    assert resnet50(include_top=False).input_shape == (None, None, None, 3)
    model = keras_resnet.ResNet20(weights=None)
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 3), (None, 10))
    assert model.name == "resnet20"
    assert keras_resnet.ResNet20(weights=None, name="mine").name == "mine"


def test_an_input_tensor_is_built_upon():
    pixels = keras.Input((8, 8, 3), name="pixels")
    model = tiny(input_tensor=keras.layers.Rescaling(1 / 255)(pixels), input_shape=None)
    assert model.input is pixels
    x = np.random.default_rng(0).uniform(0, 255, size=(2, 8, 8, 3)).astype("float32")
    twin = tiny()
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict_on_batch(x), twin.predict_on_batch(x / 255), rtol=1e-5)


NUMPY = np.array([8, 8, 3])


@pytest.mark.parametrize("shape", [[8, 8, 3], tuple(NUMPY), NUMPY, NUMPY.astype("uint8").tolist()])
def test_sizes_of_every_kind_of_whole_number(shape):
    model = tiny(input_shape=shape, classes=np.int64(7))
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 3), (None, 7))
    keras.models.model_from_json(model.to_json())
    twin = tiny(input_tensor=keras.Input((8, 8, 3)), input_shape=shape)
    assert twin.input_shape == (None, 8, 8, 3)


def test_architectures_take_numpys_whole_numbers():
    blocks, filters = np.array([1, 1]), np.array([4, 6])
    fields = ("tiny", "cifar", "basic", tuple(blocks), tuple(filters), "B")
    own = Architecture(*fields, stem_filters=np.int32(4))
    assert own == TINY
    assert {type(n) for n in (*own.blocks, *own.filters, own.stem_filters)} == {int}
    assert keras_resnet.cifar_architecture(np.int64(20)) == keras_resnet.ARCHITECTURES["resnet20"]


@pytest.mark.slow
@undrawn()
def test_arguments_are_those_of_keras_applications_by_position():
    pixels = keras.Input((64, 64, 3))
    for module in (keras_resnet, keras.applications):
        model = module.ResNet50(False, None, pixels, (64, 64, 3), "avg", 10, "softmax", "mine")
        assert (model.output_shape, model.name) == ((None, 2048), "mine")
        # Without a top, classes do not count; with one and random weights, they may be any.
        assert module.ResNet50(True, None, None, (64, 64, 3), None, 5).output_shape == (None, 5)


@pytest.mark.parametrize(
    "activation", [None, "linear", "softmax", keras.activations.linear, keras.activations.softmax]
)
def test_published_weights_take_the_activations_of_keras_applications(activation):
    model = keras_resnet.ResNet20(weights="cifar10", classifier_activation=activation)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    logits = keras_resnet.ResNet20(weights="cifar10", classifier_activation=None)(x)
    expected = logits if activation in LINEAR else keras.ops.softmax(logits)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_an_activation_of_ones_own_is_applied():
    def hot(logits):
        return keras.ops.softmax(logits / 2)

    model = keras_resnet.ResNet20(weights="cifar10", classifier_activation=hot)
    x = np.zeros((1, 32, 32, 3), "float32")
    logits = keras_resnet.ResNet20(weights="cifar10", classifier_activation="linear")(x)
    np.testing.assert_allclose(model(x), hot(logits), rtol=1e-6)
    with pytest.raises(ValueError, match=r"'sigmoid'.*keras\.activations\.sigmoid"):
        keras_resnet.ResNet20(weights="cifar10", classifier_activation="sigmoid")


ALLOWED = {
    "stem": st.sampled_from(["cifar", "imagenet"]),
    "block": st.sampled_from(["basic", "bottleneck"]),
    "stages": st.lists(st.tuples(st.integers(1, 2), st.integers(1, 5)), min_size=1, max_size=2),
    "stem_filters": st.none() | st.integers(1, 4),
    "shortcut": st.sampled_from(["A", "B", "C", None]),
    "version": st.sampled_from(["v1", "v1.5", None]),
    "zero_init_residual": st.booleans() | st.none(),
    "include_top": st.booleans(),
    "pooling": st.sampled_from([None, "avg", "max"]),
    "classes": st.none() | st.integers(1, 9),
    "classifier_activation": st.sampled_from([None, "softmax"]),
    "input_shape": st.tuples(
        st.none() | st.integers(1, 40), st.none() | st.integers(4, 40), st.integers(1, 4)
    ),
}
WRONG = st.sampled_from(
    [
        ("stem", "mnist"),
        ("block", "wide"),
        ("stages", []),
        ("stages", [(1, 4), (0, 4)]),
        ("stages", [(1, -4)]),
        ("stem_filters", 0),
        ("shortcut", "D"),
        ("version", "v2"),
        ("pooling", "sum"),
        ("classes", 0),
        ("classes", "7"),
        ("classifier_activation", "nonesuch"),
        ("input_shape", (40, 40)),
        ("input_shape", (40, 0, 3)),
        ("input_shape", (40, 40, None)),
    ]
)


def faults(stem, block, stages, shortcut, stem_filters, options) -> list[str]:
    """The faults of the arguments, in words; the message must have one of them."""
    version, input_shape = options["version"], options["input_shape"]
    stride = {"cifar": 1, "imagenet": 4}.get(stem, 1) * 2 ** max(len(stages) - 1, 0)
    widths = [stem_filters or (16 if stem == "cifar" else 64)]
    widths += [(4 if block == "bottleneck" else 1) * filters for _, filters in stages]
    small = len(input_shape) != 3 or any(n is not None and n < stride for n in input_shape[:2])
    wrong = {
        "'mnist'": stem == "mnist",
        "'wide'": block == "wide",
        "blocks=()": not stages,
        "blocks takes": any(blocks < 1 for blocks, _ in stages),
        "filters takes": any(filters < 1 for _, filters in stages),
        "given 0": stem_filters == 0 or options["classes"] == 0,
        "'D'": shortcut == "D",
        str(tuple(widths)): shortcut == "A" and widths != sorted(widths),
        "plain": shortcut is None and bool(options["zero_init_residual"]),
        "'v2'": version == "v2",
        "'v1.5'": version == "v1.5" and block == "basic",
        "'sum'": options["pooling"] == "sum",
        "'7'": options["classes"] == "7",
        "nonesuch": options["include_top"] and options["classifier_activation"] == "nonesuch",
        str(input_shape): small or input_shape[-1] is None,
    }
    return [words for words, is_wrong in wrong.items() if is_wrong]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.fixed_dictionaries(ALLOWED), st.lists(WRONG, max_size=1))
def test_any_arguments_give_a_working_model_or_name_what_is_wrong(allowed, wrong):
    options = {**allowed, **dict(wrong)}
    stem, block, stages, shortcut, stem_filters = (
        options.pop(field) for field in ("stem", "block", "stages", "shortcut", "stem_filters")
    )

    def build() -> keras.Model:
        blocks, filters = (tuple(stage[i] for stage in stages) for i in (0, 1))
        architecture = Architecture(
            "drawn", stem, block, blocks, filters, shortcut, stem_filters=stem_filters
        )
        return keras_resnet.ResNet(architecture, weights=None, **options)

    expected = faults(stem, block, stages, shortcut, stem_filters, options)
    if expected:
        with pytest.raises(ValueError, match=r".") as error:
            build()
        assert any(words in str(error.value) for words in expected)
        return

    model = build()
    height, width, channels = (n or 33 for n in options["input_shape"])
    y = model(np.ones((2, height, width, channels), "float32"), training=False)
    assert np.isfinite(keras.ops.convert_to_numpy(y)).all()
    outputs = stages[-1][1] * (4 if block == "bottleneck" else 1)
    stride = (4 if stem == "imagenet" else 1) * 2 ** (len(stages) - 1)
    if options["include_top"]:
        assert y.shape == (2, options["classes"] or (1000 if stem == "imagenet" else 10))
    elif options["pooling"]:
        assert y.shape == (2, outputs)
    else:
        assert y.shape == (2, math.ceil(height / stride), math.ceil(width / stride), outputs)
