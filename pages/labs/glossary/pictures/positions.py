"""Pictures of positions, one per term."""

import math

import torch

from gptcore.account import parameters
from gptcore.config import RopeScaling
from gptcore.experiments.measurements import positions
from gptcore.lessons.by_hand import rotate
from gptcore.lessons.published_models import PUBLISHED
from gptcore.positions import SinusoidalPositions, inverse_frequencies
from pages.kit import grids, plots
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import bars, curve


def rotation_angles(position: int) -> Picture:
    rotated = rotate(torch.ones(16), position)
    return plots.rotation_dials(rotated.angles, [f"pair {n}" for n in range(1, 9)], labels=("angle", ""))


def wavelengths() -> Picture:
    curves = {
        f"base {base:,}": [2 * math.pi / speed for speed in inverse_frequencies(64, float(base)).tolist()]
        for base in (10_000, 500_000)
    }
    return curve(list(range(1, 33)), curves, "pair", "wavelength, in tokens", log_y=True)


def scaled_frequencies() -> Picture:
    plain = inverse_frequencies(32, 10_000.0).tolist()
    curves = {}
    for kind in ("linear", "ntk"):
        slower = inverse_frequencies(32, 10_000.0, RopeScaling(kind=kind, factor=4.0)).tolist()
        curves[kind] = [new / old for new, old in zip(slower, plain)]
    return curve(list(range(1, 17)), curves, "pair, fastest first", "frequency relative to training")


def sinusoids() -> Picture:
    table = SinusoidalPositions(16, 2, 24, 10_000.0).table.tolist()
    return grids.heatmap(
        table,
        rows=[str(n) for n in range(24)],
        columns=[str(n) for n in range(1, 17)],
        highest=None,
        signed=True,
        what="value",
        row_title="position",
        column_title="dimension",
        height=420,
    )


def learned_position_parameters() -> Picture:
    shape = PUBLISHED["GPT-2 small"].config
    lengths = (256, 1024, 8192)
    counts = [parameters(shape.replace(context_length=n))["positions"] / 1e6 for n in lengths]
    return bars([f"{n:,}" for n in lengths], counts, "position parameters, in millions", ".2f")


def score_by_distance() -> Picture:
    distances = tuple(range(0, 65, 4))
    return curve(
        distances,
        {"score": positions.remaining_score(32, 10_000.0, distances)},
        "distance",
        "score relative to distance 0",
    )
