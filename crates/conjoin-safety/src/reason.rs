//! Why the layer changed what was asked for.

/// A reason for an intervention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// A fault: there has been no input, or no call, for too long.
    Missing,
    /// A fault: the newest input is too old.
    Stale,
    /// A fault: an input is NaN or infinite.
    NotFinite,
    /// A fault: a measured number lies outside of what is believed.
    OutOfRange,
    /// A fault: time ran backward, or an input comes from the future.
    Clock,
    /// A minimal-risk stop, begun for an earlier fault, goes on.
    Stopping,
    /// Something seen could be hit if the command were followed.
    Detected,
    /// Something that may be hidden could be hit if the command were followed.
    Hidden,
    /// The acceleration asked for was outside of its limits.
    Acceleration,
    /// The acceleration asked for changed too fast.
    Jerk,
    /// The lateral acceleration asked for was too great.
    Lateral,
    /// The curvature asked for was too great.
    Curvature,
    /// The curvature asked for changed too fast.
    CurvatureRate,
}

impl Reason {
    /// All reasons, the gravest first.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::Stale,
        Self::NotFinite,
        Self::OutOfRange,
        Self::Clock,
        Self::Stopping,
        Self::Detected,
        Self::Hidden,
        Self::Acceleration,
        Self::Jerk,
        Self::Lateral,
        Self::Curvature,
        Self::CurvatureRate,
    ];
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    pub(crate) fn insert(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u8;
    }

    /// Whether a reason is among them.
    pub fn has(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u8) != 0
    }

    /// Whether what was asked for was passed on unchanged.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The reasons, the gravest first.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL
            .into_iter()
            .filter(move |reason| self.has(*reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = Reasons::default();
        assert!(set.is_empty());
        set.insert(Reason::Jerk);
        set.insert(Reason::Missing);
        set.insert(Reason::Jerk);
        assert!(!set.is_empty());
        for reason in Reason::ALL {
            let within = matches!(reason, Reason::Jerk | Reason::Missing);
            assert_eq!(set.has(reason), within, "{reason:?}");
        }
        assert!(set.iter().eq([Reason::Missing, Reason::Jerk]));
    }
}
