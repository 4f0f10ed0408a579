//! What the layer never exceeds and what it assumes of others. Metres, seconds, radians.

/// Limits and assumptions. All are positive but [`Limits::brake`], which is negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Least acceleration, m/s^2.
    pub brake: f64,
    /// Greatest acceleration, m/s^2.
    pub throttle: f64,
    /// Greatest change of the acceleration, m/s^3.
    pub jerk: f64,
    /// Greatest lateral acceleration, speed squared times curvature, m/s^2.
    pub lateral: f64,
    /// Greatest curvature, 1/m.
    pub curvature: f64,
    /// Greatest change of the curvature, 1/(m s). The limit on lateral acceleration goes before it.
    pub curvature_rate: f64,
    /// Greatest speed that is believed, m/s.
    pub speed: f64,
    /// Greatest distance that is believed, m.
    pub range: f64,
    /// An input older than this is stale, microseconds.
    pub age: u64,
    /// The longest time between two calls, microseconds; after a longer one the input counts as
    /// missing. Age and cycle together are the time within which a minimal-risk stop begins.
    pub cycle: u64,
    /// Front bumper, ahead of the vehicle's origin, m.
    pub front: f64,
    /// Rear bumper, behind the origin, m.
    pub rear: f64,
    /// Half of the vehicle's width, m.
    pub half_width: f64,
    /// Distance kept to anything from walking pace on, m.
    pub margin: f64,
    /// Distance kept by a vehicle that hardly moves, m. Between the two it grows with the speed.
    pub least_margin: f64,
    /// Walking pace, m/s.
    pub walk: f64,
    /// Greatest deceleration of others, m/s^2.
    pub others_brake: f64,
    /// Greatest lateral acceleration of others, m/s^2.
    pub others_lateral: f64,
    /// Greatest curvature of the ways of others that have wheels, 1/m.
    pub others_curvature: f64,
    /// How far ahead others' lateral movement is looked at, s.
    pub horizon: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            brake: -3.5,
            throttle: 2.0,
            jerk: 8.0,
            lateral: 3.0,
            curvature: 0.2,
            curvature_rate: 0.4,
            speed: 60.0,
            range: 500.0,
            age: 80_000,
            cycle: 20_000,
            front: 3.8,
            rear: 1.0,
            half_width: 1.0,
            margin: 0.5,
            least_margin: 0.1,
            walk: 2.0,
            others_brake: 8.0,
            others_lateral: 1.0,
            others_curvature: 0.2,
            horizon: 1.0,
        }
    }
}
