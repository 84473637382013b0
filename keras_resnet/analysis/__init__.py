"""What a network costs, and looks into a trained one: each a function that returns arrays.

Any functional model of this package will do: plain and residual nets, folded ones, those deeper
than 200 layers, with or without the mean subtracted in front, on every backend.
"""

from keras_resnet.analysis.cost import multiply_adds, parameters
from keras_resnet.analysis.features import Neighbours, features, nearest
from keras_resnet.analysis.gradcam import ClassActivation, grad_cam
from keras_resnet.analysis.gradients import GradientNorms, gradient_norms
from keras_resnet.analysis.graph import walk
from keras_resnet.analysis.responses import Responses, layer_responses

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
