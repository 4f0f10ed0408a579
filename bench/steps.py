"""Times training steps of PyTorch on batches that `bench-data` wrote; prints one JSON object.

usage: steps.py SYSTEM RECIPE BATCHES --threads N [--layout channels-last] [--compile]

A step is what a step of `conjoin train` is: the batch lies in memory, then forward, backward,
clipping, optimiser, and the loss read once.
"""

import argparse
import json
import sys
import time
import tomllib

import torch
from safetensors import safe_open

from models import BUILD, optimiser_of
from systems import SYSTEMS


def read_batches(path: str, channels_last: bool):
    """The batches as dictionaries of tensors by column, and the vocabularies of the columns."""
    batches = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():
            number, column = key.split(".", 1)
            batches.setdefault(int(number), {})[column] = file.get_tensor(key)
        metadata = file.metadata()
    for batch in batches.values():
        if "image" in batch:
            # Stored [B, H, W, C]; PyTorch's order is [B, C, H, W] with either layout in memory.
            image = batch["image"].permute(0, 3, 1, 2)
            layout = torch.channels_last if channels_last else torch.contiguous_format
            batch["image"] = image.contiguous(memory_format=layout)
    vocabularies = {
        key.removeprefix("vocabulary."): symbols.split("\n")
        for key, symbols in metadata.items()
        if key.startswith("vocabulary.")
    }
    return [batches[number] for number in sorted(batches)], vocabularies


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("recipe")
    parser.add_argument("batches")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--layout", choices=["contiguous", "channels-last"], default="contiguous")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(7)
    with open(arguments.recipe, "rb") as file:
        recipe = tomllib.load(file)
    channels_last = arguments.layout == "channels-last"
    batches, vocabularies = read_batches(arguments.batches, channels_last)
    system = SYSTEMS[arguments.system]
    model = BUILD[arguments.system](recipe, vocabularies)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    stage = system.stage_of(recipe)
    optimiser = optimiser_of(model, stage)
    clip_norm = stage.get("clip_norm")
    # The optimiser is PyTorch's fused one on both ways: compiling it as well gained nothing.
    loss_of = torch.compile(model.loss) if arguments.compile else model.loss

    seconds, samples, losses = [], [], []
    phases = {"forward": 0.0, "backward": 0.0, "optimiser": 0.0}
    for batch in batches:
        marks = [time.perf_counter()]
        optimiser.zero_grad()
        loss = loss_of(batch)
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimiser.step()
        losses.append(loss.item())
        marks.append(time.perf_counter())
        seconds.append(marks[-1] - marks[0])
        samples.append(len(batch["rows"]))
        for phase, begun, ended in zip(phases, marks, marks[1:]):
            phases[phase] += ended - begun
    weights = {
        node: sum(p.numel() for p in getattr(model, node).parameters()) for node in stage["train"]
    }
    found = {
        "seconds": seconds,
        "samples": samples,
        "losses": losses,
        "weights": weights,
        "phases": phases,
    }
    json.dump(found, fp=sys.stdout)


if __name__ == "__main__":
    main()
