//! An episode as training and evaluation see it: reset, observe, step.

use super::camera::{Image, Photographer, RigConfig, Shots};
use super::drive::Log;
use super::expert::{Expert, forecast};
use super::observation::{Observation, ObservationConfig, observe};
use super::scene::{EpisodeId, begin};
use super::score::FRAMES;
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
        let shots = self.photographer.shoot(&self.world);
        let forecast = forecast(&self.world, FRAMES - 1);
        let decision = self.expert.decide_with(&self.world, &forecast);
        let config = &self.config.observation;
        let truth = observe(
            &self.world,
            config,
            &forecast,
            &decision,
            Some(&shots.pixels),
        );
        (shots, truth)
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
