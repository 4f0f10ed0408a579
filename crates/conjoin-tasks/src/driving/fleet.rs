//! Episodes that are driven side by side: all of them see, one batch goes through the graph, all of them
//! move. What one does never depends on the others.

use super::DrivingConfig;
use super::columns::Seen;
use super::held::HeldSteps;
use super::noted::{Noted, Shares, Who, unbraked};
use super::planner::{Planned, Planner};
use crate::error::TaskError;
use crate::score_run::ScoreRun;
use crate::scored::EpisodeOutput;
use conjoin_data::lerobot::Frame;
use conjoin_graph::Graph;
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
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most episodes that are under way at the same time.
const SIDE_BY_SIDE: usize = 64;

/// An episode under way.
pub(super) struct Ride {
    key: String,
    env: DrivingEnv,
    guard: Guard,
    /// The last frames, as many as are read.
    seen: VecDeque<Frame>,
    film: Option<Film>,
    steps: usize,
    fallbacks: usize,
    held: HeldSteps,
    over: bool,
    /// Where the episode is recorded.
    noted: Option<Noted>,
}

/// What the episodes of a scoring have in common.
pub(super) struct Fleet<'a> {
    task: &'a DrivingConfig,
    config: EnvConfig,
    parts: Parts,
    planner: Planner,
    /// Where episodes are recorded.
    recorded: Option<Shares>,
}

impl<'a> Fleet<'a> {
    /// Whose rides are recorded, with all of the truth; the expert drives in a share of the time, and in
    /// another nobody brakes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn recording(
        task: &'a DrivingConfig,
        run: &ScoreRun<'_>,
        shares: Shares,
    ) -> Result<Self, TaskError> {
        Ok(Self {
            parts: Parts::Plan,
            recorded: Some(shares),
            ..Self::new(task, run)?
        })
    }

    /// # Errors
    /// The data set is no recording, does not say what its frames were taken with, or has a column that is read
    /// and that cannot be made while episodes are driven.
    pub fn new(task: &'a DrivingConfig, run: &ScoreRun<'_>) -> Result<Self, TaskError> {
        let route = run.route(&task.wanted())?;
        let Seen { env, parts, live } = Seen::new(task, &run.data.config, &route)?;
        Ok(Self {
            task,
            config: EnvConfig {
                stretches: task.navsim,
                ..env
            },
            parts,
            planner: Planner::new(task, route, live, run.device),
            recorded: None,
        })
    }

    /// What the episodes are driven in.
    pub fn env(&self) -> &EnvConfig {
        &self.config
    }

    /// Drives episodes to their ends; in their order, with what held the plans of all of them.
    pub fn drive(
        &self,
        run: &ScoreRun<'_>,
        episodes: &[EpisodeId],
    ) -> Result<(Vec<EpisodeOutput>, HeldSteps), TaskError> {
        let mut held = HeldSteps::default();
        let mut driven = Vec::with_capacity(episodes.len());
        for (group, episodes) in episodes.chunks(SIDE_BY_SIDE).enumerate() {
            let films = self.task.films.saturating_sub(group * SIDE_BY_SIDE);
            let rides = self.rides(run.graph, episodes, films, None)?;
            for mut ride in rides.into_iter().flatten() {
                held.add_all(ride.held);
                driven.extend(ride.output()?);
            }
        }
        Ok((driven, held))
    }

    /// Drives a group of episodes to their ends, and films the first ones; none if it is stopped.
    pub fn rides(
        &self,
        graph: &Graph,
        episodes: &[EpisodeId],
        films: usize,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<Vec<Ride>>, TaskError> {
        let mut rides = episodes
            .par_iter()
            .enumerate()
            .map(|(number, &episode)| self.begin(episode, number < films))
            .collect::<Result<Vec<Ride>, WorldError>>()?;
        while rides.iter().any(|ride| !ride.over) {
            if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(None);
            }
            let planned = self.plan(graph, &mut rides)?;
            move_on(&mut rides, planned);
        }
        Ok(Some(rides))
    }

    fn begin(&self, episode: EpisodeId, filmed: bool) -> Result<Ride, WorldError> {
        let env = DrivingEnv::new(self.config.clone(), episode)?;
        Ok(Ride {
            key: super::key(episode),
            film: filmed.then(|| Film::new(env.state())),
            guard: Guard::new(self.task.guard()),
            seen: VecDeque::new(),
            noted: self.recorded.map(|shares| Noted::new(shares, episode)),
            env,
            steps: 0,
            fallbacks: 0,
            held: HeldSteps::default(),
            over: false,
        })
    }

    /// Plans for the rides that are under way, in their order.
    fn plan(&self, graph: &Graph, rides: &mut [Ride]) -> Result<Vec<Planned>, TaskError> {
        let history = self.planner.history();
        (rides.par_iter_mut().filter(|ride| !ride.over))
            .for_each(|ride| ride.look(&self.config, self.parts, history));
        let under_way = rides.iter().filter(|ride| !ride.over);
        let moments: Vec<Vec<&Frame>> = under_way.map(|r| r.seen.iter().collect()).collect();
        self.planner.plan(graph, &moments)
    }
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
    /// Sees what there is now, and forgets what is older than `history` frames.
    fn look(&mut self, config: &EnvConfig, parts: Parts, history: usize) {
        let (shots, seen) = self.env.observe_parts(parts);
        let frame = frame(&shots, &seen, &config.observation);
        if let Some(noted) = &mut self.noted {
            noted.add(frame.clone());
        }
        self.seen.push_back(frame);
        while self.seen.len() > history + 1 {
            self.seen.pop_front();
        }
    }

    /// Drives a step along a plan.
    fn step(&mut self, plan: &Planned) {
        let world = self.env.state();
        let ego = world.ego;
        let poses = plan.poses();
        let ahead: Vec<Pose> = (poses.iter())
            .map(|&pose| ego.pose.pose_to_world(pose))
            .collect();
        let asked = track(&ego, &ahead);
        let who = self.noted.as_ref().map(|noted| noted.who(self.steps));
        let asked = match who {
            Some(Who::Nobody) => unbraked(asked),
            _ => asked,
        };
        let around = scan(world, self.guard.config().hidden_speed);
        let safe = self.guard.filter(&ego, &around, asked);
        if let Some(film) = self.film.as_mut().filter(|_| Film::is_due(world)) {
            let front = self.env.images().into_iter().next();
            if let Some(front) = front {
                let grid = &self.env.config().observation;
                let cells = grid.cells.iter().product::<usize>();
                let overlay = Overlay {
                    plan: &poses,
                    predicted: &plan.outlines(self.guard.config().threshold),
                    occupancy: (plan.occupancy.len() == cells)
                        .then_some((plan.occupancy.as_slice(), grid)),
                    holder: plan.holder(),
                    brakes: self.guard.brakes(),
                };
                film.add(world, &front, overlay);
            }
        }
        let control = match who {
            None | Some(Who::Nobody) => safe,
            Some(Who::System) => asked,
            Some(Who::Expert(control)) => control,
        };
        self.steps += 1;
        self.fallbacks += usize::from(plan.fallback);
        self.held.add(plan.held);
        self.over = self.env.step(control).is_some();
    }

    /// What was recorded of it.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.noted.take().map_or_else(Vec::new, Noted::frames)
    }

    /// What came of it, once it is over.
    pub fn output(&mut self) -> Result<Option<EpisodeOutput>, TaskError> {
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
