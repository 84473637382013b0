"""The signatures of an exported model: one network, its preprocessing in the graph before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from training.common.as_written import as_written
from training.data.decoding import cropping, image_headers
from training.data.decoding.resizing import Resizing
from training.export.inference_network import Classifier

ENCODED = tf.TensorSpec((None,), tf.string, "image_bytes")


class Signatures(tf.Module):
    """An exported model's signatures; `signatures` has their names, inputs and outputs.

    Args:
        classifier: Its network takes raw pixels 0..255, (N, S, S, C).
        resizing: How images of any size become S x S.
        labels: The K classes' names.
        top: How many classes `classify` and `grad_cam` name.
        max_pixels: Larger encoded images are refused before they are decoded.
    """

    def __init__(
        self,
        classifier: Classifier,
        resizing: Resizing,
        labels: Sequence[str],
        top: int,
        max_pixels: int,
    ) -> None:
        super().__init__()
        self.network = classifier.network
        self._dense = classifier.dense
        self._kernel = None  # (D, K), of the classes' maps
        if self._dense is not None and "maps" in self.network.output:
            self._kernel = self._dense.kernel if self._dense.units == len(labels) else None
        self._labels = tuple(labels)
        self._top = min(top, len(labels))
        self.images = ImageInput(resizing, self.network.input_shape[-1], max_pixels)
        # The signatures call these functions, so each is traced once, not six times.
        pixels = tf.TensorSpec(self.network.input_shape, tf.float32)
        self._outputs = _traced(lambda pixels: self.network(pixels, training=False), pixels)
        self._decode = _traced(self.images.decode, ENCODED)

    def signatures(self) -> Mapping[str, tf.types.experimental.ConcreteFunction]:
        """Every signature traced, by name."""
        resize, decode = self.images.resize, self._decode
        shape = (None, None, None, self.images.channels)
        floats = tf.TensorSpec(shape, tf.float32, "pixels")
        bytes_ = tf.TensorSpec(shape, tf.uint8, "pixels")
        examples = tf.TensorSpec((None,), tf.string, "inputs")
        table: dict[str, tuple[Callable[[tf.Tensor], Any], tf.TensorSpec]] = {
            "serving_default": (lambda x: self._predict(resize(x)), floats),
            "serve_uint8": (lambda x: self._predict(resize(x)), bytes_),
            "serve_bytes": (lambda x: self._predict(decode(x)), ENCODED),
            "classify": (lambda x: self._classify(decode(x)), ENCODED),
            # For TF Serving's older Classify interface, whose names these are.
            "classify_examples": (self._classify_examples, examples),
        }
        if self._dense is not None:
            table["features"] = (lambda x: self._embed(decode(x)), ENCODED)
        if self._kernel is not None:
            table["grad_cam"] = (lambda x: self._grad_cam(decode(x)), ENCODED)
        return {name: _traced(function, spec) for name, (function, spec) in table.items()}

    def _predict(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": self._outputs(pixels)["probabilities"]}  # (N, K)

    def _embed(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self._outputs(pixels)["features"]}  # (N, D)

    def _classify(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._best(self._outputs(pixels)["probabilities"])

    def _best(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        best = tf.math.top_k(probabilities, self._top)
        return {
            "labels": tf.gather(tf.constant(self._labels), best.indices),  # (N, top)
            "classes": best.indices,  # (N, top) int32
            "probabilities": best.values,  # (N, top)
        }

    def _classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {"image_bytes": tf.io.FixedLenFeature((), tf.string)}
        encoded = tf.io.parse_example(examples, features)["image_bytes"]
        best = self._classify(self._decode(encoded))
        return {"classes": best["labels"], "scores": best["probabilities"]}

    def _grad_cam(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best classes, and for each a map of where in the network's input it is seen.

        Before global average pooling and one dense layer, Grad-CAM (Selvaraju et al. 2017) is the
        class activation map of Zhou et al. 2016: the channels, weighted as that layer weights them.
        """
        outputs = self._outputs(pixels)
        best = self._best(outputs["probabilities"])
        weights = tf.gather(tf.transpose(self._kernel), best["classes"])  # (N, top, D)
        maps = tf.cast(outputs["maps"], weights.dtype)  # from bfloat16
        heat = tf.nn.relu(tf.einsum("nhwd,ntd->nthw", maps, weights))
        most = tf.reduce_max(heat, axis=(2, 3), keepdims=True)
        return {**best, "maps": tf.math.divide_no_nan(heat, most)}  # (N, top, h, w), 0..1


def _traced(function: Callable[[tf.Tensor], Any], spec: tf.TensorSpec) -> Any:
    """The graph of a function. A `tf.function` in its place would be traced again to be saved."""
    traced = tf.function(function, input_signature=[spec], autograph=False)
    return traced.get_concrete_function()


class ImageInput:
    """From pixels of any size, or image files, to the square that a network takes.

    Args:
        resizing: How images of any size become S x S.
        channels: 1 or 3.
        max_pixels: Larger encoded images are refused before they are decoded.
    """

    def __init__(self, resizing: Resizing, channels: int, max_pixels: int) -> None:
        self.channels = channels
        self._resizing = resizing
        self._max_pixels = max_pixels

    def resize(self, pixels: tf.Tensor) -> tf.Tensor:
        """(N, H, W, C) of any size and type -> (N, S, S, C) float32, 0..255."""
        size = self._resizing.crop

        def scaled() -> tf.Tensor:
            window = self._resizing.window(tf.shape(pixels)[1:])
            kernel = self._resizing.kernel
            return self._each(lambda image: cropping.cut(image, window, size, kernel), pixels)

        if self._resizing.shorter_side != size:
            return scaled()
        # Scaling by 1 takes 4 % of what ResNet-50 takes of an image (two CPU cores, AMD EPYC).
        fits = tf.reduce_all(tf.shape(pixels)[1:3] == size)
        images = tf.cond(fits, lambda: tf.cast(pixels, tf.float32), scaled)
        return tf.ensure_shape(images, (None, size, size, self.channels))

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        """Image files' bytes (N,) -> (N, S, S, C) float32, 0..255."""

        def one_image(one: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([image_headers.checked(one, self._max_pixels)]):
                one = tf.identity(one)
            return cropping.decode_cut(
                one,
                self._resizing.window,
                self._resizing.crop,
                channels=self.channels,
                kernel=self._resizing.kernel,
                exported=True,
            )

        return self._each(one_image, encoded)

    def _each(self, function: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
        size = self._resizing.crop
        spec = tf.TensorSpec((size, size, self.channels), tf.float32)
        return tf.map_fn(as_written(function), batch, fn_output_signature=spec)
