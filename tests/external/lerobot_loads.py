"""The real lerobot package loads what conjoin recorded.

    pip install lerobot==0.4.4
    conjoin data drive --out FOLDER --episodes 3
    python tests/external/lerobot_loads.py FOLDER

Opens FOLDER as a LeRobotDataset v3.0 without a network, and compares frames, shapes, tasks and images
with what stands in the parquet files.
"""

import io
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import pyarrow.parquet
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from PIL import Image


def main(folder):
    info = json.loads((folder / "meta/info.json").read_text())
    dataset = LeRobotDataset("conjoin/driving", root=folder)
    files = sorted((folder / "data").glob("*/*.parquet"))
    raw = pyarrow.concat_tables(pyarrow.parquet.read_table(file) for file in files)
    assert len(dataset) == raw.num_rows == info["total_frames"] > 0
    assert dataset.num_episodes == info["total_episodes"] == len(dataset.meta.episodes)
    assert dataset.fps == 10
    assert dataset.meta.camera_keys == [
        f"observation.images.{side}" for side in ("front", "left", "right")
    ]
    for number, episode in enumerate(dataset.meta.episodes):
        first, end = episode["dataset_from_index"], episode["dataset_to_index"]
        assert dataset[first]["episode_index"] == dataset[end - 1]["episode_index"] == number
        assert dataset[first]["frame_index"] == 0 and dataset[end - 1]["next.done"]
        assert dataset[first]["task"] == episode["tasks"][0]
    for row in (0, len(dataset) // 2, len(dataset) - 1):
        frame = dataset[row]
        for name, feature in info["features"].items():
            stored = raw[name][row].as_py()
            if feature["dtype"] == "image":
                height, width, channels = feature["shape"]
                assert frame[name].shape == (channels, height, width), name
                pixels = numpy.asarray(Image.open(io.BytesIO(stored["bytes"])))
                found = (frame[name] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
                assert (found == pixels).all(), name
            else:
                value = frame[name]
                assert value.shape == (() if feature["shape"] == [1] else tuple(feature["shape"]))
                assert (value.numpy() == numpy.asarray(stored, dtype=value.numpy().dtype)).all()
    # Statistics are those of the whole dataset.
    action = numpy.asarray(raw["action"].to_pylist())
    assert numpy.allclose(dataset.meta.stats["action"]["mean"], action.mean(0), atol=1e-5)
    assert numpy.allclose(dataset.meta.stats["action"]["std"], action.std(0), atol=1e-5)
    ahead = LeRobotDataset(
        "conjoin/driving", root=folder, delta_timestamps={"action": [0.0, 0.1, 0.2]}
    )
    assert ahead[0]["action"].shape == (3, 2)
    print(f"{len(dataset)} frames of {dataset.num_episodes} episodes are as recorded")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
