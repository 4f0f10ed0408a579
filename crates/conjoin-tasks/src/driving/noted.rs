//! What is recorded of a drive, and who drives while it is.
//!
//! Whose drives are recorded does not drive all the time. The expert takes over now and then, so that an episode
//! goes on behind the place where the system fails. And now and then the system has a lapse, in which it does not
//! brake before the safety layer does: noise that leads to where it is needed (Laskey et al. 2017, "DART: Noise
//! Injection for Robust Imitation Learning", where noise is like the learner's own errors).

use conjoin_data::lerobot::Frame;
use conjoin_world::driving::scene::EpisodeId;
use conjoin_world::driving::vehicle::Control;

/// Steps in which the same one drives: of the expert's turns, and of lapses, which are long enough to come from where
/// a vehicle that stands is first seen to where only the safety layer stops.
const TURN: usize = 10;
const LAPSE: usize = 30;

/// Multiples of these, modulo 1, are spread evenly, and not alike.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
const ROOT_2: f64 = std::f64::consts::SQRT_2 - 1.0;

/// The expert's control among a frame's features.
const ACTION: &str = "action";

/// Shares of the time, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shares {
    /// In which the expert drives, where there is no lapse.
    pub expert: f64,
    /// In which nobody brakes before the safety layer does.
    pub lapse: f64,
}

/// Who drives at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Who {
    /// What was planned is driven as it is.
    System,
    /// What the expert would do now.
    Expert(Control),
    /// The wheel follows the plan, the brakes the safety layer.
    Nobody,
}

/// What was seen of an episode, and who drives when.
pub(super) struct Noted {
    frames: Vec<Frame>,
    shares: Shares,
    /// Where in the cycle of shares the first turn is, 0 to 1.
    phase: f64,
}

impl Noted {
    pub fn new(shares: Shares, episode: EpisodeId) -> Self {
        Self {
            frames: Vec::new(),
            shares,
            // Any number that differs between episodes.
            phase: (episode.seed % 997) as f64 / 997.0,
        }
    }

    pub fn add(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    /// All that was seen.
    pub fn frames(self) -> Vec<Frame> {
        self.frames
    }

    /// Who drives at a step, whose frame was added.
    pub fn who(&self, step: usize) -> Who {
        if self.is_in(self.shares.lapse, step / LAPSE, ROOT_2) {
            return Who::Nobody;
        }
        let expert = self.is_in(self.shares.expert, step / TURN, GOLDEN);
        let control = self.expert().filter(|_| expert);
        control.map_or(Who::System, Who::Expert)
    }

    fn is_in(&self, share: f64, turn: usize, ratio: f64) -> bool {
        (self.phase + turn as f64 * ratio).fract() < share
    }

    /// What the expert would do now.
    fn expert(&self) -> Option<Control> {
        let [acceleration, steering] = self.frames.last()?.values.get(ACTION)?[..] else {
            return None;
        };
        Some(Control {
            acceleration: f64::from(acceleration),
            steering: f64::from(steering),
        })
    }
}

/// A control without its brakes.
pub(super) fn unbraked(control: Control) -> Control {
    Control {
        acceleration: control.acceleration.max(0.0),
        ..control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPERTS: Control = Control {
        acceleration: -1.5,
        steering: 0.25,
    };

    fn noted(expert: f64, lapse: f64, phase: f64) -> Noted {
        let action = vec![EXPERTS.acceleration as f32, EXPERTS.steering as f32];
        let frame = Frame {
            values: [(ACTION.to_owned(), action)].into(),
            ..Frame::default()
        };
        Noted {
            frames: vec![frame],
            shares: Shares { expert, lapse },
            phase,
        }
    }

    fn share(steps: &[Who], who: Who) -> f64 {
        steps.iter().filter(|&&found| found == who).count() as f64 / steps.len() as f64
    }

    #[test]
    fn each_has_its_share_in_whole_turns() {
        let cases = [(0.0, 0.4), (0.3, 0.0), (0.3, 0.77), (1.0, 0.2)];
        for (expert, phase) in cases {
            for lapse in [0.0, 0.2, 1.0] {
                let noted = noted(expert, lapse, phase);
                let steps: Vec<Who> = (0..1800).map(|step| noted.who(step)).collect();
                let lapses = share(&steps, Who::Nobody);
                assert!((lapses - lapse).abs() < 0.03, "{lapse}: {lapses}");
                // Lapses come at any time of the expert's.
                let experts = share(&steps, Who::Expert(EXPERTS));
                let left = expert * (1.0 - lapse);
                assert!((experts - left).abs() < 0.04, "{left}: {experts}");
                let whole = |turn: &[Who]| turn.iter().all(|&who| who == turn[0]);
                assert!(steps.chunks(TURN).all(whole));
                let lapse = |turn: &[Who]| turn.contains(&Who::Nobody);
                let turns = steps.chunks(LAPSE);
                assert!(turns.filter(|turn| lapse(turn)).all(whole));
            }
        }
    }

    #[test]
    fn where_the_expert_says_nothing_the_system_drives() {
        let mut noted = noted(1.0, 0.0, 0.2);
        noted.frames.clear();
        assert_eq!(noted.who(0), Who::System);
    }

    #[test]
    fn brakes_are_taken_away_and_nothing_else() {
        let gentle = Control {
            acceleration: 0.7,
            steering: -0.1,
        };
        assert_eq!(unbraked(gentle), gentle);
        let steering = EXPERTS.steering;
        let acceleration = 0.0;
        let expected = Control {
            acceleration,
            steering,
        };
        assert_eq!(unbraked(EXPERTS), expected);
    }
}
