//! The sub-scores of NAVSIM v1 (Dauner et al. 2024) and the closed-loop scores.
//!
//! Proposals are states of the ego at 0.1 s from now on: 41 for the horizon of 4 s. Frames are the
//! others at the same times and 0.9 s longer: 50. They do not react to the proposal.

mod area;
pub mod closed_loop;
mod collision;
mod comfort;
mod near;
mod ttc;

pub use area::EgoArea;
pub use collision::{CollisionType, at_fault, classify};
pub use comfort::{Comfort, comfort};
pub(super) use near::near;

use super::actor::{ActorKind, Body};
use super::map::RoadMap;
use super::vehicle::EgoState;
use crate::geometry::Polyline;
use serde::Serialize;

/// States of a proposal: now and 4 s at 10 Hz.
pub const STATES: usize = 41;
/// Frames that scoring wants: TTC looks 0.9 s further.
pub const FRAMES: usize = STATES + 9;
/// Progress is relative where the best proposal gets further than this, m.
const PROGRESS_THRESHOLD: f64 = 5.0;

/// What proposals are scored against.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub map: &'a RoadMap,
    /// The centre line that progress is measured along.
    pub route: &'a Polyline,
    /// The others at steps of 0.1 s from now on; a body keeps its number.
    pub frames: &'a [Vec<Body>],
}

/// The sub-scores of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SubScores {
    /// No at-fault collision: 1, 1/2 (with something static) or 0.
    pub nc: f64,
    /// Drivable area compliance: all four corners at every step, 1 or 0.
    pub dac: f64,
    /// Ego progress relative to the best proposal, 0 to 1.
    pub ep: f64,
    /// Time to collision within bound, 1 or 0.
    pub ttc: f64,
    /// Comfort, 1 or 0.
    pub c: f64,
    /// NC · DAC · (5 EP + 5 TTC + 2 C) / 12.
    pub pdms: f64,
}

/// Scores proposals together: progress is relative to the best of them.
pub fn score(proposals: &[&[EgoState]], around: &Surroundings) -> Vec<SubScores> {
    let frames = &near(proposals, around.frames, 0.0)[..];
    let around = &Surroundings { frames, ..*around };
    let already = collision::overlapping(proposals, around.frames);
    let judged: Vec<[f64; 5]> = proposals
        .iter()
        .map(|states| {
            let areas: Vec<EgoArea> = states
                .iter()
                .map(|state| EgoArea::of(&state.footprint(), around.map))
                .collect();
            let nc = collision::no_at_fault(states, &areas, around.frames, &already);
            let dac = f64::from(!areas.iter().any(|area| area.nondrivable));
            let ttc = ttc::within_bound(states, &areas, around, &already);
            let c = f64::from(comfort(states).all());
            [nc, dac, ttc, c, progress(states, around.route)]
        })
        .collect();
    let most = judged
        .iter()
        .map(|[nc, dac, .., way]| way * nc * dac)
        .fold(0.0, f64::max);
    judged
        .into_iter()
        .map(|[nc, dac, ttc, c, way]| {
            let ep = if most > PROGRESS_THRESHOLD {
                way * nc * dac / most
            } else {
                f64::from(nc * dac > 0.0)
            };
            SubScores {
                nc,
                dac,
                ep,
                ttc,
                c,
                pdms: nc * dac * (5.0 * ep + 5.0 * ttc + 2.0 * c) / 12.0,
            }
        })
        .collect()
}

/// Metres along the route from the first to the last state, never negative.
fn progress(states: &[EgoState], route: &Polyline) -> f64 {
    let (Some(first), Some(last)) = (states.first(), states.last()) else {
        return 0.0;
    };
    let length = route.length();
    let place = |state: &EgoState| route.project(state.centre()).s.clamp(0.0, length);
    (place(last) - place(first)).max(0.0)
}

/// Whether a collision with this kind counts in full; with something static it counts half.
fn is_agent(kind: ActorKind) -> bool {
    kind != ActorKind::Static
}

#[cfg(test)]
mod comfort_tests;
#[cfg(test)]
pub(crate) mod scenes;
#[cfg(test)]
mod tests;
