"""The reference's docstrings of the named constructors, which get theirs when they are made."""

from __future__ import annotations

import inspect
from typing import Any

import griffe

import keras_resnet


class Constructors(griffe.Extension):
    """Gives `ResNet50` and the others the docstring that `help(keras_resnet.ResNet50)` shows."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        for name in keras_resnet.__all__:
            found = pkg.members[name]
            target = found.final_target if found.is_alias else found
            text = inspect.getdoc(getattr(keras_resnet, name))
            if target.is_attribute and text:
                # The types stand in the signature, which is one for all constructors.
                options = {"warn_missing_types": False, "warn_unknown_params": False}
                target.docstring = griffe.Docstring(
                    text, parent=target, parser="google", parser_options=options
                )
