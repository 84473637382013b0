"""Pictures: every run can be seen and told from the others, in the same colours everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from training.common import figures

ONE_EPOCH = [{"step": 1.0, "error": 50.0, "val_error": 60.0}]


def test_no_run_is_left_out_of_a_picture():
    axes = Figure().subplots()
    names = [f"net-{i}" for i in range(9)]
    figures.learning_curves(axes, dict.fromkeys(names, ONE_EPOCH), "test", "nine nets")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert len({tuple(line.get_color()) for line in axes.get_lines()}) == 9


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_the_legend_says_which_images_were_held_out(held_out):
    axes = Figure().subplots()
    figures.learning_curves(axes, {"ResNet-20": ONE_EPOCH}, held_out, "a run")
    title = axes.get_legend().get_title().get_text()
    assert [name for name in ("test", "validation") if name in title] == [held_out]


def test_a_single_epoch_can_be_seen():
    figure = Figure(figsize=(2, 2), dpi=50)
    axes = figure.subplots()
    figures.draw_error(axes, ONE_EPOCH, "error", "training", color="black")
    axes.set_axis_off()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert (np.asarray(canvas.buffer_rgba())[..., :3] < 100).any()


def test_residual_nets_are_blue_and_plain_ones_red_and_deeper_ones_darker():
    names = ["plain-20", "ResNet-20", "plain-56", "ResNet-56"]
    colours = {name: np.array(rgba[:3]) for name, rgba in figures.net_colours(names).items()}
    for name, (red, _, blue) in colours.items():
        assert (red > blue) == name.startswith("plain")
    for family in ("plain", "ResNet"):
        assert colours[f"{family}-56"].sum() < colours[f"{family}-20"].sum()
