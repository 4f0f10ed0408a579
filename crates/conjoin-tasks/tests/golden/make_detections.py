"""Scores of made-up road users by the nuScenes devkit, for tests/detection.rs.

    python -m venv venv && venv/bin/pip install --no-deps nuscenes-devkit==1.1.11 pyquaternion==0.9.9 numpy
    venv/bin/python make_detections.py

The devkit's box classes import packages that scoring does not touch; they are left out.
"""

import json
import math
import pathlib
import random
import sys
from unittest.mock import MagicMock

for absent in ["nuscenes.nuscenes", "cv2", "matplotlib", "matplotlib.pyplot", "matplotlib.axes", "sklearn",
               "sklearn.metrics", "shapely", "shapely.geometry", "descartes", "tqdm", "cachetools", "fire",
               "pycocotools", "scipy", "PIL", "nuscenes.utils.data_classes"]:
    sys.modules[absent] = MagicMock()

from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.utils import center_distance
from nuscenes.eval.detection.algo import accumulate, calc_ap, calc_tp
from nuscenes.eval.detection.data_classes import DetectionBox
from pyquaternion import Quaternion

# Names that the devkit knows.
NAMES = ["car", "pedestrian", "truck"]
ERRORS = {"ate": "trans_err", "ase": "scale_err", "aoe": "orient_err", "ave": "vel_err"}


def user(draw, near=None):
    """Score, x, y, heading, length, width, velocity x and y, class."""
    if near is None:
        place = [draw.uniform(-8, 40), draw.uniform(-24, 24)]
        return [1.0, *place, draw.uniform(-math.pi, math.pi), draw.uniform(0.5, 6), draw.uniform(0.4, 2.5),
                draw.uniform(-10, 10), draw.uniform(-2, 2), draw.randrange(3)]
    _, x, y, heading, length, width, vx, vy, kind = near
    far = draw.choice([0.2, 0.7, 1.5, 3.0])
    kind = kind if draw.random() < 0.9 else draw.randrange(3)
    # Few levels, so that many scores are equal.
    return [draw.randrange(1, 20) / 20, x + draw.gauss(0, far), y + draw.gauss(0, far), heading + draw.gauss(0, 0.4),
            length * draw.uniform(0.7, 1.3), width * draw.uniform(0.7, 1.3), vx + draw.gauss(0, 1),
            vy + draw.gauss(0, 1), kind]


def boxes(frames):
    made = EvalBoxes()
    for number, frame in enumerate(frames):
        made.add_boxes(str(number), [
            DetectionBox(
                sample_token=str(number),
                translation=(x, y, 0.0),
                # The devkit's order is width, length, height.
                size=(width, length, 1.0),
                rotation=tuple(Quaternion(axis=[0, 0, 1], angle=heading).elements),
                velocity=(vx, vy),
                detection_name=NAMES[kind],
                detection_score=score,
                attribute_name="",
            )
            for score, x, y, heading, length, width, vx, vy, kind in frame
        ])
    return made


def case(seed, frames, found, extra, kinds=3):
    draw = random.Random(seed)
    truth = [[user(draw) for _ in range(draw.randrange(0, 7))] for _ in range(frames)]
    for frame in truth:
        for one in frame:
            one[-1] %= kinds
    predicted = []
    for frame in truth:
        those = [user(draw, near) for near in frame if draw.random() < found]
        those += [[draw.randrange(1, 20) / 20, *user(draw)[1:]] for _ in range(draw.randrange(0, extra + 1))]
        predicted.append(those)
    for frame in truth + predicted:
        for one in frame:
            one[1:-1] = [round(number, 3) for number in one[1:-1]]
    true_boxes, found_boxes = boxes(truth), boxes(predicted)
    present = sorted({one[-1] for frame in truth for one in frame})
    scores = {}
    for kind in present:
        at = {d: accumulate(true_boxes, found_boxes, NAMES[kind], center_distance, d) for d in (0.5, 1.0, 2.0, 4.0)}
        scores[kind] = {
            "ap": [calc_ap(data, 0.1, 0.1) for data in at.values()],
            **{name: calc_tp(at[2.0], 0.1, key) for name, key in ERRORS.items()},
        }
    return {"predicted": predicted, "truth": truth, "scores": scores}


pathlib.Path(__file__).with_name("detections.json").write_text(json.dumps(
    [
        case(1, 40, 0.9, 2),
        case(2, 25, 0.5, 6),
        case(3, 30, 1.0, 0),
        case(4, 12, 0.05, 1),
        case(5, 8, 0.0, 0),
        case(6, 30, 0.8, 3, kinds=1),
    ],
    separators=(",", ":"),
) + "\n")
