"""What a job refuses before its data are looked at."""

from __future__ import annotations

import pytest

from training.config import recipes
from training.config.jobs import Job


@pytest.mark.parametrize("field", ["randaugment=9", "alternate_mirror=true"])
def test_a_field_of_another_augmentation_is_refused(field: str) -> None:
    recipe = recipes.override(recipes.load("cifar10"), ["augmentation=crop", field])
    with pytest.raises(ValueError, match=r"goes with augmentation=.*given augmentation=crop"):
        Job("resnet20", "cifar10", recipe).check()
