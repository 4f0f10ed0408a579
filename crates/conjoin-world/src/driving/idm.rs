//! Following and changing lanes: the Intelligent Driver Model and MOBIL.

/// Parameters of the Intelligent Driver Model (Treiber, Hennecke and Helbing 2000).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idm {
    /// Share of the allowed speed that is driven.
    pub eagerness: f64,
    /// Time gap, s.
    pub headway: f64,
    /// Gap at standstill, m.
    pub gap: f64,
    /// m/s².
    pub acceleration: f64,
    /// Comfortable braking, m/s².
    pub braking: f64,
}

impl Default for Idm {
    fn default() -> Self {
        Self {
            eagerness: 1.0,
            headway: 1.2,
            gap: 2.0,
            acceleration: 1.5,
            braking: 2.5,
        }
    }
}

/// Something ahead: the way until it is touched, m, and its speed along the way, m/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lead {
    pub gap: f64,
    pub speed: f64,
}

impl Lead {
    /// Whichever asks for more distance.
    pub fn nearer(self, other: Option<Self>) -> Self {
        match other {
            Some(o)
                if o.gap + o.speed * o.speed / 6.0 < self.gap + self.speed * self.speed / 6.0 =>
            {
                o
            }
            _ => self,
        }
    }
}

impl Idm {
    /// Acceleration at a speed, where `allowed` may be driven and `lead` is ahead; m/s², at least -8.
    pub fn accelerate(&self, speed: f64, allowed: f64, lead: Option<Lead>) -> f64 {
        let wanted = (allowed * self.eagerness).max(0.1);
        let free = if speed <= wanted {
            self.acceleration * (1.0 - (speed / wanted).powi(4))
        } else {
            // Above the wanted speed: brake in proportion, not with the fourth power.
            -self.braking * (1.0 - wanted / speed) * 2.0
        };
        let close = lead.map_or(0.0, |lead| {
            let approach =
                speed * (speed - lead.speed) / (2.0 * (self.acceleration * self.braking).sqrt());
            let distance = self.gap + (speed * self.headway + approach).max(0.0);
            self.acceleration * (distance / lead.gap.max(0.1)).powi(2)
        });
        (free - close).max(-8.0)
    }
}

/// Whether a change of lane is worth it and safe (MOBIL: Kesting, Treiber and Helbing 2007), from
/// the accelerations of the changer and of the new follower before and after.
pub fn mobil(own: (f64, f64), follower: (f64, f64)) -> bool {
    const POLITENESS: f64 = 0.3;
    const THRESHOLD: f64 = 0.3;
    const SAFE: f64 = -2.5;
    follower.1 > SAFE
        && own.1 > SAFE
        && own.1 - own.0 + POLITENESS * (follower.1 - follower.0) > THRESHOLD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platoon_settles_at_the_equilibrium_gap() {
        let idm = Idm::default();
        let (mut lead, mut own, mut speed) = (60.0, 0.0, 12.0);
        for _ in 0..3000 {
            let found = Some(Lead {
                gap: lead - own,
                speed: 8.0,
            });
            speed += idm.accelerate(speed, 12.0, found) * 0.1;
            own += speed * 0.1;
            lead += 8.0 * 0.1;
        }
        // Equilibrium of the model: (s0 + v T) / sqrt(1 - (v / v0)^4).
        let gap = (2.0 + 8.0 * 1.2) / (1.0 - (8.0_f64 / 12.0).powi(4)).sqrt();
        assert!((lead - own - gap).abs() < 0.05, "{} {gap}", lead - own);
    }

    #[test]
    fn lanes_are_changed_for_gain_and_never_into_danger() {
        assert!(mobil((-1.0, 1.0), (0.5, 0.2)));
        assert!(!mobil((-1.0, 1.0), (0.5, -3.0)));
        assert!(!mobil((0.9, 1.0), (0.5, 0.5)));
    }
}
