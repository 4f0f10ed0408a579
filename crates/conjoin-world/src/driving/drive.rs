//! Drives episodes closed loop and scores them.

use super::actor::Body;
use super::expert::Expert;
use super::guard::Interventions;
use super::scene::{EpisodeId, begin};
use super::score::closed_loop::{EpisodeScore, Referee};
use super::score::{FRAMES, STATES, SubScores, Surroundings, score};
use super::vehicle::{Control, EgoState};
use super::world::World;

/// Whoever drives.
pub trait Driver {
    /// The control for the next 0.1 s.
    fn control(&mut self, world: &World) -> Control;

    /// What a safety layer behind the driver did so far, if there is one.
    fn interventions(&self) -> Option<Interventions> {
        None
    }
}

impl Driver for Expert {
    fn control(&mut self, world: &World) -> Control {
        self.decide(world).control
    }
}

impl<F: FnMut(&World) -> Control> Driver for F {
    fn control(&mut self, world: &World) -> Control {
        self(world)
    }
}

/// Steps between stretches that are scored with NAVSIM's sub-scores.
const STRIDE: usize = 10;

/// A driven episode, step by step; the start is the first entry.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub states: Vec<EgoState>,
    /// The others, and what never moves.
    pub frames: Vec<Vec<Body>>,
    /// What the expert would have driven, every second.
    references: Vec<Vec<EgoState>>,
}

impl Log {
    pub fn note(&mut self, world: &World) {
        let actors = world.actors().into_iter();
        self.frames
            .push(actors.chain(world.scene.statics()).collect());
        self.states.push(world.ego);
        if (self.states.len() - 1).is_multiple_of(STRIDE) {
            self.references.push(Expert::default().decide(world).states);
        }
    }

    /// Sub-scores of each stretch of 4 s, with the expert's proposal as the reference for progress.
    pub fn stretches(&self, world: &World) -> Vec<SubScores> {
        let starts = (0..self.references.len()).map(|i| (i, i * STRIDE));
        starts
            .filter(|(_, start)| start + FRAMES <= self.frames.len())
            .filter_map(|(i, start)| {
                let around = Surroundings {
                    map: world.map(),
                    route: &world.route().line,
                    frames: &self.frames[start..start + FRAMES],
                };
                let driven = &self.states[start..start + STATES];
                score(&[driven, &self.references[i]], &around)
                    .into_iter()
                    .next()
            })
            .collect()
    }
}

/// The mean of each sub-score.
pub fn mean(scores: &[SubScores]) -> Option<SubScores> {
    if scores.is_empty() {
        return None;
    }
    let of = |f: fn(&SubScores) -> f64| scores.iter().map(f).sum::<f64>() / scores.len() as f64;
    Some(SubScores {
        nc: of(|s| s.nc),
        dac: of(|s| s.dac),
        ep: of(|s| s.ep),
        ttc: of(|s| s.ttc),
        c: of(|s| s.c),
        pdms: of(|s| s.pdms),
    })
}

/// Drives an episode to its end; with `stretches`, also NAVSIM's sub-scores, which take the expert's
/// opinion every second.
pub fn drive(episode: EpisodeId, driver: &mut dyn Driver, stretches: bool) -> EpisodeScore {
    let mut world = begin(episode);
    let mut referee = Referee::default();
    let mut log = Log::default();
    loop {
        if stretches {
            log.note(&world);
        }
        let before = world.clone();
        let control = driver.control(&world);
        world.step(control);
        if let Some(ending) = referee.watch(&before, &world) {
            let pdm = mean(&log.stretches(&world));
            return referee.finish(ending, &world, pdm);
        }
    }
}
