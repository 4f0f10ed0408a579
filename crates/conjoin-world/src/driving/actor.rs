//! Who is on the road: cars that keep to paths, people that cross.

use super::idm::Idm;
use super::map::{Path, RoadMap};
use super::vehicle::STEP;
use crate::geometry::{Obb, Pose, Vec2};
use serde::{Deserialize, Serialize};

/// What kind of thing a footprint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    Vehicle,
    Pedestrian,
    /// A building, a hedge or a parked van.
    Static,
}

/// An actor as others see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Body {
    pub id: u32,
    pub kind: ActorKind,
    pub footprint: Obb,
    /// m/s in the world.
    pub velocity: Vec2,
    /// Metres.
    pub height: f64,
}

impl Body {
    pub fn speed(&self) -> f64 {
        self.velocity.length()
    }
}

/// A change of lane under way: the offset to the path shrinks from `from` to zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub from: f64,
    pub elapsed: f64,
    /// Seconds.
    pub duration: f64,
}

/// A car that the simulator drives.
#[derive(Debug, Clone)]
pub struct Car {
    pub id: u32,
    /// Index of its path in the scene.
    pub path: usize,
    /// Arc length of its middle on the path.
    pub s: f64,
    /// Offset to the path, positive to the left, and its rate.
    pub d: f64,
    pub drift: f64,
    pub change: Option<Change>,
    pub speed: f64,
    pub acceleration: f64,
    pub idm: Idm,
    pub length: f64,
    pub width: f64,
    pub height: f64,
    /// Never moves.
    pub stopped: bool,
    /// Cuts in before the ego once.
    pub cuts_in: bool,
    /// Brakes hard once when ahead of the ego: m/s² and seconds.
    pub brakes: Option<(f64, f64)>,
    /// Seconds of hard braking left.
    pub braking: f64,
    /// Outside the world until the start of a path is free.
    pub away: bool,
}

impl Car {
    pub fn pose(&self, path: &Path) -> Pose {
        let on = path.line.beside(self.s, self.d);
        Pose {
            at: on.at,
            heading: on.heading + self.drift.atan2(self.speed.max(2.0)),
        }
    }

    pub fn body(&self, path: &Path) -> Body {
        let pose = self.pose(path);
        Body {
            id: self.id,
            kind: ActorKind::Vehicle,
            footprint: Obb::new(pose, self.length, self.width),
            velocity: Vec2::unit(pose.heading) * self.speed,
            height: self.height,
        }
    }

    /// Moves one step at this acceleration, m/s².
    pub fn advance(&mut self, acceleration: f64) {
        let speed = (self.speed + acceleration * STEP).max(0.0);
        self.acceleration = (speed - self.speed) / STEP;
        self.s += f64::midpoint(self.speed, speed) * STEP;
        self.speed = speed;
        self.drift = 0.0;
        if let Some(change) = &mut self.change {
            // Nobody slides sideways while standing.
            change.elapsed += STEP * (speed / 3.0).min(1.0);
            let share = (change.elapsed / change.duration).min(1.0);
            // Smoothstep: no sideways speed at either end.
            let left = change.from * (1.0 - share * share * (3.0 - 2.0 * share));
            self.drift = (left - self.d) / STEP;
            self.d = left;
            if share >= 1.0 {
                self.change = None;
            }
        }
    }
}

/// How long people wait before a car that stands in their way until they turn back, s. Without it they and a driver who
/// keeps off people would wait for each other for good.
const PATIENCE: f64 = 3.0;

/// Someone who crosses the road once, or turns back before a car that does not move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pedestrian {
    pub id: u32,
    pub from: Vec2,
    pub to: Vec2,
    /// Metres walked.
    pub walked: f64,
    /// m/s while walking.
    pub pace: f64,
    /// Sets out when the ego is this far from the crossing, m, or at this time, s.
    pub ego_distance: f64,
    pub at_time: f64,
    pub walking: bool,
    /// Seconds of waiting before a car that stands.
    pub waited: f64,
}

impl Pedestrian {
    /// Metres from side to side of a person.
    pub const SIZE: f64 = 0.6;

    fn direction(&self) -> Vec2 {
        Vec2::unit((self.to - self.from).heading())
    }

    fn way(&self) -> f64 {
        (self.to - self.from).length()
    }

    pub fn position(&self) -> Vec2 {
        self.from + self.direction() * self.walked
    }

    pub fn arrived(&self) -> bool {
        self.walked >= self.way()
    }

    pub fn body(&self) -> Body {
        let direction = self.direction();
        let pose = Pose {
            at: self.position(),
            heading: direction.heading(),
        };
        Body {
            id: self.id,
            kind: ActorKind::Pedestrian,
            footprint: Obb::new(pose, Self::SIZE, Self::SIZE),
            velocity: direction * if self.walking { self.pace } else { 0.0 },
            height: 1.75,
        }
    }

    /// The ground that is taken within the next seconds: what others must keep off. Who waits takes no
    /// more than the place to stand on, or they and the car before them would wait for each other.
    pub fn claim(&self, seconds: f64) -> Option<Body> {
        if self.arrived() || (!self.walking && self.walked == 0.0) {
            return None;
        }
        let mut body = self.body();
        let seconds = if self.walking { seconds } else { 0.0 };
        let ahead = (self.pace * seconds).min(self.way() - self.walked);
        body.footprint.pose.at = body.footprint.pose.at + self.direction() * (ahead / 2.0);
        body.footprint.length += ahead;
        body.velocity = Vec2::default();
        Some(body)
    }

    fn turn_back(&mut self) {
        self.walked = self.way() - self.walked;
        (self.from, self.to) = (self.to, self.from);
        self.waited = 0.0;
    }

    /// Walks one step; sets out when it is time and nobody comes too near, waits before cars.
    pub fn advance(&mut self, time: f64, ego: Vec2, bodies: &[Body]) {
        if self.arrived() {
            self.walking = false;
            return;
        }
        let middle = self.from.lerp(self.to, 0.5);
        if self.walked == 0.0 {
            let due = (ego - middle).length() < self.ego_distance || time >= self.at_time;
            let clear = bodies.iter().all(|body| {
                let away = middle - body.footprint.pose.at;
                let approach = body.velocity.dot(away) / away.length().max(0.1);
                body.kind != ActorKind::Vehicle
                    || approach < 0.5
                    || away.length() > approach * 2.3 + 7.0
            });
            if !(due && clear) {
                return;
            }
        }
        let next = self.position() + self.direction() * 0.9;
        let in_the_way = bodies.iter().find(|body| {
            body.kind == ActorKind::Vehicle && body.footprint.inflated(0.5).contains(next)
        });
        let stands = in_the_way.is_some_and(|body| body.velocity.length() < 0.1);
        // Who had to wait goes on when nobody comes who counts on that.
        let had_to_wait = self.walked > 0.0 && !self.walking;
        let expected = had_to_wait
            && bodies.iter().any(|body| {
                let away = next - body.footprint.pose.at;
                let approach = body.velocity.dot(away) / away.length().max(0.1);
                body.kind == ActorKind::Vehicle
                    && approach > 0.5
                    && away.length() < approach * 2.0 + 4.0
            });
        self.walking = in_the_way.is_none() && !expected;
        if self.walking {
            self.walked += self.pace * STEP;
        }
        self.waited = if stands { self.waited + STEP } else { 0.0 };
        if self.waited > PATIENCE && self.walked > 0.0 {
            self.turn_back();
        }
    }
}

/// The car's lane, and whether it may be left now.
pub fn free_lane(car: &Car, path: &Path, map: &RoadMap) -> Option<usize> {
    let (lane, start) = path.lane_at(car.s);
    let left = start + map.lanes[lane].centre.length() - car.s;
    let steady = car.change.is_none() && !map.lanes[lane].connector;
    (steady && left > 30.0).then_some(lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is about to cross the road from the right.
    fn person() -> Pedestrian {
        Pedestrian {
            id: 1,
            from: Vec2::new(0.0, -5.0),
            to: Vec2::new(0.0, 5.0),
            walked: 0.0,
            pace: 1.4,
            ego_distance: 30.0,
            at_time: 1e9,
            walking: false,
            waited: 0.0,
        }
    }

    /// A car on the road.
    fn car(x: f64, speed: f64) -> Body {
        Body {
            id: 2,
            kind: ActorKind::Vehicle,
            footprint: Obb::new(Pose::new(x, 0.0, 0.0), 4.5, 1.9),
            velocity: Vec2::new(speed, 0.0),
            height: 1.5,
        }
    }

    #[test]
    fn people_wait_for_fast_cars_and_walk_before_slow_ones() {
        let person = person();
        let after = |ego: f64, bodies: &[Body]| {
            let mut person = person;
            for _ in 0..100 {
                person.advance(0.0, Vec2::new(ego, 0.0), bodies);
            }
            person.walked
        };
        assert_eq!(after(-50.0, &[]), 0.0);
        assert_eq!(after(-20.0, &[car(-20.0, 10.0)]), 0.0);
        assert!(after(-20.0, &[car(-20.0, 4.0)]) >= 10.0);
    }

    #[test]
    fn a_car_that_stands_is_not_walked_into_but_turned_back_from() {
        let mut person = person();
        let ego = Vec2::new(-20.0, 0.0);
        let mut walk = |seconds: usize, speed: f64| {
            for _ in 0..10 * seconds {
                person.advance(0.0, ego, &[car(0.0, speed)]);
            }
            person
        };
        let stopped = walk(4, 0.0);
        assert!(stopped.walked > 2.0 && stopped.walked < 3.5 && !stopped.walking);
        // A car that creeps is going to leave the way.
        assert_eq!(walk(6, 0.3).position(), stopped.position());
        let back = walk(7, 0.0);
        assert!(back.arrived() && (back.position() - stopped.from).length() < 0.2);
    }

    #[test]
    fn who_waits_before_a_car_leaves_it_the_road() {
        let mut person = Pedestrian {
            walked: 1.0,
            at_time: 0.0,
            walking: true,
            ..person()
        };
        let away = Vec2::new(-60.0, 0.0);
        assert!(person.claim(1.5).unwrap().footprint.length > 2.0);
        for _ in 0..30 {
            person.advance(1.0, away, &[car(0.0, 0.0)]);
        }
        let claim = person.claim(1.5).unwrap();
        assert!(!person.walking && claim.footprint.length < 0.7);
        assert!(claim.footprint.pose.at.y < -1.5, "{claim:?}");
        // The next car is let through; when it has passed, the way is free.
        let waited = person.walked;
        person.advance(1.0, away, &[car(-12.0, 6.0)]);
        assert_eq!(person.walked, waited);
        person.advance(1.0, away, &[car(12.0, 6.0)]);
        assert!(person.walking && person.walked > waited);
    }
}
