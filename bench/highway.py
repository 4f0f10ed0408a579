#!/usr/bin/env python3
"""A trained planner with its safety layer, closed loop, in a world that nobody here wrote: highway-env 1.12.1.

Each episode is driven twice from the same seed: by `conjoin predict RUN --listen`, which is told what is on the road
and answers with the command that is safe, and by highway-env's own IDMVehicle (IDM and MOBIL) in the seat of the
ego. Both have the environment's own reward, ten decisions a second, and no action of the environment's: the ego is a
plain vehicle whose acceleration and steering are set (what ContinuousAction does; merge-v0's reward does not take
its arrays), or one that decides for itself, as the maintainers recommend for a baseline. The traffic looks at the
speed that a vehicle wants when it changes lanes before it; both egos want the speed that they begin with.

The planner keeps to the lane that it begins in; IDMVehicle changes lanes. The planner learned on roads with limits
up to 12 m/s, here are 30 m/s: hence the scale (moments.py). What the safety layer takes its brakes for, 3.5 m/s²,
becomes 8.75 m/s² at the default scale; IDMVehicle brakes with 6 m/s² at most.

    bench/setup.sh highway
    bench/.venv-highway/bin/python bench/highway.py --run runs/driving-planner
    bench/.venv-highway/bin/python bench/highway.py --only-idm --episodes 3
"""

import argparse
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import gymnasium
import highway_env  # noqa: F401, its environments register themselves
from highway_env.vehicle.behavior import IDMVehicle
from highway_env.vehicle.kinematics import Vehicle

from moments import STEP, Moments, Similarity

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
# Seconds after which an episode ends: highway-v0 has this end itself, merge-v0 has none for who stands still.
SECONDS = {"highway-v0": 40, "merge-v0": 60, "merge-v1": 60}

class Server:
    """`conjoin predict RUN --listen`."""

    def __init__(self, arguments):
        command = [arguments.conjoin, "predict", str(arguments.run), "--listen", "127.0.0.1:0"]
        for change in arguments.set:
            command += ["--set", change]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("listening on "):
                self.address = line.split()[-1]
                threading.Thread(target=self.forward, daemon=True).start()
                return
            sys.stderr.write(line)
        sys.exit(f"{' '.join(command)}\nended with {self.process.wait()}")

    def forward(self):
        """Shows what else it says, so that it never waits for somebody to read it."""
        for line in self.process.stderr:
            sys.stderr.write(line)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Connection:
    """A line out for a line in."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = connection.makefile("rw", encoding="utf-8", newline="\n")

    def ask(self, moment: dict) -> dict:
        self.stream.write(json.dumps(moment, separators=(",", ":")) + "\n")
        self.stream.flush()
        line = self.stream.readline()
        if not line:
            raise RuntimeError("conjoin closed the connection")
        answer = json.loads(line)
        if "control" not in answer:
            raise RuntimeError(f"conjoin answered {line.strip()}")
        return answer


class Conjoin:
    """Drives by what the server answers."""

    name, kind = "conjoin", Vehicle

    def __init__(self, connection, similarity: Similarity, observation: dict):
        self.connection, self.similarity = connection, similarity
        self.observation = observation

    def begin(self, ego: Vehicle):
        self.ego = ego
        ego.target_speed = ego.speed
        self.moments = Moments(ego, self.similarity, self.observation)

    def step(self) -> dict:
        answer = self.connection.ask(self.moments.look())
        command = self.moments.ego.command(answer["control"])
        self.ego.act({"acceleration": command.acceleration, "steering": command.steering})
        return {"braked": answer["braked"], "fallback": answer["fallback"]}


class Idm:
    """Decides by itself."""

    name, kind = "IDMVehicle", IDMVehicle

    def begin(self, ego: Vehicle):
        pass

    def step(self) -> dict:
        return {}


def take_seat(env, kind) -> Vehicle:
    """Puts a vehicle of this kind where the ego is."""
    before = env.vehicle
    ego = kind(env.road, before.position, heading=before.heading, speed=before.speed)
    env.road.vehicles[env.road.vehicles.index(before)] = ego
    env.vehicle = ego
    return ego


def drive(world: str, seed: int, driver, simulation_frequency: int) -> dict:
    """One episode."""
    config = {"policy_frequency": round(1 / STEP), "simulation_frequency": simulation_frequency}
    # Without what gymnasium wraps it in, which wants actions.
    env = gymnasium.make(world, config=config).unwrapped
    env.reset(seed=seed)
    ego = take_seat(env, driver.kind)
    driver.begin(ego)
    found = Counter()
    over = False
    while not over:
        found.update({name: int(value) for name, value in driver.step().items()})
        _, reward, terminated, truncated, _ = env.step(None)
        found.update(steps=1, reward=float(reward), speed=float(ego.speed))
        found.update(off_road=int(not ego.on_road))
        over = terminated or truncated or found["steps"] * STEP >= SECONDS[world]
    env.close()
    return {**found, "seed": seed, "crashed": int(ego.crashed)}


# The drivers of a process, by name.
DRIVERS = {}


def begin(address: str | None, scales: tuple[float, float], observation: dict | None):
    """Makes the drivers of a process, with a connection of its own."""
    # merge-v0 calls itself out of date in every episode.
    gymnasium.logger.min_level = gymnasium.logger.ERROR
    DRIVERS[Idm.name] = Idm()
    if address:
        DRIVERS[Conjoin.name] = Conjoin(Connection(address), Similarity(*scales), observation)


def drive_named(world: str, seed: int, driver: str, simulation_frequency: int) -> dict:
    return drive(world, seed, DRIVERS[driver], simulation_frequency)


def drive_all(pool, world: str, driver: str, arguments) -> list[dict]:
    seeds = range(arguments.seed, arguments.seed + arguments.episodes)
    frequency = arguments.simulation_frequency
    waiting = [pool.submit(drive_named, world, seed, driver, frequency) for seed in seeds]
    episodes = []
    for episode in waiting:
        episodes.append(episode.result())
        crashed = sum(episode["crashed"] for episode in episodes)
        said = f"{world} {driver}: {len(episodes)}/{arguments.episodes}, {crashed} crashed"
        print(f"\r{said}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return episodes


def summarise(world: str, driver: str, episodes: list[dict]) -> dict:
    """Means over episodes, or over all of their steps."""
    total = Counter()
    for episode in episodes:
        total.update({key: value for key, value in episode.items() if key != "seed"})
    share = lambda key: total[key] / total["steps"]
    return {
        "world": world,
        "driver": driver,
        "episodes": len(episodes),
        "crashed": int(total["crashed"]),
        "crash_rate": total["crashed"] / len(episodes),
        "reward_per_step": share("reward"),
        "reward_per_episode": total["reward"] / len(episodes),
        "speed": share("speed"),
        "seconds": total["steps"] * STEP / len(episodes),
        "off_road": share("off_road"),
        "braked": share("braked"),
        "fallback": share("fallback"),
    }


def show(rows: list[dict]):
    heads = ["world", "driver", "crashed", "reward/step", "reward/episode", "m/s", "s/episode"]
    table = [[*heads, "off the road", "braked", "fallback"]]
    for row in rows:
        shares = [f"{100 * row[key]:.1f} %" for key in ("off_road", "braked", "fallback")]
        if row["driver"] == Idm.name:
            shares[1:] = ["", ""]
        crashed = f"{100 * row['crash_rate']:.1f} % ({row['crashed']}/{row['episodes']})"
        numbers = [f"{row['reward_per_step']:.3f}", f"{row['reward_per_episode']:.1f}"]
        numbers += [f"{row['speed']:.1f}", f"{row['seconds']:.1f}"]
        table.append([row["world"], row["driver"], crashed, *numbers, *shares])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def observation_of(recording: Path) -> dict:
    """The sizes of what the planner was trained on."""
    info = recording / "meta/info.json"
    if not info.is_file():
        sys.exit(f"{info}: not there; `conjoin data drive` makes recordings")
    return json.loads(info.read_text())["conjoin"]["config"]["observation"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run of recipes/driving-planner.toml")
    parser.add_argument("--conjoin", default=str(ROOT / "target/release/conjoin"))
    parser.add_argument("--address", help="ask a conjoin that listens already, HOST:PORT")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for conjoin besides")
    parser.add_argument("--recording", type=Path, default=ROOT / "data/driving/test")
    parser.add_argument("--worlds", nargs="+", choices=SECONDS, default=["highway-v0", "merge-v0"])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first episode")
    parser.add_argument("--scale", type=float, default=2.5, help="along the road")
    parser.add_argument("--across", type=float, default=1.0, help="the scale across the road")
    parser.add_argument("--simulation-frequency", type=int, default=20, help="Hz, a multiple of 10")
    parser.add_argument("--jobs", type=int, default=2, help="episodes at the same time, at most 16")
    parser.add_argument("--only-idm", action="store_true", help="without conjoin")
    parser.add_argument("--json", type=Path, help="write summaries and episodes into this file")
    arguments = parser.parse_args()
    if arguments.simulation_frequency % round(1 / STEP):
        parser.error(f"--simulation-frequency {arguments.simulation_frequency}: expected a multiple of 10")
    if not (arguments.only_idm or arguments.run or arguments.address):
        parser.error("expected --run, --address or --only-idm")

    drivers, server, address, observation = [Idm.name], None, None, None
    if not arguments.only_idm:
        drivers.insert(0, Conjoin.name)
        observation = observation_of(arguments.recording)
        server = None if arguments.address else Server(arguments)
        address = server.address if server else arguments.address
    scales = (arguments.scale, arguments.across)
    rows, episodes = [], {}
    try:
        with ProcessPoolExecutor(
            arguments.jobs, initializer=begin, initargs=(address, scales, observation)
        ) as pool:
            for world in arguments.worlds:
                for driver in drivers:
                    driven = drive_all(pool, world, driver, arguments)
                    rows.append(summarise(world, driver, driven))
                    episodes[f"{world} {driver}"] = driven
    finally:
        if server:
            server.close()
    last = arguments.seed + arguments.episodes - 1
    print(f"highway-env {highway_env.__version__}, seeds {arguments.seed} to {last}")
    show(rows)
    if arguments.json:
        scale = {"along": arguments.scale, "across": arguments.across}
        found = {"scale": scale, "rows": rows, "episodes": episodes}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
