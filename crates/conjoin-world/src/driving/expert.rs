//! The privileged expert, after PDM-Closed (Dauner et al. 2023): proposals that follow the lane at
//! several offsets and speeds are driven forward against what the others will do, scored by NAVSIM's
//! sub-scores, and the best one is taken.

use super::actor::{ActorKind, Body};
use super::idm::{Idm, Lead};
use super::map::Path;
use super::perceive::{Rival, give_way, stop_line};
use super::score::{FRAMES, STATES, SubScores, Surroundings, score};
use super::traffic::{BERTH, CLAIM, rivals};
use super::vehicle::{Control, EgoState, LENGTH, WIDTH, pursue};
use super::world::{EGO, World};
use crate::geometry::{Pose, Vec2, wrap_angle};

/// Shares of the allowed speed that are proposed.
const SPEEDS: [f64; 5] = [1.0, 0.75, 0.5, 0.25, 0.0];
/// Smaller offsets within the lane, m.
const NUDGE: f64 = 0.8;

/// What the expert will do.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The states of the best proposal, now first, at 0.1 s.
    pub states: Vec<EgoState>,
    pub control: Control,
    pub scores: SubScores,
    /// Offset to the route that the proposal goes to, m.
    pub offset: f64,
}

impl Decision {
    /// Poses of the rear axle from the next step on, at most 40.
    pub fn plan(&self, poses: usize) -> Vec<Pose> {
        self.states[1..]
            .iter()
            .take(poses)
            .map(|s| s.pose)
            .collect()
    }
}

/// A driver who knows everything.
#[derive(Debug, Clone, Default)]
pub struct Expert {
    /// The offset chosen last: changing one's mind has a price.
    offset: f64,
}

/// A body as the route sees it at one time.
struct OnRoute {
    s: f64,
    d: f64,
    long: f64,
    wide: f64,
    /// Along the route, m/s.
    speed: f64,
    /// Metres that are kept before it so that there is room to pull out.
    berth: f64,
}

impl Expert {
    /// Chooses among the proposals.
    pub fn decide(&mut self, world: &World) -> Decision {
        self.decide_with(world, &forecast(world, FRAMES - 1))
    }

    /// Chooses with a forecast of at least [`FRAMES`] frames that was made already.
    pub fn decide_with(&mut self, world: &World, forecast: &Forecast) -> Decision {
        let frames: Vec<Vec<OnRoute>> = forecast.obstacles[..STATES]
            .iter()
            .map(|bodies| {
                bodies
                    .iter()
                    .filter_map(|body| on_route(world, body))
                    .collect()
            })
            .collect();
        let mut proposals: Vec<(f64, Vec<EgoState>, Control)> = Vec::new();
        for offset in offsets(world) {
            for share in SPEEDS {
                if share == 0.0 && offset != self.offset && offset != 0.0 {
                    continue;
                }
                let (states, control) = propose(world, &frames, offset, share, None);
                proposals.push((offset, states, control));
            }
        }
        let (states, control) = propose(world, &frames, self.offset, 0.0, Some(-6.5));
        proposals.push((self.offset, states, control));

        let around = Surroundings {
            map: world.map(),
            route: &world.route().line,
            frames: &forecast.frames,
        };
        let states: Vec<&[EgoState]> = proposals.iter().map(|p| &p.1[..]).collect();
        let scores = score(&states, &around);
        let value = |index: usize| {
            let (offset, states, _) = &proposals[index];
            let last = states.last().map_or(0.0, |s| s.speed);
            let near = clearance(states, &forecast.frames);
            // Among equals: near the lane's middle, as before, with some room, rather moving.
            scores[index].pdms
                - 0.02 * offset.abs()
                - 0.02 * (offset - self.offset).abs()
                - 0.15 * (1.0 - near)
                + 0.008 * way(states)
                + if scores[index].pdms == 0.0 {
                    // Nothing is without fault: late and slow is better than early and fast.
                    -1.0 + 0.01 * first_contact(states, &forecast.frames) as f64 - 0.01 * last
                } else {
                    0.0
                }
        };
        let values: Vec<f64> = (0..proposals.len()).map(value).collect();
        let best = (0..values.len())
            .max_by(|&a, &b| values[a].total_cmp(&values[b]))
            .unwrap_or(0);
        let scores = scores[best];
        let (offset, states, control) = proposals.swap_remove(best);
        self.offset = offset;
        Decision {
            states,
            control,
            scores,
            offset,
        }
    }
}

/// Metres between the first and the last state.
fn way(states: &[EgoState]) -> f64 {
    match states {
        [first, .., last] => (last.pose.at - first.pose.at).length(),
        _ => 0.0,
    }
}

/// Share of a wanted 1 m around the footprint that stays free over the first three seconds.
fn clearance(states: &[EgoState], frames: &[Vec<Body>]) -> f64 {
    let mut free = 1.0_f64;
    for (state, frame) in states.iter().zip(frames).take(31).step_by(2) {
        if state.speed < 0.5 {
            continue;
        }
        let own = state.footprint();
        for body in frame {
            let reach = 4.0 + body.footprint.length;
            if (body.footprint.pose.at - own.pose.at).squared() > reach * reach {
                continue;
            }
            for share in [0.0, 0.4, 0.7] {
                if share < free && own.inflated(share + 0.1).intersects(&body.footprint) {
                    free = share;
                }
            }
        }
    }
    free
}

/// Steps until the footprint touches somebody.
fn first_contact(states: &[EgoState], frames: &[Vec<Body>]) -> usize {
    let touches = |(state, frame): (&EgoState, &Vec<Body>)| {
        let own = state.footprint();
        frame.iter().any(|body| body.footprint.intersects(&own))
    };
    states
        .iter()
        .zip(frames)
        .position(touches)
        .unwrap_or(STATES)
}

/// What the others will do while the ego follows its lane.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Everybody but the ego, and what never moves near it, from now on at 0.1 s.
    pub frames: Vec<Vec<Body>>,
    /// What drivers keep off at the same times: cars and the ground that people take.
    obstacles: Vec<Vec<Body>>,
}

/// Rolls a copy of the world forward for this number of steps.
pub fn forecast(world: &World, steps: usize) -> Forecast {
    let mut copy = world.clone();
    let ego = world.ego.pose.at;
    let near = |body: &Body| (body.footprint.pose.at - ego).length() < 55.0;
    let statics: Vec<Body> = world.scene.statics().filter(near).collect();
    let mut found = Forecast {
        frames: Vec::with_capacity(steps + 1),
        obstacles: Vec::with_capacity(steps + 1),
    };
    for step in 0..=steps {
        let actors = copy.actors();
        let mut obstacles: Vec<Body> = actors
            .iter()
            .filter(|body| body.kind == ActorKind::Vehicle)
            .copied()
            .collect();
        obstacles.extend(copy.pedestrians.iter().filter_map(|p| p.claim(CLAIM)));
        found.obstacles.push(obstacles);
        found
            .frames
            .push(actors.into_iter().chain(statics.iter().copied()).collect());
        if step < steps {
            let control = super::baseline::follow_lane(&copy);
            copy.step(control);
        }
    }
    found
}

fn on_route(world: &World, body: &Body) -> Option<OnRoute> {
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

/// Offsets to the route that may be gone to: within the lane, and to lanes of the same direction.
fn offsets(world: &World) -> Vec<f64> {
    let map = world.map();
    let (lane, _) = world.route().lane_at(world.ego_s);
    let lane = &map.lanes[lane];
    let mut found = vec![0.0];
    if !lane.connector {
        found.extend([NUDGE, -NUDGE]);
        found.extend(lane.left.map(|_| lane.width));
        found.extend(lane.right.map(|_| -lane.width));
    }
    found
}

/// A way from the present offset to another, smooth over some distance.
struct Profile {
    s: f64,
    from: f64,
    to: f64,
    length: f64,
}

impl Profile {
    fn at(&self, s: f64) -> f64 {
        let share = ((s - self.s) / self.length).clamp(0.0, 1.0);
        self.from + (self.to - self.from) * share * share * (3.0 - 2.0 * share)
    }
}

/// Drives the bicycle forward: pure pursuit of the line at the offset, IDM behind whoever is in the way.
fn propose(
    world: &World,
    frames: &[Vec<OnRoute>],
    offset: f64,
    share: f64,
    brake: Option<f64>,
) -> (Vec<EgoState>, Control) {
    let route = world.route();
    let profile = Profile {
        s: world.ego_s,
        from: world.ego_d,
        to: offset,
        length: (2.4 * world.ego.speed).max(9.0) * (offset - world.ego_d).abs().clamp(0.3, 3.5)
            / 3.5,
    };
    // Whoever pulls out passes closer than one who stays behind.
    let changes = (offset - world.ego_d).abs() > 1.0;
    let rivals: Vec<Rival> = rivals(world)
        .into_iter()
        .filter_map(|(id, rival)| (id != EGO).then_some(rival))
        .collect();
    let mut states = vec![world.ego];
    let mut first = Control::default();
    let (mut state, mut s) = (world.ego, world.ego_s);
    for (t, frame) in frames[..STATES - 1].iter().enumerate() {
        let steering = follow(&state, route, s, |s| profile.at(s));
        let mut ahead = frame_lead(frame, &profile, s, changes);
        let time = world.time() + t as f64 * super::vehicle::STEP;
        let place = super::perceive::Place {
            path: route,
            s,
            corridor: (0.0, 0.0),
            half_length: LENGTH / 2.0,
            speed: state.speed,
        };
        let stops = [
            stop_line(&place, world.map(), time),
            // Who goes first is judged by where they are now; later steps would need their wishes.
            give_way(&place, world.map(), time, if t < 5 { &rivals } else { &[] }),
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
