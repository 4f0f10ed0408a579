//! Recordings of what a system does on the road, with what the expert would do in its place: whoever only
//! sees the expert's drives never learns the way back from its own mistakes (DAgger: Ross, Gordon &
//! Bagnell 2011, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
//! Learning").

use super::DrivingConfig;
use super::fleet::Fleet;
use super::noted::Shares;
use crate::error::TaskError;
use crate::score_run::ScoreRun;
use conjoin_world::WorldError;
use conjoin_world::driving::map::Family;
use conjoin_world::driving::recording::{Recorded, episode, recorder, task, without_standstill};
use conjoin_world::driving::scene::EpisodeId;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Episodes that are driven at the same time: their frames lie in memory until they are written.
const SIDE_BY_SIDE: usize = 16;

/// What is driven and recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct OnPolicyConfig {
    /// The families of layouts that are driven, in turn.
    pub families: Vec<Family>,
    pub episodes: usize,
    /// Episodes of another seed are others.
    pub seed: u64,
    /// Share of the seconds in which the expert drives instead, 0 to 1: so that episodes go on behind the
    /// place where the system fails.
    pub expert_share: f64,
    /// Share of the time in which the system does not brake before the safety layer does, 0 to 1, some
    /// seconds at a stretch: it then drives up to what stands as one does that takes it for something that
    /// moves, which a planner on true inputs never does.
    pub lapse_share: f64,
}

impl OnPolicyConfig {
    fn check(&self) -> Result<(), WorldError> {
        let wrong = |key: &str, found: String, expected: &str| {
            Err(WorldError::Config {
                key: key.to_owned(),
                found,
                expected: expected.to_owned(),
            })
        };
        if self.families.is_empty() {
            return wrong("families", "none".to_owned(), "at least one");
        }
        if self.episodes == 0 {
            return wrong("episodes", "0".to_owned(), "at least 1");
        }
        let shares = [
            ("expert_share", self.expert_share),
            ("lapse_share", self.lapse_share),
        ];
        let mut shares = shares.into_iter();
        if let Some((key, found)) = shares.find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return wrong(key, found.to_string(), "a share from 0 to 1");
        }
        Ok(())
    }
}

/// Lets the system drive, without the safety layer but for its lapses, and records. `stop` ends it: episodes
/// that are under way are forgotten, those before are whole. `told` hears of every episode that was recorded.
pub(crate) fn record(
    config: &DrivingConfig,
    run: &ScoreRun<'_>,
    options: &OnPolicyConfig,
    out: &Path,
    stop: &AtomicBool,
    told: &mut dyn FnMut(&Recorded),
) -> Result<Recorded, TaskError> {
    options.check()?;
    let config = DrivingConfig {
        // It is asked in lapses alone.
        safety: true,
        navsim: false,
        films: 0,
        ..config.clone()
    };
    let shares = Shares {
        expert: options.expert_share,
        lapse: options.lapse_share,
    };
    let fleet = Fleet::recording(&config, run, shares)?;
    let all = (0..options.episodes).map_while(|n| episode(&options.families, options.seed, n));
    let all: Vec<EpisodeId> = all.collect();
    let mut found = Recorded::default();
    let Some(&first) = all.first() else {
        return Ok(found);
    };
    let drive = json!({
        "families": options.families,
        "episodes": options.episodes,
        "seed": options.seed,
        "expert_share": options.expert_share,
        "lapse_share": options.lapse_share,
    });
    let mut recorder = recorder(out, fleet.env(), first, drive)?;
    for group in all.chunks(SIDE_BY_SIDE) {
        let Some(rides) = fleet.rides(run.graph, group, 0, Some(stop))? else {
            break;
        };
        for (mut ride, &episode) in rides.into_iter().zip(group) {
            let frames = without_standstill(ride.take_frames());
            found.episodes += 1;
            found.frames += frames.len();
            for frame in frames {
                recorder.push(frame)?;
            }
            recorder.end_episode(&task(episode))?;
            let output = ride.output()?;
            found.succeeded += usize::from(output.is_some_and(|output| output.score.success));
            told(&found);
        }
    }
    found.stopped = stop.load(Ordering::Relaxed) && found.episodes < all.len();
    recorder.finish()?;
    Ok(found)
}
