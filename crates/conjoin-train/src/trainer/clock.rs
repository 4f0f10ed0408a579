//! Where the time of a stage goes.

use crate::Event;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Seconds by kind of work.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub forward: BTreeMap<String, f64>,
    pub backward: f64,
    pub optimiser: f64,
    pub data: f64,
    pub evaluation: f64,
    pub checkpoint: f64,
}

impl Clock {
    /// Adds the forward times of a pass.
    pub fn add_forward(&mut self, seconds: &[(String, Duration)]) {
        for (node, duration) in seconds {
            *self.forward.entry(node.clone()).or_default() += duration.as_secs_f64();
        }
    }

    pub fn event(&self, stage: &str) -> Event {
        Event::Timing {
            stage: stage.to_owned(),
            forward: self.forward.clone(),
            backward: self.backward,
            optimiser: self.optimiser,
            data: self.data,
            evaluation: self.evaluation,
            checkpoint: self.checkpoint,
        }
    }
}

/// Runs a function and adds its time to `total`.
pub(super) fn timed<T>(total: &mut f64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    *total += begun.elapsed().as_secs_f64();
    result
}
