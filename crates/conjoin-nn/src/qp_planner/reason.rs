//! Why a row has no plan.

use conjoin_qp::QpError;
use conjoin_qp::planner::{Bound, PlanError};
use std::fmt;

/// Why nothing was planned and the vehicle brakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An input holds NaN or an infinity.
    NotFinite,
    /// These limits of the vehicle exclude each other from where it is.
    Contradiction(Limits),
    /// The solver did not reach its tolerance.
    NotSolved,
}

/// Kinds of limits, a bit each in the order of [`Self::NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits(u8);

impl Limits {
    /// What the kinds are called, in the order of their bits.
    pub const NAMES: [&str; 5] = [
        "acceleration",
        "curvature",
        "lateral acceleration",
        "jerk",
        "curvature rate",
    ];

    /// The kinds of some bounds. Soft ones are no limits: they contradict nothing.
    fn of(bounds: &[Bound]) -> Self {
        let bit = |bound: &Bound| match bound {
            Bound::Acceleration(..) => 1,
            Bound::Curvature(..) => 1 << 1,
            Bound::Lateral(..) => 1 << 2,
            Bound::Jerk(..) => 1 << 3,
            Bound::CurvatureRate(..) => 1 << 4,
            Bound::Speed(_) | Bound::Corridor(..) | Bound::Edge { .. } | Bound::Gap { .. } => 0,
        };
        Self(bounds.iter().map(bit).fold(0, |all, bit| all | bit))
    }

    /// The names of those that are there.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = Self::NAMES.into_iter().enumerate();
        names.filter_map(move |(bit, name)| (self.0 >> bit & 1 == 1).then_some(name))
    }
}

impl Reason {
    /// The number that a row of [`super::PlannerOutput::reason`] holds, 0 being a plan: 1 to 3 in the order of
    /// the reasons, and above these two bits the limits of a contradiction.
    pub fn number(self) -> u8 {
        match self {
            Self::NotFinite => 1,
            Self::Contradiction(Limits(limits)) => 2 | limits << 2,
            Self::NotSolved => 3,
        }
    }

    /// The reason that a number stands for; none for 0, a plan.
    pub fn from_number(number: f32) -> Option<Self> {
        // What is no number becomes 0.
        let number = number.round() as u8;
        match number & 3 {
            1 => Some(Self::NotFinite),
            2 => Some(Self::Contradiction(Limits(number >> 2))),
            3 => Some(Self::NotSolved),
            _ => None,
        }
    }

    pub(super) fn of(error: &PlanError) -> Self {
        match error {
            PlanError::Contradiction { bounds } => Self::Contradiction(Limits::of(bounds)),
            PlanError::Program(QpError::NotFinite { .. }) => Self::NotFinite,
            PlanError::Program(_) => Self::NotSolved,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => f.write_str("an input of the planner is not finite"),
            Self::Contradiction(limits) => {
                f.write_str("the planner's hard rows contradict each other")?;
                let names: Vec<&str> = limits.names().collect();
                if names.is_empty() {
                    return Ok(());
                }
                write!(f, ": limits of {}", names.join(", "))
            }
            Self::NotSolved => f.write_str("the planner's program was not solved"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conjoin_qp::planner::Side;

    #[test]
    fn numbers_are_read_back() {
        let all = [Reason::NotFinite, Reason::NotSolved];
        let contradictions = (0..32).map(|limits| Reason::Contradiction(Limits(limits)));
        for reason in all.into_iter().chain(contradictions) {
            let number = f32::from(reason.number());
            assert_eq!(Reason::from_number(number), Some(reason));
        }
        assert_eq!(Reason::from_number(0.0), None);
        assert_eq!(Reason::from_number(-1.0), None);
        assert_eq!(Reason::from_number(f32::NAN), None);
    }

    #[test]
    fn a_contradiction_names_its_limits() {
        let bounds = vec![
            Bound::Lateral(3, Side::Upper),
            Bound::CurvatureRate(0, Side::Lower),
            Bound::Lateral(2, Side::Upper),
            Bound::Jerk(1, Side::Lower),
        ];
        let reason = Reason::of(&PlanError::Contradiction { bounds });
        assert_eq!(
            reason.to_string(),
            "the planner's hard rows contradict each other: limits of lateral acceleration, jerk, curvature rate"
        );
        // What an older planner says names none.
        assert_eq!(
            Reason::from_number(2.0).unwrap().to_string(),
            "the planner's hard rows contradict each other"
        );
    }
}
