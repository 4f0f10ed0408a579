//! Proposals of the expert: the bicycle driven forward along its route, at an offset and a speed, against
//! what the others will do.

use super::actor::Body;
use super::idm::{Idm, Lead};
use super::map::Path;
use super::perceive::{Place, Rival, give_way, stop_line};
use super::score::STATES;
use super::traffic::BERTH;
use super::vehicle::{Control, EgoState, LENGTH, MAX_STEERING, STEP, WIDTH, pursue};
use super::world::World;
use crate::geometry::{Vec2, wrap_angle};

/// A body as the route sees it at one time.
pub(super) struct OnRoute {
    pub s: f64,
    pub d: f64,
    pub long: f64,
    pub wide: f64,
    /// Along the route, m/s.
    pub speed: f64,
    /// Metres that are kept before it so that there is room to pull out.
    pub berth: f64,
}

/// What all proposals are driven against.
pub(super) struct Seen<'a> {
    /// Who is on the route, at steps of 0.1 s.
    pub frames: &'a [Vec<OnRoute>],
    /// Who may have to be given way to, now.
    pub rivals: &'a [Rival<'a>],
}

impl Seen<'_> {
    /// Whether somebody has to be given way to now.
    pub fn must_wait(&self, world: &World) -> bool {
        give_way(
            &world.ego_place(0.0),
            world.map(),
            world.time(),
            self.rivals,
        )
        .is_some()
    }

    /// Whether a car that stays where it is stands just ahead.
    pub fn is_blocked(&self, world: &World) -> bool {
        const NEAR: f64 = 5.0;
        let front = world.ego_s + LENGTH / 2.0;
        self.frames.first().is_some_and(|bodies| {
            bodies.iter().any(|body| {
                let gap = body.s - body.long - front;
                let aside = (body.d - world.ego_d).abs();
                body.berth > 0.0 && (-1.0..NEAR).contains(&gap) && aside < body.wide + WIDTH / 2.0
            })
        })
    }
}

/// The body on the route, if it is near it.
pub(super) fn on_route(world: &World, body: &Body) -> Option<OnRoute> {
    let line = &world.route().line;
    let centre = body.footprint.pose.at;
    if (centre - world.ego.pose.at).length() > 90.0 {
        return None;
    }
    let on = line.project_between(centre, world.ego_s - 10.0, world.ego_s + 90.0);
    if on.d.abs() > 12.0 {
        return None;
    }
    let along = line.at(on.s).heading;
    let (long, wide) = body
        .footprint
        .half_extents(wrap_angle(body.footprint.pose.heading - along));
    let stays = world
        .cars
        .iter()
        .any(|car| car.id == body.id && car.stopped);
    Some(OnRoute {
        berth: if stays { BERTH } else { 0.0 },
        s: on.s,
        d: on.d,
        long,
        wide,
        speed: Vec2::unit(along).dot(body.velocity).max(0.0),
    })
}

/// A way from the present offset to another, smooth over some distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    s: f64,
    from: f64,
    to: f64,
    length: f64,
}

impl Profile {
    /// A way from where the ego is.
    pub fn new(world: &World, to: f64) -> Self {
        let (from, speed) = (world.ego_d, world.ego.speed);
        let share = (to - from).abs().clamp(0.3, 3.5) / 3.5;
        Self {
            s: world.ego_s,
            from,
            to,
            length: (2.4 * speed).max(9.0) * share,
        }
    }

    /// A way of this length that a vehicle which hardly moves takes round what stands before it, from the rear
    /// axle on.
    pub fn tight(world: &World, to: f64, length: f64) -> Self {
        Self {
            s: world.ego_s - World::MIDDLE,
            length,
            ..Self::new(world, to)
        }
    }

    /// Whether the wheel stays turned all the way: less than half of the offset is gone to, and the vehicle does
    /// not yet stand across.
    fn turns(&self, state: &EgoState, route: &Path, s: f64) -> bool {
        const ACROSS: f64 = 1.0;
        let on = route.line.project_between(state.centre(), s - 2.0, s + 6.0);
        let across = wrap_angle(state.pose.heading - route.line.at(on.s).heading);
        let way = self.to - self.from;
        (self.to - on.d) * way.signum() > self.to.abs() / 2.0 && across * way.signum() < ACROSS
    }

    /// Whether the ego is on it.
    pub fn is_kept(&self, world: &World) -> bool {
        (self.at(world.ego_s) - world.ego_d).abs() < 0.6
    }

    fn at(&self, s: f64) -> f64 {
        let share = ((s - self.s) / self.length).clamp(0.0, 1.0);
        self.from + (self.to - self.from) * share * share * (3.0 - 2.0 * share)
    }
}

/// What a proposal tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The way beside the route.
    pub profile: Profile,
    /// Share of the allowed speed.
    pub share: f64,
    /// Acceleration instead of what the situation asks for, m/s².
    pub brake: Option<f64>,
    /// Whether it waits for those who have the right of way.
    pub waits: bool,
    /// Whether the wheel is turned all the way until the offset is half gone to.
    pub locked: bool,
}

/// Drives the bicycle forward: pure pursuit of the line at the offset, IDM behind whoever is in the way.
pub(super) fn propose(world: &World, seen: &Seen, wish: Wish) -> (Vec<EgoState>, Control) {
    let Wish {
        profile,
        share,
        brake,
        waits,
        locked,
    } = wish;
    let route = world.route();
    // Whoever pulls out passes closer than one who stays behind.
    let changes = (profile.to - world.ego_d).abs() > 1.0;
    let arrived = Profile {
        from: profile.to,
        ..profile
    };
    let mut states = vec![world.ego];
    let mut first = Control::default();
    let (mut state, mut s) = (world.ego, world.ego_s);
    for (t, frame) in seen.frames[..STATES - 1].iter().enumerate() {
        let turning = locked && profile.turns(&state, route, s);
        let steering = if turning {
            MAX_STEERING.copysign(profile.to - profile.from)
        } else {
            follow(&state, route, s, |s| profile.at(s))
        };
        // Whether a tight turn passes who stands ahead is left to the scores.
        let mut ahead = frame_lead(frame, if locked { &arrived } else { &profile }, s, changes);
        let time = world.time() + t as f64 * STEP;
        let place = Place {
            path: route,
            s,
            corridor: (0.0, 0.0),
            half_length: LENGTH / 2.0,
            speed: state.speed,
        };
        let stops = [
            stop_line(&place, world.map(), time),
            // Who goes first is judged by where they are now; later steps would need their wishes.
            give_way(
                &place,
                world.map(),
                time,
                if t < 5 && waits { seen.rivals } else { &[] },
            ),
        ];
        for stop in stops.into_iter().flatten() {
            ahead = Some(stop.nearer(ahead));
        }
        let idm = Idm {
            eagerness: share.max(1e-3),
            headway: 1.0,
            gap: if changes { 2.0 } else { 4.0 },
            acceleration: 1.8,
            ..Idm::default()
        };
        let allowed = route.speed_at(s, 1.5);
        let mut acceleration = idm.accelerate(state.speed, allowed, ahead);
        if let Some(hard) = brake {
            acceleration = hard;
        } else if ahead.is_none_or(|lead| lead.gap > 4.0) {
            // Free driving stays within comfort; whoever is close may need more.
            acceleration = acceleration.max(-3.0);
        }
        // Jerk is limited, except in an emergency.
        if brake.is_none() && acceleration > -3.5 {
            let before = state.acceleration;
            acceleration = acceleration.clamp(before - 0.5, before + 0.35);
        }
        let control = Control {
            acceleration,
            steering,
        };
        if t == 0 {
            first = control;
        }
        state = state.step(control);
        let middle = state.centre();
        s = route.line.project_between(middle, s - 2.0, s + 6.0).s;
        states.push(state);
    }
    (states, first)
}

/// Steering towards the line at an offset that may change along it.
pub(super) fn follow(state: &EgoState, route: &Path, s: f64, offset: impl Fn(f64) -> f64) -> f64 {
    let ahead = (0.55 * state.speed).clamp(2.2, 7.0);
    let target = s - World::MIDDLE + ahead;
    pursue(state.pose, route.line.beside(target, offset(target)).at)
}

/// Who is ahead on the way along the profile.
fn frame_lead(frame: &[OnRoute], profile: &Profile, s: f64, changes: bool) -> Option<Lead> {
    let mut found: Option<Lead> = None;
    for body in frame {
        if body.s <= s || body.s > s + 60.0 {
            continue;
        }
        let reach = body.wide + WIDTH / 2.0 + if changes { 0.0 } else { 0.2 };
        let berth = if changes { 0.0 } else { body.berth };
        // Whether there is room is judged where the front would meet it; footprints that still touch
        // are left to the scores.
        let there = profile.at((body.s - body.long).max(s + LENGTH / 2.0));
        let beside = (body.d - there).abs() > reach;
        if beside {
            continue;
        }
        let lead = Lead {
            gap: body.s - body.long - berth - s - LENGTH / 2.0,
            speed: body.speed,
        };
        found = Some(lead.nearer(found));
    }
    found
}
