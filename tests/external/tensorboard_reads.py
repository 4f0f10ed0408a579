"""TensorBoard reads what conjoin wrote.

    pip install tensorboard
    python tests/external/tensorboard_reads.py RUN

Loads RUN/events with TensorBoard's own reader and compares every scalar with RUN/metrics.jsonl.
"""

import json
import math
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def expected(events):
    """Scalars by tag and step, as metrics.jsonl has them."""
    scalars = {}

    def add(tag, step, value):
        scalars.setdefault(tag, {})[step] = value

    for event in events:
        if event["event"] == "step":
            step, stage = event["global_step"], event["stage"]
            add(f"loss/{stage}/total", step, event["loss"])
            for term, value in event["terms"].items():
                add(f"loss/{stage}/{term}", step, value)
            for node, value in event["lr"].items():
                add(f"lr/{node}", step, value)
            for port, value in event["shares"].items():
                add(f"share/{port}", step, value)
            if event["grad_norm"] is not None:
                add("gradient/norm", step, event["grad_norm"])
            rate = event["samples"] / max(event["seconds"], 1e-9)
            add("throughput/samples_per_second", step, rate)
        elif event["event"] == "evaluated":
            for metric, value in event["scores"].items():
                add(f"score/{event['data']}/{metric}", event["global_step"], value)
    return scalars


def main(run):
    with open(run / "metrics.jsonl", encoding="utf-8") as lines:
        wanted = expected(json.loads(line) for line in lines)
    board = EventAccumulator(str(run / "events"), size_guidance={"scalars": 0})
    board.Reload()
    found = {
        tag: {event.step: event.value for event in board.Scalars(tag)}
        for tag in board.Tags()["scalars"]
    }
    assert found.keys() == wanted.keys(), found.keys() ^ wanted.keys()
    count = 0
    for tag, values in wanted.items():
        assert found[tag].keys() == values.keys(), (tag, found[tag].keys() ^ values.keys())
        for step, value in values.items():
            assert math.isclose(found[tag][step], value, rel_tol=1e-6, abs_tol=1e-30), (tag, step)
            count += 1
    print(f"{count} scalars under {len(wanted)} tags are equal")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
