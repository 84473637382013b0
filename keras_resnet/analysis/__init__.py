"""What a network costs, and what a trained one responds to: functions that return arrays.

They take plain and residual nets, folded and scanned ones, and what users build of them: a net
behind layers of their own, inside another functional or `Sequential` model, with another
classifier; on every backend. They see what `predict` sees: random layers are the identity.
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
