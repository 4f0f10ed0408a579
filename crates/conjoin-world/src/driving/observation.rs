//! What a training sample holds of one moment, in the ego frame (x forward, y left, origin at the rear
//! axle): inputs and the truth about them.

use super::actor::{ActorKind, Body};
use super::expert::{Decision, Forecast};
use super::map::LightState;
use super::world::World;
use crate::error::WorldError;
use crate::geometry::{Obb, Pose, Vec2};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sizes of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationConfig {
    /// Cells of the occupancy grid along x and y.
    pub cells: [usize; 2],
    /// Metres that the grid covers: x from and to, y from and to.
    pub extent: [f64; 4],
    /// Seconds after now at which occupancy is given; the first is usually 0.
    pub occupancy_times: Vec<f64>,
    /// Actors nearer than this are given, nearest first, m.
    pub range: f64,
    /// Most actors.
    pub actors: usize,
    /// Steps of 0.1 s of each actor's future.
    pub future: usize,
    /// Points of the route, and metres between them.
    pub route_points: usize,
    pub route_spacing: f64,
    /// Most lanes, and points of each lane's centre line, 2.5 m apart.
    pub lanes: usize,
    pub lane_points: usize,
    /// Poses of the expert's plan at 0.1 s, at most 40.
    pub plan: usize,
    /// Pixels over all cameras from which an actor counts as visible.
    pub visible_pixels: usize,
}

impl Default for ObservationConfig {
    fn default() -> Self {
        Self {
            cells: [32, 32],
            extent: [-8.0, 40.0, -24.0, 24.0],
            occupancy_times: vec![0.0, 0.5, 1.0, 2.0],
            range: 50.0,
            actors: 12,
            future: 30,
            route_points: 20,
            route_spacing: 2.0,
            lanes: 8,
            lane_points: 16,
            plan: 20,
            visible_pixels: 3,
        }
    }
}

impl ObservationConfig {
    /// The sides of a cell, m.
    fn cell(&self) -> Vec2 {
        let [nx, ny] = self.cells;
        let [x0, x1, y0, y1] = self.extent;
        Vec2::new((x1 - x0) / nx as f64, (y1 - y0) / ny as f64)
    }

    /// The middle of a cell in the ego frame.
    fn middle(&self, i: usize, j: usize) -> Vec2 {
        let [x0, _, y0, _] = self.extent;
        let size = self.cell();
        Vec2::new(
            x0 + (i as f64 + 0.5) * size.x,
            y0 + (j as f64 + 0.5) * size.y,
        )
    }

    /// Names the option that no observation can be made of.
    ///
    /// # Errors
    /// An empty grid or extent, times beyond 4.9 s, futures or plans beyond 4 s.
    pub fn check(&self) -> Result<(), WorldError> {
        let wrong = |key: &str, found: String, expected: &str| {
            Err(WorldError::config(key, found, expected))
        };
        let [x0, x1, y0, y1] = self.extent;
        if self.cells.contains(&0) {
            return wrong("cells", format!("{:?}", self.cells), "two numbers above 0");
        }
        if !(x0 < x1 && y0 < y1) {
            let found = format!("{:?}", self.extent);
            return wrong(
                "extent",
                found,
                "[x from, x to, y from, y to], each from below its to",
            );
        }
        if let Some(time) = self
            .occupancy_times
            .iter()
            .find(|t| !(0.0..=4.9).contains(*t))
        {
            return wrong("occupancy_times", time.to_string(), "seconds from 0 to 4.9");
        }
        for (key, value) in [("future", self.future), ("plan", self.plan)] {
            if !(1..=40).contains(&value) {
                return wrong(key, value.to_string(), "1 to 40 steps");
            }
        }
        Ok(())
    }
}

/// How much an observation holds. Each level holds what those before it hold, and costs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    /// The ego's motion and the route; no truth about others.
    Inputs,
    /// Actors without futures, occupancy at the times that are now, the road, lanes, the light.
    Present,
    /// Futures of the actors and occupancy at all times: a copy of the world is driven forward.
    Future,
    /// The expert's plan and control: proposals are driven and scored against that future.
    Plan,
}

impl Parts {
    /// Steps of 0.1 s that have to be looked ahead.
    pub(crate) fn steps(self, config: &ObservationConfig) -> usize {
        match self {
            Self::Inputs | Self::Present => 0,
            Self::Future => {
                let times = config.occupancy_times.iter().map(|&time| frame_at(time));
                times.fold(config.future, usize::max)
            }
            Self::Plan => super::score::FRAMES - 1,
        }
    }
}

/// The frame of a time, seconds.
fn frame_at(time: f64) -> usize {
    (time / super::vehicle::STEP).round() as usize
}

/// What the vehicle knows of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EgoMotion {
    /// In the frame of the world, which is fixed to the ground: what odometry knows up to a constant.
    pub pose: Pose,
    /// m/s, m/s², rad, rad/s.
    pub speed: f64,
    pub acceleration: f64,
    pub steering: f64,
    pub yaw_rate: f64,
}

/// An actor in the ego frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorTruth {
    pub id: u32,
    pub kind: ActorKind,
    /// Middle and heading; length, width, height in metres.
    pub pose: Pose,
    pub size: [f64; 3],
    /// Over the ground, in the ego's axes, m/s.
    pub velocity: Vec2,
    /// Whether enough of its pixels are in the images; without images, none is known to be hidden.
    pub visible: bool,
    /// Its poses at 0.1 s from now on, in the ego frame of now; shorter if it leaves the world.
    pub future: Vec<Pose>,
}

/// Occupancy over time: `[times, cells x, cells y]`, 1 where an actor or something static stands; of
/// the configured times those that were looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Occupancy {
    pub cells: [usize; 2],
    pub times: Vec<f64>,
    pub grid: Vec<u8>,
}

/// The next light on the route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LightTruth {
    pub state: LightState,
    /// From the ego's front to the stop line, m.
    pub distance: f64,
}

/// One moment; what its [`Parts`] leave out is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub ego: EgoMotion,
    /// Points of the route ahead.
    pub route: Vec<Vec2>,
    pub actors: Vec<ActorTruth>,
    pub occupancy: Occupancy,
    /// From the middle of each cell to the edge of what may be driven on, m, above 0 on it, at most
    /// [`EDGE_REACH`](super::map::EDGE_REACH) `[cells x, cells y]`.
    pub road: Vec<f64>,
    /// Centre lines of the nearest lanes, cut to where they are near.
    pub lanes: Vec<Vec<Vec2>>,
    pub light: Option<LightTruth>,
    /// The expert's poses from 0.1 s on.
    pub plan: Vec<Pose>,
    /// The expert's control; zero where there is no plan.
    pub control: super::vehicle::Control,
}

/// Puts together what is known now. `pixels` are those of the images, by body. Without a forecast there
/// is nothing about others, with one of a single frame only what is true now; the plan comes from the
/// decision.
pub fn observe(
    world: &World,
    config: &ObservationConfig,
    forecast: Option<&Forecast>,
    decision: Option<&Decision>,
    pixels: Option<&BTreeMap<u32, usize>>,
) -> Observation {
    let ego = world.ego.pose;
    let route = (1..=config.route_points)
        .map(|i| {
            let s = world.ego_s + i as f64 * config.route_spacing;
            ego.to_local(world.route().line.at(s).at)
        })
        .collect();
    let light = || {
        let next = world.next_light();
        next.map(|(distance, state)| LightTruth { state, distance })
    };
    let plan = decision.map_or_else(Vec::new, |decision| decision.plan(config.plan));
    Observation {
        ego: EgoMotion {
            pose: ego,
            speed: world.ego.speed,
            acceleration: world.ego.acceleration,
            steering: world.ego.steering,
            yaw_rate: world.ego.yaw_rate,
        },
        route,
        actors: forecast.map_or_else(Vec::new, |f| actors(world, config, f, pixels)),
        occupancy: occupancy(ego, config, forecast),
        road: forecast.map_or_else(Vec::new, |_| road(world, config)),
        lanes: forecast.map_or_else(Vec::new, |_| lanes(world, config)),
        light: forecast.and_then(|_| light()),
        plan: plan
            .into_iter()
            .map(|pose| ego.pose_to_local(pose))
            .collect(),
        control: decision.map_or_else(Default::default, |decision| decision.control),
    }
}

fn actors(
    world: &World,
    config: &ObservationConfig,
    forecast: &Forecast,
    pixels: Option<&BTreeMap<u32, usize>>,
) -> Vec<ActorTruth> {
    let ego = world.ego.pose;
    let distance = |body: &Body| (body.footprint.pose.at - ego.at).length();
    let mut bodies: Vec<Body> = world.actors();
    bodies.retain(|body| distance(body) < config.range);
    bodies.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    bodies.truncate(config.actors);
    let direction = Pose {
        at: Vec2::default(),
        heading: ego.heading,
    };
    bodies
        .into_iter()
        .map(|body| {
            let frames = forecast.frames.iter().skip(1).take(config.future);
            let future = frames
                .map_while(|frame| frame.iter().find(|b| b.id == body.id))
                .map(|b| ego.pose_to_local(b.footprint.pose))
                .collect();
            ActorTruth {
                id: body.id,
                kind: body.kind,
                pose: ego.pose_to_local(body.footprint.pose),
                size: [body.footprint.length, body.footprint.width, body.height],
                velocity: direction.to_local(body.velocity),
                visible: pixels.is_none_or(|pixels| {
                    pixels.get(&body.id).copied().unwrap_or(0) >= config.visible_pixels
                }),
                future,
            }
        })
        .collect()
}

fn occupancy(ego: Pose, config: &ObservationConfig, forecast: Option<&Forecast>) -> Occupancy {
    let [nx, ny] = config.cells;
    let frames = forecast.map_or(&[][..], |forecast| &forecast.frames[..]);
    let times = config.occupancy_times.iter().copied();
    let times: Vec<f64> = times.filter(|&t| frame_at(t) < frames.len()).collect();
    let mut grid = vec![0; times.len() * nx * ny];
    for (&time, layer) in times.iter().zip(grid.chunks_mut(nx * ny)) {
        for body in &frames[frame_at(time)] {
            let local = Obb::new(
                ego.pose_to_local(body.footprint.pose),
                body.footprint.length,
                body.footprint.width,
            );
            fill(layer, config, &local);
        }
    }
    Occupancy {
        cells: config.cells,
        times,
        grid,
    }
}

/// Marks the cells that a box overlaps.
fn fill(layer: &mut [u8], config: &ObservationConfig, footprint: &Obb) {
    let [nx, ny] = config.cells;
    let [x0, _, y0, _] = config.extent;
    let size = config.cell();
    let at = footprint.pose.at;
    let (along, across) = footprint.half_extents(footprint.pose.heading);
    let cells = |middle: f64, half: f64, from: f64, size: f64, count: usize| {
        let low = ((middle - half - from) / size).floor().max(0.0) as usize;
        let high = ((middle + half - from) / size).ceil().max(0.0) as usize;
        low..high.min(count)
    };
    for i in cells(at.x, along, x0, size.x, nx) {
        for j in cells(at.y, across, y0, size.y, ny) {
            let Vec2 { x, y } = config.middle(i, j);
            let middle = Pose::new(x, y, 0.0);
            if footprint.intersects(&Obb::new(middle, size.x, size.y)) {
                layer[i * ny + j] = 1;
            }
        }
    }
}

fn road(world: &World, config: &ObservationConfig) -> Vec<f64> {
    let [nx, ny] = config.cells;
    let (ego, map) = (world.ego.pose, world.map());
    (0..nx * ny)
        .map(|cell| map.edge_distance(ego.to_world(config.middle(cell / ny, cell % ny))))
        .collect()
}

fn lanes(world: &World, config: &ObservationConfig) -> Vec<Vec<Vec2>> {
    const SPACING: f64 = 2.5;
    let ego = world.ego.pose;
    let near = world.map().lanes.iter().filter_map(|lane| {
        let on = lane.centre.project(ego.at);
        let start = on.s.clamp(0.0, lane.centre.length());
        let away = (lane.centre.at(start).at - ego.at).length();
        let left = lane.centre.length() - start;
        (away < config.range && left > 1.0).then_some((away, start, lane))
    });
    let mut near: Vec<_> = near.collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.truncate(config.lanes);
    near.into_iter()
        .map(|(_, start, lane)| {
            // Short lanes have their points closer, so that all have equally many.
            let left = lane.centre.length() - start;
            let spacing = SPACING.min(left / (config.lane_points - 1).max(1) as f64);
            (0..config.lane_points)
                .map(|i| ego.to_local(lane.centre.at(start + i as f64 * spacing).at))
                .collect()
        })
        .collect()
}
