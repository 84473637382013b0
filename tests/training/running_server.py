"""A running server, embedded or TF Serving, as the tests ask it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

import grpc
import served
import tensorflow as tf

from training.export.signatures import ImageInput
from training.serving.client import Client, RequestError


@dataclass
class Running:
    """A server of `served`'s models on this machine."""

    grpc_port: int
    rest_port: int
    embedded: bool

    def client(self, kind="grpc", **options):
        port = self.grpc_port if kind == "grpc" else self.rest_port
        return Client(f"{kind}://127.0.0.1:{port}", "net", **options)

    def channel(self):
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def rest(self, method, path, body=None):
        """(status, JSON)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text)

    def answers(self):
        """Whether the server has begun to answer."""
        try:
            self.client(seconds=1).probabilities([served.image()])
        except RequestError:
            return False
        return True


def expected(images, seed):
    """The Keras model's probabilities for files, decoded and resized without a server."""
    model = served.tiny(seed)
    decode = ImageInput(model.resizing, channels=3, max_pixels=10**6).decode
    return model.model(decode(tf.constant(images)), training=False).numpy()
