//! Options of the planner.

use crate::node::NodeError;
use conjoin_nn::qp_planner::{Penalty, PlannerOptions, Vehicle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A planner: keeps the limits of the vehicle, and as far as it can a distance to walls, agents and what else is
/// predicted to be in the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QpPlannerConfig {
    /// Seconds a step.
    pub step: f64,
    /// Least and greatest acceleration, m/s^2. Never exceeded.
    pub acceleration: [f64; 2],
    /// Greatest change of acceleration, m/s^3. Never exceeded.
    pub jerk: f64,
    /// Greatest lateral acceleration, m/s^2. Never exceeded.
    pub lateral: f64,
    /// Greatest curvature, 1/m. Never exceeded.
    pub curvature: f64,
    /// Greatest change of curvature, 1/(m s). Never exceeded.
    pub curvature_rate: f64,
    /// The vehicle's length, m.
    pub length: f64,
    /// The vehicle's width, m.
    pub width: f64,
    /// From the rear axle to the middle of the vehicle's length, m.
    pub centre: f64,
    /// Between the axles, m.
    pub wheelbase: f64,
    /// The most circles that cover the vehicle or an agent.
    pub circles: usize,
    /// The most agents that are kept clear of: those that come nearest.
    pub obstacles: usize,
    /// Agents whose presence is less are left out.
    pub threshold: f64,
    /// What is kept more before agents that stand on the route, straight ahead, m: room to pull out (the `s0`
    /// of an intelligent driver). A vehicle slower than 2 m/s keeps less of it, one that stands none.
    pub standoff: f64,
    /// From the route to the walls at its sides, m.
    pub corridor: f64,
    /// Metres of the ego frame that the cells of `occupancy` and `road` cover: x from, x to, y from, y to.
    pub extent: [f64; 4],
    /// Seconds from now of each of the times of `occupancy`.
    pub occupancy_times: Vec<f64>,
    /// The most cells of `occupancy` that are kept clear of: those that come nearest and are no agent's.
    pub cells: usize,
    /// Cells whose probability is less are left out.
    pub occupancy_threshold: f64,
    /// The gap to keep from a cell that is surely taken, m; others have as much of it as their probability.
    pub occupancy_margin: f64,
    /// What the front corners keep of the road, m, where `road` is wired.
    pub road_margin: f64,
    /// What each metre costs by which a wall or an agent is too near, in the cost's units: as long as they can
    /// be kept at less, they are.
    pub penalty: f64,
    /// By how much that grows with each metre.
    pub penalty_growth: f64,
    /// Smooth the plan by a barrier of this parameter, so that limits which hold it let gradient through
    /// (default: the plan itself).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relax: Option<f64>,
    /// Whether gradient flows back through the plan.
    pub gradient: bool,
}

impl Default for QpPlannerConfig {
    fn default() -> Self {
        let options = PlannerOptions::default();
        let vehicle = options.vehicle;
        Self {
            step: vehicle.dt,
            acceleration: vehicle.acceleration,
            jerk: vehicle.jerk,
            lateral: vehicle.lateral,
            curvature: vehicle.curvature,
            curvature_rate: vehicle.curvature_rate,
            length: vehicle.length,
            width: vehicle.width,
            centre: vehicle.centre,
            wheelbase: options.wheelbase,
            circles: vehicle.circles,
            obstacles: options.obstacles,
            threshold: options.threshold,
            standoff: options.standoff,
            corridor: options.corridor,
            extent: [-8.0, 40.0, -24.0, 24.0],
            occupancy_times: vec![0.0, 0.5, 1.0, 2.0],
            cells: options.cells,
            occupancy_threshold: options.occupancy_threshold,
            occupancy_margin: options.occupancy_margin,
            road_margin: options.road_margin,
            penalty: vehicle.penalty.linear,
            penalty_growth: vehicle.penalty.quadratic,
            relax: options.relax,
            gradient: options.gradient,
        }
    }
}

impl QpPlannerConfig {
    /// The module's options, or what makes no sense.
    pub(super) fn options(&self) -> Result<PlannerOptions, NodeError> {
        let refuse = |message: String| Err(NodeError::Options(message));
        for (option, found) in [
            ("step", self.step),
            ("jerk", self.jerk),
            ("lateral", self.lateral),
            ("curvature", self.curvature),
            ("curvature_rate", self.curvature_rate),
            ("length", self.length),
            ("width", self.width),
            ("wheelbase", self.wheelbase),
            ("corridor", self.corridor),
            ("penalty", self.penalty),
            ("penalty_growth", self.penalty_growth),
            ("relax", self.relax.unwrap_or(1.0)),
        ] {
            if !(found.is_finite() && found > 0.0) {
                return refuse(format!("{option}: expected more than 0, found {found}"));
            }
        }
        let [least, most] = self.acceleration;
        if !(least.is_finite() && most.is_finite() && least < 0.0 && most > 0.0) {
            return refuse(format!(
                "acceleration: expected the least, below 0, and the greatest, above 0, \
                 found [{least}, {most}]"
            ));
        }
        if self.centre.is_nan() || self.centre.abs() > self.length {
            return refuse(format!(
                "centre: expected a place within a length of the rear axle, found {} m for a vehicle of {} m",
                self.centre, self.length
            ));
        }
        for (option, found) in [
            ("standoff", self.standoff),
            ("occupancy_margin", self.occupancy_margin),
            ("road_margin", self.road_margin),
        ] {
            if !(found.is_finite() && found >= 0.0) {
                return refuse(format!("{option}: expected 0 or more, found {found}"));
            }
        }
        for (option, found) in [
            ("threshold", self.threshold),
            ("occupancy_threshold", self.occupancy_threshold),
        ] {
            if !(0.0..=1.0).contains(&found) {
                return refuse(format!(
                    "{option}: expected a number from 0 to 1, found {found}"
                ));
            }
        }
        if let Some(time) = (self.occupancy_times.iter()).find(|t| !(t.is_finite() && **t >= 0.0)) {
            return refuse(format!(
                "occupancy_times: expected seconds of 0 or more, found {time}"
            ));
        }
        let [x0, x1, y0, y1] = self.extent;
        if !(x0 < x1 && y0 < y1 && self.extent.iter().all(|at| at.is_finite())) {
            return refuse(format!(
                "extent: expected x from, x to, y from, y to, each from below its to, found {:?}",
                self.extent
            ));
        }
        if !(1..=8).contains(&self.circles) {
            return refuse(format!("circles: expected 1 to 8, found {}", self.circles));
        }
        Ok(PlannerOptions {
            vehicle: Vehicle {
                dt: self.step,
                acceleration: self.acceleration,
                jerk: self.jerk,
                curvature: self.curvature,
                curvature_rate: self.curvature_rate,
                lateral: self.lateral,
                length: self.length,
                width: self.width,
                centre: self.centre,
                circles: self.circles,
                penalty: Penalty {
                    linear: self.penalty,
                    quadratic: self.penalty_growth,
                },
            },
            wheelbase: self.wheelbase,
            obstacles: self.obstacles,
            threshold: self.threshold,
            standoff: self.standoff,
            corridor: self.corridor,
            cells: self.cells,
            occupancy_threshold: self.occupancy_threshold,
            occupancy_margin: self.occupancy_margin,
            road_margin: self.road_margin,
            relax: self.relax,
            gradient: self.gradient,
        })
    }
}
