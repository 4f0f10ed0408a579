"""From the state of highway-env to moments of a drive as `conjoin predict` reads them, and from its commands back.

highway-env has y to the right of x and headings with it; here y points to the left. A **similarity** makes its
road one that the planner knows: lengths, speeds and accelerations along the road are divided by one number, those
across it by another, and time stays as it is. Straight lines stay straight, so that what does not collide here does
not collide there. Across the road nothing is divided by default: lanes of 4 m, divided as much as the speeds, would
be narrower than the planner's vehicle.

The planner's vehicle has a size of its own, whatever the scale. Its place is chosen such that its front bumper is
where that of highway-env's vehicle is; behind, it reaches further.

The chain from a command back: in the frame of the similar road the vehicle accelerates by `a` along its heading
`t` and by `v² k` to its left `n`; that vector, undone across and along, has the parts `a` and `v² k` of
highway-env's vehicle. Where both scales are one number S, these are `S a` and `k / S`.
"""

import math
from dataclasses import dataclass

import numpy as np

# The planner's vehicle, as in crates/conjoin-world/src/driving/vehicle.rs: m, s.
WHEELBASE = 2.8
REAR_TO_CENTRE = 1.4
FRONT = REAR_TO_CENTRE + 4.5 / 2
STEP = 0.1
# How far the safety layer's sensors see, as in crates/conjoin-world/src/driving/guard/scan.rs, m.
SEEN = 60.0
# Rows of agents: present, x, y, cos, sin, length, width, vx, vy, vehicle, pedestrian, static.
AGENT = 12


def unit(heading: float) -> np.ndarray:
    return np.array([math.cos(heading), math.sin(heading)])


def left(vector: np.ndarray) -> np.ndarray:
    return np.array([-vector[1], vector[0]])


def angle(vector: np.ndarray) -> float:
    return math.atan2(vector[1], vector[0])


def wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def flipped(vector) -> np.ndarray:
    """A vector of highway-env with y to the left."""
    return np.array([vector[0], -vector[1]], dtype=float)


class Similarity:
    """What makes another road of highway-env's; `along` and `across` say by how much it is smaller."""

    def __init__(self, along: float, across: float):
        self.factors = np.array([1.0 / along, 1.0 / across])

    def vector(self, vector: np.ndarray) -> np.ndarray:
        return vector * self.factors

    def heading(self, heading: float) -> float:
        return angle(self.vector(unit(heading)))

    def stretch(self, heading: float) -> float:
        """What a metre in this direction becomes, m."""
        return float(np.linalg.norm(self.vector(unit(heading))))

    def turn(self, heading: float) -> tuple[float, float]:
        """What a unit to the left of the similar heading is here: along the heading, and to its left."""
        back = left(unit(self.heading(heading))) / self.factors
        return float(back @ unit(heading)), float(back @ left(unit(heading)))


@dataclass
class Command:
    """What highway-env's vehicle is to do: m/s², and the angle of its wheels (rad, to the right)."""

    acceleration: float
    steering: float


class Ego:
    """The own vehicle on the similar road, from step to step."""

    def __init__(self, vehicle, similarity: Similarity):
        self.vehicle, self.similarity = vehicle, similarity
        self.before = None
        self.look()

    def look(self):
        """Reads the vehicle's state, one step after the last time."""
        vehicle, similarity = self.vehicle, self.similarity
        self.true_heading = wrap(-vehicle.heading)
        self.stretch = similarity.stretch(self.true_heading)
        behind = vehicle.LENGTH / 2 - FRONT / self.stretch
        self.origin = flipped(vehicle.position) + behind * unit(self.true_heading)
        self.at = similarity.vector(self.origin)
        self.heading = similarity.heading(self.true_heading)
        self.speed = max(vehicle.speed, 0.0) * self.stretch
        speed, heading = self.before or (self.speed, self.heading)
        self.acceleration = (self.speed - speed) / STEP
        self.yaw_rate = wrap(self.heading - heading) / STEP
        self.before = (self.speed, self.heading)

    @property
    def steering(self) -> float:
        """The angle of the similar vehicle's wheels, rad, to the left."""
        curvature = math.tan(-self.vehicle.action["steering"]) / self.vehicle.LENGTH
        _, turn = self.similarity.turn(self.true_heading)
        return math.atan(WHEELBASE * curvature / (self.stretch**2 * turn))

    def local(self, points: np.ndarray) -> np.ndarray:
        """Points `[..., 2]` of the similar road in the frame of the vehicle."""
        return self.axes(points - self.at)

    def axes(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors `[..., 2]` in the axes of the vehicle."""
        forward = unit(self.heading)
        return np.stack([vectors @ forward, vectors @ left(forward)], axis=-1)

    def command(self, control: dict) -> Command:
        """What the control of the similar vehicle is for highway-env's."""
        curvature = math.tan(control["steering"]) / WHEELBASE
        aside, turn = self.similarity.turn(self.true_heading)
        acceleration = control["acceleration"] / self.stretch + self.speed**2 * curvature * aside
        curvature *= self.stretch**2 * turn
        # highway-env's vehicles would drive backward.
        acceleration = max(acceleration, -max(self.vehicle.speed, 0.0) / STEP)
        # Its wheels are half a length before and behind its middle.
        return Command(acceleration, -math.atan(self.vehicle.LENGTH * curvature))


class Box:
    """Something on the road, as the vehicle sees it on the similar road."""

    def __init__(self, thing, ego: Ego):
        similarity = ego.similarity
        heading = -thing.heading
        velocity = similarity.vector(flipped(thing.velocity))
        self.thing = thing
        self.at = ego.local(similarity.vector(flipped(thing.position)))
        self.heading = wrap(similarity.heading(heading) - ego.heading)
        self.velocity = ego.axes(velocity)
        self.length = thing.LENGTH * similarity.stretch(heading)
        self.width = thing.WIDTH * similarity.stretch(heading + math.pi / 2)
        self.distance = float(np.linalg.norm(self.at))

    def row(self) -> list[float]:
        cos, sin = unit(self.heading)
        place = [1.0, *self.at, cos, sin, self.length, self.width, *self.velocity]
        return [*place, 1.0, 0.0, 0.0]

    def detected(self) -> dict:
        return {
            "position": rounded(self.at),
            "velocity": rounded(self.velocity),
            "size": rounded([self.length, self.width]),
            "heading": round(self.heading, 5),
            "wheels": True,
        }

    def future(self, road, ego: Ego, steps: int) -> list[tuple[np.ndarray, float]]:
        """Places and headings at the end of each step: at this speed along the lane, as far aside of it."""
        thing = self.thing
        if thing.speed == 0.0:
            return [(self.at, self.heading)] * steps
        longitudinal, lateral = thing.lane.local_coordinates(thing.position)
        found = []
        for step in range(1, steps + 1):
            way = longitudinal + thing.speed * step * STEP
            at, heading = travel(road, thing.lane_index, way, lateral)
            heading = wrap(ego.similarity.heading(-heading) - ego.heading)
            found.append((ego.local(ego.similarity.vector(flipped(at))), heading))
        return found


def travel(road, index, longitudinal: float, lateral: float):
    """Place and heading on a lane, or on those that follow behind its end."""
    network = road.network
    while True:
        lane = network.get_lane(index)
        after = index
        if longitudinal > lane.length:
            end = lane.position(lane.length, 0)
            after = network.next_lane(index, position=end, np_random=road.np_random)
        if after == index:
            return lane.position(longitudinal, lateral), lane.heading_at(longitudinal)
        longitudinal -= lane.length
        index = after


def rounded(values) -> list:
    return np.round(np.asarray(values, dtype=float), 4).tolist()


class Moments:
    """Makes moments of an episode, in the sizes of a recording's observations."""

    def __init__(self, vehicle, similarity: Similarity, observation: dict):
        self.ego = Ego(vehicle, similarity)
        self.observation = observation
        # The lane that is driven on: the one of the start and those that follow it.
        self.lane = vehicle.lane_index
        self.first = True

    def look(self) -> dict:
        """The present moment; to be called once a step."""
        ego, sizes = self.ego, self.observation
        if not self.first:
            ego.look()
        road = ego.vehicle.road
        others = [vehicle for vehicle in road.vehicles if vehicle is not ego.vehicle]
        vehicles = sorted((Box(other, ego) for other in others), key=lambda box: box.distance)
        standing = [Box(thing, ego) for thing in road.objects if thing.solid]
        steps = max(sizes["future"], *(round(t / STEP) for t in sizes["occupancy_times"]))
        near = [box for box in vehicles if box.distance < sizes["range"]]
        futures = [box.future(road, ego, steps) for box in near]
        moment = {
            "observation.state": rounded(
                [ego.speed, ego.acceleration, ego.steering, ego.yaw_rate]
            ),
            "observation.route": rounded(self.route(road)),
            "truth.agents": rounded(self.agents(near)),
            "truth.futures": rounded(self.futures(futures)),
            "truth.occupancy": self.occupancy(near, futures, standing),
            **self.lanes(road),
            "truth.light": [1, 0, 0, 0, 0],
            "safety": {
                "detected": [
                    box.detected() for box in vehicles + standing if box.distance < SEEN
                ]
            },
            "reset": self.first,
        }
        self.first = False
        return moment

    def route(self, road) -> np.ndarray:
        """Points ahead in the middle of the lane, counted from the middle of the vehicle."""
        ego, sizes = self.ego, self.observation
        network = road.network
        while True:
            lane = network.get_lane(self.lane)
            place = ego.vehicle.position
            if not lane.after_end(place):
                break
            after = network.next_lane(self.lane, position=place, np_random=road.np_random)
            if after == self.lane:
                break
            self.lane = after
        middle = ego.origin + REAR_TO_CENTRE / ego.stretch * unit(ego.true_heading)
        begin, _ = lane.local_coordinates(flipped(middle))
        spacing = sizes["route_spacing"] / ego.similarity.stretch(-lane.heading_at(begin))
        points = [
            flipped(travel(road, self.lane, begin + i * spacing, 0)[0])
            for i in range(1, sizes["route_points"] + 1)
        ]
        return ego.local(ego.similarity.vector(np.array(points)))

    def lanes(self, road) -> dict:
        """Centre lines of the nearest lanes from beside the vehicle on, and which of the rows there are."""
        ego, sizes = self.ego, self.observation
        count, spacing = sizes["lane_points"], 2.5
        found = []
        for lane in road.network.lanes_list():
            begin, _ = lane.local_coordinates(flipped(ego.origin))
            begin = min(max(begin, 0.0), lane.length)
            left_over = lane.length - begin
            stretch = ego.similarity.stretch(-lane.heading_at(begin))
            step = min(spacing / stretch, left_over / (count - 1))
            points = [flipped(lane.position(begin + i * step, 0)) for i in range(count)]
            points = ego.local(ego.similarity.vector(np.array(points)))
            distance = float(np.linalg.norm(points[0]))
            if distance < sizes["range"] and left_over * stretch > 1.0:
                found.append((distance, points))
        found.sort(key=lambda lane: lane[0])
        rows = np.zeros((sizes["lanes"], count, 2))
        mask = np.zeros(sizes["lanes"], dtype=int)
        for i, (_, points) in enumerate(found[: sizes["lanes"]]):
            rows[i], mask[i] = points, 1
        return {"truth.lanes": rounded(rows), "truth.lanes_mask": mask.tolist()}

    def agents(self, near: list[Box]) -> np.ndarray:
        rows = np.zeros((self.observation["actors"], AGENT))
        for row, box in zip(rows, near):
            row[:] = box.row()
        return rows

    def futures(self, futures) -> np.ndarray:
        rows = np.zeros((self.observation["actors"], self.observation["future"], 4))
        for row, future in zip(rows, futures):
            for step, (at, heading) in zip(row, future):
                step[:] = [1.0, *at, heading]
        return rows

    def occupancy(self, near: list[Box], futures, standing: list[Box]) -> list:
        """`[X, Y, T]`: 1 where something is."""
        times = self.observation["occupancy_times"]
        grid = np.zeros((*self.observation["cells"], len(times)), dtype=int)
        for number, time in enumerate(times):
            step = round(time / STEP)
            for box, future in zip(near, futures):
                at, heading = future[step - 1] if step > 0 else (box.at, box.heading)
                grid[..., number] |= self.cover(at, heading, box)
            for box in standing:
                grid[..., number] |= self.cover(box.at, box.heading, box)
        return grid.tolist()

    def cover(self, at, heading: float, box: Box) -> np.ndarray:
        """Cells that a box overlaps, by separating axes."""
        x0, x1, y0, y1 = self.observation["extent"]
        nx, ny = self.observation["cells"]
        size = np.array([(x1 - x0) / nx, (y1 - y0) / ny])
        x = x0 + (np.arange(nx)[:, None] + 0.5) * size[0] - at[0]
        y = y0 + (np.arange(ny)[None, :] + 0.5) * size[1] - at[1]
        cos, sin = unit(heading)
        half = np.array([box.length, box.width]) / 2
        # Half the extent of the box along the grid's axes, and of a cell along the box's.
        own = np.abs([[cos, sin], [sin, cos]]) @ half
        cell = np.abs([[cos, sin], [sin, cos]]) @ (size / 2)
        return (
            (np.abs(x) <= own[0] + size[0] / 2)
            & (np.abs(y) <= own[1] + size[1] / 2)
            & (np.abs(cos * x + sin * y) <= half[0] + cell[0])
            & (np.abs(cos * y - sin * x) <= half[1] + cell[1])
        )
