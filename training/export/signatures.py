"""What a served model can be asked: signatures around one network, preprocessing in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from training.data import augmentation as augment
from training.data import image_headers
from training.data.resizing import Resizing

KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


class Signatures(tf.Module):
    """A network's signatures; their names, inputs and outputs are the table in `signatures`.

    Args:
        network: Raw pixels 0..255 (N, S, S, C) -> probabilities (N, K) and embedding (N, D).
        resizing: How images of any size become S x S.
        labels: The K classes' names.
        top: Classes that `classify` names.
        max_pixels: Larger encoded images are refused before they are decoded.
    """

    def __init__(
        self,
        network: keras.Model,
        resizing: Resizing,
        labels: Sequence[str],
        top: int,
        max_pixels: int,
    ) -> None:
        super().__init__()
        self.network = network
        self._resizing = resizing
        self._labels = tuple(labels)
        self._top = min(top, len(labels))
        self._max_pixels = max_pixels
        self._channels = network.input_shape[-1]

    def signatures(self) -> Mapping[str, tf.types.experimental.ConcreteFunction]:
        """Every signature traced, by name."""
        shape = (None, None, None, self._channels)
        floats = tf.TensorSpec(shape, tf.float32, "pixels")
        bytes_ = tf.TensorSpec(shape, tf.uint8, "pixels")
        encoded = tf.TensorSpec((None,), tf.string, "image_bytes")
        examples = tf.TensorSpec((None,), tf.string, "inputs")
        table: dict[str, tuple[Callable, tf.TensorSpec]] = {
            "serving_default": (lambda x: self._predict(self.resize(x)), floats),
            "serve_uint8": (lambda x: self._predict(self.resize(x)), bytes_),
            "serve_bytes": (lambda x: self._predict(self.decode(x)), encoded),
            "classify": (lambda x: self._classify(self.decode(x)), encoded),
            "features": (lambda x: self._embed(self.decode(x)), encoded),
            # For TF Serving's older Classify interface, whose names these are.
            "classify_examples": (self._classify_examples, examples),
        }
        return {
            name: tf.function(
                function, input_signature=[spec], autograph=False
            ).get_concrete_function()
            for name, (function, spec) in table.items()
        }

    def _predict(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": self._outputs(pixels)[0]}  # (N, K)

    def _embed(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self._outputs(pixels)[1]}  # (N, D)

    def _classify(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        best = tf.math.top_k(self._outputs(pixels)[0], self._top)
        return {
            "labels": tf.gather(tf.constant(self._labels), best.indices),  # (N, top)
            "classes": best.indices,  # (N, top) int32
            "probabilities": best.values,  # (N, top)
        }

    def _classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {"image_bytes": tf.io.FixedLenFeature((), tf.string)}
        encoded = tf.io.parse_example(examples, features)["image_bytes"]
        best = self._classify(self.decode(encoded))
        return {"classes": best["labels"], "scores": best["probabilities"]}

    def _outputs(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.network(pixels, training=False)

    def resize(self, pixels: tf.Tensor) -> tf.Tensor:
        """(N, H, W, C) of any size and type -> (N, S, S, C) float32, 0..255."""
        size = self._resizing.crop

        def scaled() -> tf.Tensor:
            window = self._resizing.window(tf.shape(pixels)[1:])
            kernel = KERNELS[self._resizing.method]
            return self._each(lambda image: augment.cut(image, window, size, kernel), pixels)

        if self._resizing.shorter_side != size:
            return scaled()
        # Scaling by 1 takes 4 % of what ResNet-50 takes of an image (two CPU cores, AMD EPYC).
        fits = tf.reduce_all(tf.shape(pixels)[1:3] == size)
        images = tf.cond(fits, lambda: tf.cast(pixels, tf.float32), scaled)
        return tf.ensure_shape(images, (None, size, size, self._channels))

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        """Image files' bytes (N,) -> (N, S, S, C) float32, 0..255."""

        def one_image(one: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([image_headers.checked(one, self._max_pixels)]):
                one = tf.identity(one)
            return augment.decode_cut(
                one,
                self._resizing.window,
                self._resizing.crop,
                channels=self._channels,
                kernel=KERNELS[self._resizing.method],
            )

        return self._each(one_image, encoded)

    def _each(self, function: Callable, batch: tf.Tensor) -> tf.Tensor:
        size = self._resizing.crop
        spec = tf.TensorSpec((size, size, self._channels), tf.float32)
        return tf.map_fn(function, batch, fn_output_signature=spec)
