"""Makes hog.json: images (Fashion-MNIST and random ones) and their scikit-image HOG features.

    python make_hog.py /usr/share/datasets/fashion-mnist

Made with scikit-image 0.26.0. Pixels are stored as bytes; the transform and this script divide them
by 255 in single precision.
"""

import gzip
import json
import pathlib
import sys

import numpy as np
from skimage.feature import hog

folder = pathlib.Path(sys.argv[1])
with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
    fashion = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
rng = np.random.default_rng(0)
noise = rng.integers(0, 256, (20, 23, 1), np.uint8)
# Few levels: many gradients lie exactly on the edges of bins (45, 90, 135 degrees).
steps = (rng.integers(0, 4, (16, 16, 1)) * 60).astype(np.uint8)
colour = rng.integers(0, 256, (16, 16, 3), np.uint8)

CASES = [
    ("fashion, recipe's options", fashion[0], dict(pixels_per_cell=[4, 4], cells_per_block=[2, 2])),
    ("fashion, L1", fashion[1], dict(pixels_per_cell=[7, 7], cells_per_block=[2, 2], block_norm="L1")),
    ("fashion, L2", fashion[2], dict(pixels_per_cell=[7, 7], cells_per_block=[2, 2], block_norm="L2")),
    ("fashion, square root", fashion[3], dict(pixels_per_cell=[7, 7], transform_sqrt=True)),
    ("fashion, defaults", fashion[4], dict()),
    ("noise, uneven cells", noise, dict(pixels_per_cell=[5, 3], cells_per_block=[2, 3], orientations=7)),
    ("noise, 12 orientations", noise, dict(pixels_per_cell=[6, 6], cells_per_block=[1, 1], orientations=12)),
    ("steps, edges of 8 bins", steps, dict(pixels_per_cell=[4, 4], cells_per_block=[2, 2], orientations=8)),
    ("steps, edges of 4 bins", steps, dict(pixels_per_cell=[8, 8], cells_per_block=[1, 2], orientations=4)),
    ("colour", colour, dict(pixels_per_cell=[4, 4], cells_per_block=[2, 2])),
    ("blank", np.zeros((16, 16, 1), np.uint8), dict(cells_per_block=[1, 1])),
]

out = []
for name, image, options in CASES:
    pixels = image.astype(np.float32) / np.float32(255)
    features = hog(
        pixels if image.shape[2] > 1 else pixels[:, :, 0],
        channel_axis=2 if image.shape[2] > 1 else None,
        **options,
    )
    out.append(
        dict(
            name=name,
            options=options,
            size=list(image.shape),
            image=image.ravel().tolist(),
            features=[float(f"{value:.8g}") for value in features],
        )
    )
path = pathlib.Path(__file__).with_name("hog.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")
