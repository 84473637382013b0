"""The cost of a network, and the responses of a trained one: functions that return arrays.

They take plain and residual nets, folded and scanned ones, on every backend. The net may stand
behind a user's own layers, inside another functional or `Sequential` model, or before another
classifier. Random layers are the identity, as in `predict`.
"""

from keras_resnet.analysis.cost import multiply_adds, parameters
from keras_resnet.analysis.features import Neighbours, features, nearest
from keras_resnet.analysis.gradcam import ClassActivation, grad_cam
from keras_resnet.analysis.gradients import GradientNorms, gradient_norms
from keras_resnet.analysis.responses import Responses, layer_responses
from keras_resnet.scan.visitor import walk

__all__ = [
    "ClassActivation",
    "GradientNorms",
    "Neighbours",
    "Responses",
    "features",
    "grad_cam",
    "gradient_norms",
    "layer_responses",
    "multiply_adds",
    "nearest",
    "parameters",
    "walk",
]
