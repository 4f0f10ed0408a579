//! Episodes that are driven side by side: all of them see, one batch goes through the graph, all of them
//! move. What one does never depends on the others.

use super::DrivingConfig;
use crate::error::TaskError;
use crate::scored::EpisodeOutput;
use crate::scorer::{ScoreRun, TaskBatch};
use conjoin_data::lerobot::{Frame, Info};
use conjoin_data::source::LerobotConfig;
use conjoin_data::{Live, SourceConfig};
use conjoin_graph::{Route, Value};
use conjoin_world::WorldError;
use conjoin_world::driving::dataset::frame;
use conjoin_world::driving::draw::Overlay;
use conjoin_world::driving::env::{DrivingEnv, EnvConfig};
use conjoin_world::driving::film::Film;
use conjoin_world::driving::guard::{Guard, scan};
use conjoin_world::driving::observation::Parts;
use conjoin_world::driving::scene::EpisodeId;
use conjoin_world::driving::vehicle::track;
use conjoin_world::geometry::Pose;
use rayon::prelude::*;

/// Most episodes that are under way at the same time.
const SIDE_BY_SIDE: usize = 64;

/// An episode under way.
struct Ride {
    key: String,
    env: DrivingEnv,
    guard: Guard,
    film: Option<Film>,
    steps: usize,
    fallbacks: usize,
    over: bool,
}

/// What was planned for a ride: poses in the frame of the vehicle, and whether the planner gave up.
struct Planned {
    poses: Vec<Pose>,
    fallback: bool,
}

/// What the episodes of a scoring have in common.
pub(super) struct Fleet<'a> {
    task: &'a DrivingConfig,
    config: EnvConfig,
    route: Route,
    parts: Parts,
    live: Live,
}

impl<'a> Fleet<'a> {
    /// # Errors
    /// The data set is no recording, or does not say what its frames were taken with.
    pub fn new(task: &'a DrivingConfig, run: &ScoreRun<'_>) -> Result<Self, TaskError> {
        let no_recording = || TaskError::Recording(task.data.clone());
        let data = &run.data.config;
        let SourceConfig::Lerobot(recording) = &data.source else {
            return Err(no_recording());
        };
        let info = Info::read(&recording.path)?;
        let found = info.extra.get("config").cloned().unwrap_or_default();
        let config: EnvConfig = serde_json::from_value(found).map_err(|_| no_recording())?;
        let route = run.route(&task.wanted())?;
        let parts = parts(&route, recording);
        let features: Vec<&str> = (info.features.iter())
            .map(|feature| feature.name.as_str())
            .filter(|name| part(name).is_some_and(|part| part <= parts))
            .collect();
        Ok(Self {
            task,
            config: EnvConfig {
                stretches: task.navsim,
                ..config
            },
            route,
            parts,
            live: Live::new(data, &features)?,
        })
    }

    /// Drives episodes to their ends; in their order.
    pub fn drive(
        &self,
        run: &ScoreRun<'_>,
        episodes: &[EpisodeId],
    ) -> Result<Vec<EpisodeOutput>, TaskError> {
        let mut driven = Vec::with_capacity(episodes.len());
        for (group, episodes) in episodes.chunks(SIDE_BY_SIDE).enumerate() {
            let films = self.task.films.saturating_sub(group * SIDE_BY_SIDE);
            let mut rides = episodes
                .par_iter()
                .enumerate()
                .map(|(number, &episode)| self.begin(episode, number < films))
                .collect::<Result<Vec<Ride>, WorldError>>()?;
            while rides.iter().any(|ride| !ride.over) {
                let planned = self.plan(run, &mut rides)?;
                move_on(&mut rides, planned);
            }
            for mut ride in rides {
                driven.extend(ride.output()?);
            }
        }
        Ok(driven)
    }

    fn begin(&self, episode: EpisodeId, filmed: bool) -> Result<Ride, WorldError> {
        let env = DrivingEnv::new(self.config.clone(), episode)?;
        Ok(Ride {
            key: format!("{} seed {}", episode.family, episode.seed),
            film: filmed.then(|| Film::new(env.state())),
            guard: Guard::new(self.task.guard()),
            env,
            steps: 0,
            fallbacks: 0,
            over: false,
        })
    }

    /// Plans for the rides that are under way, in their order.
    fn plan(&self, run: &ScoreRun<'_>, rides: &mut [Ride]) -> Result<Vec<Planned>, TaskError> {
        let frames: Vec<Option<Frame>> = rides
            .par_iter_mut()
            .map(|ride| (!ride.over).then(|| ride.look(&self.config, self.parts)))
            .collect();
        let frames: Vec<&Frame> = frames.iter().flatten().collect();
        let batch = TaskBatch::new(self.live.batch(&frames)?, run.device)?;
        let trace = run.trace(&self.route, &batch, &self.task.wanted())?;
        let fallback = match &self.task.fallback {
            Some(port) => trace.get(port)?.to_f32(),
            None => vec![0.0; frames.len()],
        };
        let plans = poses(trace.get(&self.task.plan)?);
        let planned = plans.zip(fallback).map(|(poses, fallback)| Planned {
            poses,
            fallback: fallback > 0.5,
        });
        Ok(planned.collect())
    }
}

/// What a feature is part of; none for what no moment has, such as the number of a frame.
fn part(feature: &str) -> Option<Parts> {
    match feature {
        "truth.plan" | "action" => Some(Parts::Plan),
        "truth.futures" | "truth.occupancy" => Some(Parts::Future),
        name if name.starts_with("truth.") => Some(Parts::Present),
        name if name.starts_with("observation.") => Some(Parts::Inputs),
        _ => None,
    }
}

/// How much of the truth a route reads: as little as will do, for it is dear.
fn parts(route: &Route, recording: &LerobotConfig) -> Parts {
    let columns = route.columns();
    let read = columns
        .iter()
        .map(|&name| match recording.columns.get(name) {
            Some(column) => (column.feature.iter().chain(&column.features))
                .filter_map(|feature| part(feature))
                .fold(Parts::Inputs, Parts::max),
            // Columns that transforms make are made of the present truth.
            None => Parts::Present,
        });
    read.fold(Parts::Inputs, Parts::max)
}

/// The poses of each row of plans `[B, S, 4]`.
fn poses(plans: &Value) -> impl Iterator<Item = Vec<Pose>> {
    let shape = plans.shape();
    let (steps, width) = (
        shape.get(1).copied().unwrap_or(1),
        shape.get(2).copied().unwrap_or(4),
    );
    let numbers = plans.to_f32();
    let rows = numbers.len() / (steps * width).max(1);
    (0..rows).map(move |row| {
        let plan = &numbers[row * steps * width..(row + 1) * steps * width];
        plan.chunks_exact(width)
            .map(|p| Pose::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2])))
            .collect()
    })
}

/// Moves the rides that are under way by a step each.
fn move_on(rides: &mut [Ride], planned: Vec<Planned>) {
    let mut planned = planned.into_iter();
    let plans: Vec<Option<Planned>> = (rides.iter())
        .map(|ride| if ride.over { None } else { planned.next() })
        .collect();
    rides.par_iter_mut().zip(plans).for_each(|(ride, plan)| {
        if let Some(plan) = plan {
            ride.step(&plan);
        }
    });
}

impl Ride {
    /// What is seen now.
    fn look(&mut self, config: &EnvConfig, parts: Parts) -> Frame {
        let (shots, seen) = self.env.observe_parts(parts);
        frame(&shots, &seen, &config.observation)
    }

    /// Drives a step along a plan.
    fn step(&mut self, plan: &Planned) {
        let world = self.env.state();
        let ego = world.ego;
        if let Some(film) = self.film.as_mut().filter(|_| Film::is_due(world)) {
            let front = self.env.images().into_iter().next();
            if let Some(front) = front {
                let overlay = Overlay {
                    plan: &plan.poses,
                    ..Overlay::default()
                };
                film.add(world, &front, overlay);
            }
        }
        let ahead: Vec<Pose> = (plan.poses.iter())
            .map(|&pose| ego.pose.pose_to_world(pose))
            .collect();
        let asked = track(&ego, &ahead);
        let around = scan(world, self.guard.config().hidden_speed);
        let control = self.guard.filter(&ego, &around, asked);
        self.steps += 1;
        self.fallbacks += usize::from(plan.fallback);
        self.over = self.env.step(control).is_some();
    }

    /// What came of it, once it is over.
    fn output(&mut self) -> Result<Option<EpisodeOutput>, TaskError> {
        let film = match self.film.take() {
            Some(film) => Some(film.finish()?),
            None => None,
        };
        Ok(self.env.score().map(|score| EpisodeOutput {
            key: std::mem::take(&mut self.key),
            score,
            steps: self.steps,
            interventions: self.guard.interventions(),
            fallbacks: self.fallbacks,
            film,
        }))
    }
}
