//! Traffic lights with a fixed programme.

use serde::{Deserialize, Serialize};

/// What a light shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LightState {
    Green,
    Yellow,
    Red,
}

/// A light that is green once a cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LightProgram {
    /// Seconds.
    pub cycle: f64,
    /// Seconds into the cycle at which green begins.
    pub start: f64,
    /// Seconds of green and of the yellow behind it.
    pub green: f64,
    pub yellow: f64,
}

impl LightProgram {
    /// What the light shows at a time, seconds.
    pub fn state(&self, time: f64) -> LightState {
        let phase = (time - self.start).rem_euclid(self.cycle);
        if phase < self.green {
            LightState::Green
        } else if phase < self.green + self.yellow {
            LightState::Yellow
        } else {
            LightState::Red
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_then_yellow_then_red() {
        let light = LightProgram {
            cycle: 20.0,
            start: 15.0,
            green: 7.0,
            yellow: 2.0,
        };
        let states = [14.9, 15.0, 21.9, 22.0, 24.0, 34.9, 35.0].map(|t| light.state(t));
        use LightState::{Green, Red, Yellow};
        assert_eq!(states, [Red, Green, Green, Yellow, Red, Red, Green]);
    }
}
