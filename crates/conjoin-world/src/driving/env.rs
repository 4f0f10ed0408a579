//! An episode as training and evaluation see it: reset, observe, step.

use super::camera::{Image, Photographer, RigConfig, Shots};
use super::drive::Log;
use super::expert::{Expert, forecast};
use super::observation::{Observation, ObservationConfig, Parts, observe};
use super::scene::{EpisodeId, begin};
use super::score::closed_loop::{Ending, EpisodeScore, Referee};
use super::vehicle::{Control, track};
use super::world::World;
use crate::error::WorldError;
use crate::geometry::Pose;
use serde::{Deserialize, Serialize};

/// What an environment gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvConfig {
    pub cameras: RigConfig,
    pub observation: ObservationConfig,
    /// Whether the score has NAVSIM's sub-scores, which ask the expert every second.
    pub stretches: bool,
}

/// An episode that is driven from outside.
#[derive(Debug, Clone)]
pub struct DrivingEnv {
    config: EnvConfig,
    world: World,
    photographer: Photographer,
    expert: Expert,
    referee: Referee,
    log: Log,
    ending: Option<Ending>,
}

impl DrivingEnv {
    /// Begins an episode.
    ///
    /// # Errors
    /// Names the option that is out of range.
    pub fn new(config: EnvConfig, episode: EpisodeId) -> Result<Self, WorldError> {
        config.observation.check()?;
        let world = begin(episode);
        let mut log = Log::default();
        if config.stretches {
            log.note(&world);
        }
        Ok(Self {
            photographer: Photographer::new(config.cameras, &world)?,
            config,
            world,
            expert: Expert::default(),
            referee: Referee::default(),
            log,
            ending: None,
        })
    }

    /// Begins another episode.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn reset(&mut self, episode: EpisodeId) -> Result<(), WorldError> {
        *self = Self::new(self.config.clone(), episode)?;
        Ok(())
    }

    pub fn config(&self) -> &EnvConfig {
        &self.config
    }

    /// The cameras with their calibration.
    pub fn rig(&self) -> &[super::camera::Camera; 3] {
        self.photographer.rig()
    }

    pub fn state(&self) -> &World {
        &self.world
    }

    /// The images of the front, left and right camera alone.
    pub fn images(&self) -> Vec<Image> {
        self.photographer.shoot(&self.world).images
    }

    /// Images, and the truth with the expert's opinion.
    pub fn observe(&mut self) -> (Shots, Observation) {
        self.observe_parts(Parts::Plan)
    }

    /// Images and as much of the truth as is asked for.
    pub fn observe_parts(&mut self, parts: Parts) -> (Shots, Observation) {
        let shots = self.photographer.shoot(&self.world);
        let seen = self.truth(parts, Some(&shots));
        (shots, seen)
    }

    /// The truth without images of this moment, or with those taken of it already: they say who is
    /// visible.
    pub fn truth(&mut self, parts: Parts, shots: Option<&Shots>) -> Observation {
        let config = &self.config.observation;
        let truth = (parts > Parts::Inputs).then(|| forecast(&self.world, parts.steps(config)));
        let decision = match &truth {
            Some(truth) if parts == Parts::Plan => {
                Some(self.expert.decide_with(&self.world, truth))
            }
            _ => None,
        };
        observe(
            &self.world,
            config,
            truth.as_ref(),
            decision.as_ref(),
            shots.map(|shots| &shots.pixels),
        )
    }

    /// Drives 0.1 s; gives the ending once there is one, after which nothing moves any more.
    pub fn step(&mut self, control: Control) -> Option<Ending> {
        if self.ending.is_none() {
            let before = self.world.clone();
            self.world.step(control);
            self.ending = self.referee.watch(&before, &self.world);
            if self.config.stretches {
                self.log.note(&self.world);
            }
        }
        self.ending
    }

    /// Drives 0.1 s along a plan: poses in the ego frame of now, at 0.1 s, the first one 0.1 s ahead.
    pub fn step_plan(&mut self, plan: &[Pose]) -> Option<Ending> {
        let ego = self.world.ego.pose;
        let plan: Vec<Pose> = plan.iter().map(|&pose| ego.pose_to_world(pose)).collect();
        let control = track(&self.world.ego, &plan);
        self.step(control)
    }

    /// The score, once the episode has ended.
    pub fn score(&self) -> Option<EpisodeScore> {
        let pdm = super::drive::mean(&self.log.stretches(&self.world));
        let referee = self.referee.clone();
        Some(referee.finish(self.ending?, &self.world, pdm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(family: &str) -> DrivingEnv {
        let episode = EpisodeId {
            family: family.parse().unwrap(),
            seed: 4,
        };
        DrivingEnv::new(EnvConfig::default(), episode).unwrap()
    }

    #[test]
    fn less_of_the_truth_is_the_same_truth() {
        let mut env = env("junction-1");
        for _ in 0..10 {
            let control = env.truth(Parts::Plan, None).control;
            env.step(control);
        }
        let (shots, all) = env.clone().observe();
        let cells: usize = all.occupancy.cells.iter().product();
        for parts in [Parts::Inputs, Parts::Present, Parts::Future] {
            let (same, less) = env.clone().observe_parts(parts);
            assert_eq!(same, shots);
            assert_eq!((&less.ego, &less.route), (&all.ego, &all.route));
            assert!(less.plan.is_empty());
            let times = match parts {
                Parts::Inputs => 0,
                Parts::Present => 1,
                _ => all.occupancy.times.len(),
            };
            assert_eq!(less.occupancy.times, all.occupancy.times[..times]);
            assert_eq!(less.occupancy.grid, all.occupancy.grid[..times * cells]);
            match parts {
                Parts::Inputs => assert!(less.actors.is_empty() && less.lanes.is_empty()),
                Parts::Present => {
                    let mut actors = all.actors.clone();
                    for actor in &mut actors {
                        actor.future.clear();
                    }
                    assert_eq!((&less.actors, &less.lanes), (&actors, &all.lanes));
                    assert_eq!(less.light, all.light);
                }
                _ => assert_eq!(less.actors, all.actors),
            }
        }
        assert!(!all.actors.is_empty() && !all.actors[0].future.is_empty());
    }
}
