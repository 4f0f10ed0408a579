//! The state of an episode and its steps.

use super::actor::{Body, Car, Pedestrian};
use super::map::{LightState, Path, RoadMap};
use super::scene::Scene;
use super::vehicle::{Control, EgoState, LENGTH, REAR_TO_CENTRE, STEP, WIDTH};
use crate::geometry::Vec2;
use crate::random::WorldRng;
use std::sync::Arc;

/// The ego's number among the bodies.
pub const EGO: u32 = 0;

/// An episode at one moment. Copies are cheap: what never changes is shared.
#[derive(Debug, Clone)]
pub struct World {
    pub scene: Arc<Scene>,
    /// Steps of 0.1 s since the start.
    pub tick: u32,
    pub ego: EgoState,
    /// Arc length of the ego's middle on its route, and offset to it.
    pub ego_s: f64,
    pub ego_d: f64,
    pub cars: Vec<Car>,
    pub pedestrians: Vec<Pedestrian>,
    pub(crate) rng: WorldRng,
}

impl World {
    pub fn map(&self) -> &RoadMap {
        self.scene.map()
    }

    pub fn route(&self) -> &Path {
        &self.scene.route
    }

    /// Seconds since the start.
    pub fn time(&self) -> f64 {
        f64::from(self.tick) * STEP
    }

    /// The ego as others see it.
    pub fn ego_body(&self) -> Body {
        Body {
            id: EGO,
            kind: super::actor::ActorKind::Vehicle,
            footprint: self.ego.footprint(),
            velocity: Vec2::unit(self.ego.pose.heading) * self.ego.speed,
            height: 1.5,
        }
    }

    /// Cars and people, without the ego and what never moves.
    pub fn actors(&self) -> Vec<Body> {
        let cars = self.cars.iter().filter(|car| !car.away);
        let cars = cars.map(|car| car.body(&self.scene.paths()[car.path]));
        cars.chain(self.pedestrians.iter().map(Pedestrian::body))
            .collect()
    }

    /// The next light on the ego's route: metres from its front to the stop line, and what it shows.
    pub fn next_light(&self) -> Option<(f64, LightState)> {
        let front = self.ego_s + LENGTH / 2.0;
        let next = self
            .route()
            .lights
            .iter()
            .find(|&&(s, _)| s > front - 1.0)?;
        let state = self.map().lights[next.1].state(self.time());
        Some((next.0 - front, state))
    }

    /// Share of the way from start to goal that is done.
    pub fn completion(&self) -> f64 {
        let way = self.scene.goal - self.scene.start;
        ((self.ego_s - self.scene.start) / way).clamp(0.0, 1.0)
    }

    /// The ego's control for a step, then everybody else.
    pub fn step(&mut self, control: Control) {
        self.ego = self.ego.step(control);
        self.locate_ego();
        super::traffic::step(self);
        self.tick += 1;
    }

    /// Places the ego on its route near where it was before: a route may pass a place twice.
    pub(crate) fn locate_ego(&mut self) {
        let line = &self.scene.route.line;
        let centre = self.ego.centre();
        let on = line.project_between(centre, self.ego_s - 15.0, self.ego_s + 15.0);
        (self.ego_s, self.ego_d) = (on.s, on.d);
    }

    /// The ego's place as a driver on its route, in a corridor around an offset.
    pub(crate) fn ego_place(&self, offset: f64) -> super::perceive::Place<'_> {
        super::perceive::Place {
            path: self.route(),
            s: self.ego_s,
            corridor: (offset - WIDTH / 2.0 - 0.2, offset + WIDTH / 2.0 + 0.2),
            half_length: LENGTH / 2.0,
            speed: self.ego.speed,
        }
    }

    /// The first actor whose footprint touches the ego's.
    pub fn collision(&self) -> Option<Body> {
        let own = self.ego.footprint();
        let actors = self.actors().into_iter();
        let statics = self.scene.statics();
        actors
            .chain(statics)
            .find(|body| body.footprint.intersects(&own))
    }

    /// How far the middle of the ego is ahead of its rear axle.
    pub const MIDDLE: f64 = REAR_TO_CENTRE;
}
