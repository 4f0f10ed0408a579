//! Values that move with the step: learning rates and shares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How a learning rate moves over a stage, as a factor of its peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The curve after the warm-up.
    #[serde(default)]
    pub kind: ScheduleKind,
    /// Steps over which the factor rises linearly from 0 (`noam`, `inverse-sqrt`: to where the curve
    /// begins to fall).
    #[serde(default)]
    pub warmup: u64,
    /// Factor at the end (`cosine`, `linear`).
    #[serde(default)]
    pub end: f64,
    /// Steps between drops (`step`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Factor of each drop (`step`).
    #[serde(default = "tenth")]
    pub gamma: f64,
    /// Features of the model (`noam`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
}

fn tenth() -> f64 {
    0.1
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup: 0,
            end: 0.0,
            every: None,
            gamma: tenth(),
            size: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Stays at the peak.
    #[default]
    Constant,
    /// Half a cosine from the peak to `end` (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// A straight line from the peak to `end`.
    Linear,
    /// Multiplied by `gamma` every `every` steps.
    Step,
    /// Falls with the square root of the step: `sqrt(warmup / step)` (fairseq's `inverse_sqrt`); does
    /// not depend on the stage's length. Wants `warmup`.
    InverseSqrt,
    /// `size^-0.5 * min(step^-0.5, step * warmup^-1.5)` (Vaswani et al. 2017, equation 3): the same
    /// curve with a height that follows from the model's size, so that `lr` is a factor, such as 1 or
    /// 2. Wants `warmup` and `size`.
    Noam,
}

impl ScheduleConfig {
    /// The factor for a step (counted from 0) of a stage of `total` steps. In (0, 1].
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        // Noam has a warm-up of its own.
        if step < self.warmup && self.kind != ScheduleKind::Noam {
            return (step + 1) as f64 / self.warmup as f64;
        }
        let span = total.saturating_sub(self.warmup).max(1);
        let done = (step.saturating_sub(self.warmup) as f64 / span as f64).min(1.0);
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Cosine => self.end + (1.0 - self.end) * 0.5 * (1.0 + (PI * done).cos()),
            ScheduleKind::Linear => 1.0 + (self.end - 1.0) * done,
            ScheduleKind::Step => {
                let drops = (step - self.warmup) / self.every.unwrap_or(span).max(1);
                self.gamma.powi(i32::try_from(drops).unwrap_or(i32::MAX))
            }
            ScheduleKind::InverseSqrt => (self.warmup.max(1) as f64 / (step + 1) as f64).sqrt(),
            ScheduleKind::Noam => {
                let (count, warmup) = ((step + 1) as f64, self.warmup.max(1) as f64);
                let height = (self.size.unwrap_or(1).max(1) as f64).powf(-0.5);
                height * count.powf(-0.5).min(count * warmup.powf(-1.5))
            }
        }
    }
}

/// A share that moves from `start` to `end` between two points of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampConfig {
    /// The curve.
    #[serde(default)]
    pub kind: RampKind,
    /// Share before and at `from`.
    #[serde(default)]
    pub start: f64,
    /// Share at and after `until`.
    #[serde(default = "quarter")]
    pub end: f64,
    /// Fraction of the stage at which the share begins to move.
    #[serde(default)]
    pub from: f64,
    /// Fraction of the stage at which the share has arrived.
    #[serde(default = "whole")]
    pub until: f64,
}

fn quarter() -> f64 {
    0.25
}

fn whole() -> f64 {
    1.0
}

impl Default for RampConfig {
    fn default() -> Self {
        Self {
            kind: RampKind::Linear,
            start: 0.0,
            end: quarter(),
            from: 0.0,
            until: whole(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RampKind {
    /// A straight line.
    #[default]
    Linear,
    /// `start` until the middle of the ramp, `end` after it.
    Step,
    /// The inverse sigmoid of Bengio et al. 2015, scaled to the ramp.
    Sigmoid,
}

impl RampConfig {
    /// The share at a step of a stage of `total` steps.
    pub fn at(&self, step: u64, total: u64) -> f64 {
        let progress = step as f64 / total.max(1) as f64;
        let span = (self.until - self.from).max(f64::EPSILON);
        let x = ((progress - self.from) / span).clamp(0.0, 1.0);
        let y = match self.kind {
            RampKind::Linear => x,
            RampKind::Step => f64::from(u8::from(x >= 0.5)),
            RampKind::Sigmoid => {
                let s = |x: f64| 1.0 / (1.0 + (-12.0 * (x - 0.5)).exp());
                (s(x) - s(0.0)) / (s(1.0) - s(0.0))
            }
        };
        self.start + (self.end - self.start) * y
    }
}
