"""Makes centernet.json: radii and heat maps as CenterNet's own functions give them.

    git clone https://github.com/xingyizhou/CenterNet
    git -C CenterNet fetch origin b498e30ba11ae4161df03568e4f870145b53cbbd
    git -C CenterNet checkout FETCH_HEAD
    python make_centernet.py CenterNet/src/lib/utils/image.py

Made with NumPy 2 at commit b498e30, "Fix the gaussian radius calculation error": before it, and on the branch
master still, as in CornerNet's code, roots are divided by 2 instead of 2 a (and two of them are the greater
ones), so that the radius does not keep the overlap that the paper defines it by. OpenCV, which the file imports for other things, need not be there.
As in CenterNet's training data, the radius is that of the size in whole cells, rounded up.
"""

import importlib.util
import json
import math
import pathlib
import sys
import types

import numpy as np

sys.modules.setdefault("cv2", types.ModuleType("cv2"))
spec = importlib.util.spec_from_file_location("centernet", sys.argv[1])
centernet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(centernet)

radii = []
for height, width in [(1, 1), (2, 1), (3, 2), (4, 2), (8, 3), (5, 9), (30, 12), (64, 64)]:
    for overlap in (0.1, 0.5, 0.7, 0.9):
        radius = centernet.gaussian_radius((height, width), overlap)
        radii.append([height, width, overlap, float(radius)])

maps = []
for cells, overlap, boxes in [
    ([8, 6], 0.7, [(2.5, 3.5, 4.0, 2.0)]),
    ([16, 16], 0.7, [(0.2, 0.9, 9.5, 6.0), (5.0, 4.5, 9.5, 6.0), (15.9, 15.9, 12.0, 5.0)]),
    ([12, 20], 0.1, [(6.3, 11.1, 6.0, 3.0), (7.9, 12.0, 3.2, 2.1), (7.0, 1.0, 4.5, 1.9)]),
]:
    heat = np.zeros(cells, dtype=np.float32)
    for x, y, length, width in boxes:
        size = (math.ceil(length), math.ceil(width))
        radius = max(0, int(centernet.gaussian_radius(size, overlap)))
        # Rows are x here: the functions take (column, row).
        centernet.draw_umich_gaussian(heat, (int(y), int(x)), radius)
    maps.append(
        {"cells": cells, "overlap": overlap, "boxes": boxes, "heat": heat.flatten().tolist()}
    )

target = pathlib.Path(__file__).with_name("centernet.json")
target.write_text(json.dumps({"radii": radii, "maps": maps}) + "\n")
