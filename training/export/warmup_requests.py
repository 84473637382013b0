"""Requests that TF Serving replays before a version takes traffic, in its own format."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from training.data.decoding import image_decoding

logger = logging.getLogger(__name__)

FILE = Path("assets.extra", "tf_serving_warmup_requests")
# The first request of each batch size runs several times slower than later ones.
BATCH_SIZES = (1, 2, 4, 8, 16)


def write(version: Path, name: str, encoded: Sequence[bytes], size: int, channels: int) -> int:
    """Writes requests for the version's signatures and each batch size; returns how many.

    Without the package tensorflow-serving-api, which defines the format, it writes none.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        logger.warning("No warm-up requests: pip install 'keras-residual-networks[serving]'")
        return 0
    path = version / FILE
    path.parent.mkdir(exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        available = _signatures(version)
        for signature, inputs in requests(encoded, size, channels):
            if signature not in available:
                continue
            log = prediction_log_pb2.PredictionLog()
            if signature == "classify_examples":
                request = log.classify_log.request
                examples = (tf.train.Example.FromString(one) for one in inputs["inputs"])
                request.input.example_list.examples.extend(examples)
            else:
                request = log.predict_log.request
                for key, values in inputs.items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            writer.write(log.SerializeToString())
            count += 1
    return count


def requests(
    encoded: Sequence[bytes], size: int, channels: int
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """(signature, inputs) for every signature that an export may have, and each batch size.

    The images are made as small as the network's input: they lie on disk with every version, 124
    times, and photographs of 5 MB would be 620 MB.
    """
    squares = [
        tf.image.resize(image_decoding.decode(one, channels), (size, size))
        for one in sorted(encoded, key=len)[:4]
    ]
    whole = tf.saturate_cast(tf.round(squares), tf.uint8).numpy()  # (4 or fewer, S, S, C)
    files = [tf.io.encode_jpeg(image).numpy() for image in whole]
    for count in BATCH_SIZES:
        chosen = np.arange(count) % len(files)
        pixels, batch = whole[chosen], [files[i] for i in chosen]
        strings = np.array(batch, dtype=object)
        yield "serving_default", {"pixels": pixels.astype(np.float32)}
        yield "serve_uint8", {"pixels": pixels}
        for signature in ("serve_bytes", "classify", "features"):
            yield signature, {"image_bytes": strings}
        if count == 1:  # the page that shows it asks for one image at a time
            yield "grad_cam", {"image_bytes": strings}
        yield "classify_examples", {"inputs": np.array([example(one) for one in batch], object)}


def _signatures(version: Path) -> set[str]:
    """The names of a version's signatures."""
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    return set(saved.meta_graphs[0].signature_def)


def example(encoded: bytes) -> bytes:
    """Returns an image as a serialized `tf.train.Example`, for TF Serving's Classify interface."""
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    features = tf.train.Features(feature={"image_bytes": value})
    return bytes(tf.train.Example(features=features).SerializeToString())
