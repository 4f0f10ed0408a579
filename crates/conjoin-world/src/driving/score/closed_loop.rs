//! What a driven episode is worth: completion, success, infractions, driving score.
//!
//! The driving score is completion times a penalty for each infraction, with the factors of the CARLA
//! leaderboard (1.0). Only infractions that are the ego's fault count.

use super::{CollisionType, EgoArea, SubScores, at_fault, classify};
use crate::driving::actor::{ActorKind, Body};
use crate::driving::map::LightState;
use crate::driving::vehicle::LENGTH;
use crate::driving::world::World;
use serde::Serialize;

/// Something done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Infraction {
    PedestrianCollision,
    VehicleCollision,
    StaticCollision,
    RedLight,
    /// A corner left the road; counted once a departure.
    OffRoad,
}

impl Infraction {
    /// What the driving score is multiplied by.
    pub fn penalty(self) -> f64 {
        match self {
            Self::PedestrianCollision => 0.5,
            Self::VehicleCollision => 0.6,
            Self::StaticCollision => 0.65,
            Self::RedLight => 0.7,
            // CARLA takes off the share of the way outside instead: see `EpisodeScore::off_road_share`.
            Self::OffRoad => 1.0,
        }
    }
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Goal,
    /// Whatever the ego touched; `at_fault` says whose fault it was.
    Collision {
        at_fault: bool,
    },
    /// No corner was on the road any more.
    LeftRoad,
    TimeLimit,
}

/// The scores of one episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeScore {
    pub ending: Ending,
    /// Share of the route, 0 to 1.
    pub completion: f64,
    /// The goal was reached without an infraction other than a red light.
    pub success: bool,
    pub infractions: Vec<Infraction>,
    /// Share of the way driven with a corner off the road.
    pub off_road_share: f64,
    /// Completion times penalties, 0 to 1.
    pub driving_score: f64,
    pub metres: f64,
    pub seconds: f64,
    /// Means over the stretches of 4 s that were driven; none for an episode that was too short.
    pub pdm: Option<SubScores>,
}

impl EpisodeScore {
    pub fn infractions_per_km(&self) -> f64 {
        self.infractions.len() as f64 / (self.metres / 1000.0).max(1e-3)
    }
}

/// Watches an episode while it is driven.
#[derive(Debug, Clone, Default)]
pub struct Referee {
    infractions: Vec<Infraction>,
    metres: f64,
    outside: f64,
    was_outside: bool,
}

impl Referee {
    /// To be called after every step; gives the ending once there is one.
    pub fn watch(&mut self, before: &World, now: &World) -> Option<Ending> {
        let way = (now.ego.pose.at - before.ego.pose.at).length();
        self.metres += way;
        let area = EgoArea::of(&now.ego.footprint(), now.map());
        if area.nondrivable {
            self.outside += way;
            if !self.was_outside {
                self.infractions.push(Infraction::OffRoad);
            }
        }
        self.was_outside = area.nondrivable;
        if ran_red_light(before, now) {
            self.infractions.push(Infraction::RedLight);
        }
        if let Some(body) = now.collision() {
            let fault = self.collide(now, &body, area);
            return Some(Ending::Collision { at_fault: fault });
        }
        let corners = now.ego.footprint().corners();
        if corners
            .into_iter()
            .all(|corner| !now.map().drivable(corner))
        {
            return Some(Ending::LeftRoad);
        }
        if now.ego_s >= now.scene.goal {
            return Some(Ending::Goal);
        }
        (now.time() >= now.scene.time_limit).then_some(Ending::TimeLimit)
    }

    fn collide(&mut self, now: &World, body: &Body, area: EgoArea) -> bool {
        let kind: CollisionType = classify(&now.ego, body, body.speed());
        let fault = at_fault(kind, area);
        if fault {
            self.infractions.push(match body.kind {
                ActorKind::Pedestrian => Infraction::PedestrianCollision,
                ActorKind::Vehicle => Infraction::VehicleCollision,
                ActorKind::Static => Infraction::StaticCollision,
            });
        }
        fault
    }

    pub fn finish(self, ending: Ending, world: &World, pdm: Option<SubScores>) -> EpisodeScore {
        let completion = if ending == Ending::Goal {
            1.0
        } else {
            world.completion()
        };
        let clean = self.infractions.iter().all(|i| *i == Infraction::RedLight);
        let penalty: f64 = self.infractions.iter().map(|i| i.penalty()).product();
        let off_road_share = if self.metres > 0.0 {
            self.outside / self.metres
        } else {
            0.0
        };
        EpisodeScore {
            ending,
            completion,
            success: ending == Ending::Goal && clean,
            driving_score: completion * penalty * (1.0 - off_road_share),
            infractions: self.infractions,
            off_road_share,
            metres: self.metres,
            seconds: world.time(),
            pdm,
        }
    }
}

/// Whether the front crossed a stop line under red.
fn ran_red_light(before: &World, now: &World) -> bool {
    let (from, to) = (before.ego_s + LENGTH / 2.0, now.ego_s + LENGTH / 2.0);
    now.route().lights.iter().any(|&(s, light)| {
        from < s && s <= to && now.map().lights[light].state(now.time()) == LightState::Red
    })
}

#[cfg(test)]
mod tests;
