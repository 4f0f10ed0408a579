//! The privileged expert, after PDM-Closed (Dauner et al. 2023): proposals that follow the lane at
//! several offsets and speeds are driven forward against what the others will do, scored by NAVSIM's
//! sub-scores, and the best one is taken.

use super::actor::{ActorKind, Body};
use super::perceive::Rival;
use super::proposal::{OnRoute, Profile, Seen, Wish, on_route, propose};
use super::score::{FRAMES, STATES, SubScores, Surroundings, near, score};
use super::traffic::{CLAIM, rivals};
use super::vehicle::{Control, EgoState, LENGTH, REAR_TO_CENTRE};
use super::world::{EGO, World};
use crate::geometry::Pose;

/// Shares of the allowed speed that are proposed.
const SPEEDS: [f64; 5] = [1.0, 0.75, 0.5, 0.25, 0.0];
/// Smaller offsets within the lane, m.
const NUDGE: f64 = 0.8;

/// Slower than this tight ways out are proposed too, m/s, and within these lengths, m.
const WALK: f64 = 1.0;
const TIGHT: [f64; 4] = [4.5, 5.5, 6.5, 7.5];
/// Share of the allowed speed with the wheel turned all the way: slower than [`WALK`], so that the turn goes on.
const CREEP: f64 = 0.08;
/// What such a turn is worth: more than its offset and its nearness cost.
const OUT: f64 = 0.3;

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

/// What might be done.
struct Proposal {
    /// The offset to the route that it goes to, m.
    offset: f64,
    profile: Profile,
    states: Vec<EgoState>,
    control: Control,
    /// Whether it turns the wheel all the way.
    locked: bool,
}

/// A driver who knows everything.
#[derive(Debug, Clone, Default)]
pub struct Expert {
    /// The offset chosen last: changing one's mind has a price.
    offset: f64,
    /// The way to it that was begun.
    profile: Option<Profile>,
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
        let rivals: Vec<Rival> = rivals(world)
            .into_iter()
            .filter_map(|(id, rival)| (id != EGO).then_some(rival))
            .collect();
        let seen = Seen {
            frames: &frames,
            rivals: &rivals,
        };
        // A way that was begun is gone on with: begun anew at every step, it would never turn.
        let begun = self.profile.filter(|profile| profile.is_kept(world));
        let profile = |offset: f64| match begun {
            Some(begun) if offset == self.offset => begun,
            _ => Profile::new(world, offset),
        };
        let mut proposals: Vec<Proposal> = Vec::new();
        let mut add = |offset: f64, wish: Wish| {
            let (states, control) = propose(world, &seen, wish);
            proposals.push(Proposal {
                offset,
                profile: wish.profile,
                states,
                control,
                locked: wish.locked,
            });
        };
        for offset in offsets(world) {
            for share in SPEEDS {
                if share == 0.0 && offset != self.offset && offset != 0.0 {
                    continue;
                }
                let wish = Wish {
                    profile: profile(offset),
                    share,
                    brake: None,
                    waits: true,
                    locked: false,
                };
                add(offset, wish);
            }
        }
        if world.ego.speed < WALK {
            // Whoever came to stand too near for the smooth way out has tight ones.
            for offset in offsets(world).into_iter().filter(|o| o.abs() > NUDGE) {
                for length in TIGHT {
                    for share in [0.3, 0.15] {
                        let wish = Wish {
                            profile: Profile::tight(world, offset, length),
                            share,
                            brake: None,
                            waits: true,
                            locked: false,
                        };
                        add(offset, wish);
                    }
                }
                if seen.is_blocked(world) {
                    let wish = Wish {
                        profile: Profile::tight(world, offset, TIGHT[0]),
                        share: CREEP,
                        brake: None,
                        waits: true,
                        locked: true,
                    };
                    add(offset, wish);
                }
            }
        }
        let stop = Wish {
            profile: profile(self.offset),
            share: 0.0,
            brake: Some(-6.5),
            waits: true,
            locked: false,
        };
        add(self.offset, stop);
        if seen.must_wait(world) {
            // Rules for gaps ask for more room than there ever is in dense traffic. Whoever knows what
            // the others will do may go where nobody has to brake hard for it.
            for share in [1.0, 0.6] {
                let go = Wish {
                    profile: profile(0.0),
                    share,
                    brake: None,
                    waits: false,
                    locked: false,
                };
                let (states, control) = propose(world, &seen, go);
                if is_polite(&states, &forecast.frames) {
                    proposals.push(Proposal {
                        offset: 0.0,
                        profile: go.profile,
                        states,
                        control,
                        locked: false,
                    });
                }
            }
        }

        let states: Vec<&[EgoState]> = proposals.iter().map(|p| &p.states[..]).collect();
        let frames = &near(&states, &forecast.frames, 1.0)[..];
        let around = Surroundings {
            map: world.map(),
            route: &world.route().line,
            frames,
        };
        let scores = score(&states, &around);
        let value = |index: usize| {
            let Proposal { offset, states, .. } = &proposals[index];
            let last = states.last().map_or(0.0, |s| s.speed);
            let near = clearance(states, frames);
            // Among equals: near the lane's middle, as before, with some room, rather moving.
            scores[index].pdms
                - 0.02 * offset.abs()
                - 0.02 * (offset - self.offset).abs()
                - 0.15 * (1.0 - near)
                + 0.008 * way(states)
                // A vehicle that creeps out from behind a car gets nowhere in the seconds that are scored.
                + if proposals[index].locked { OUT } else { 0.0 }
                + if scores[index].pdms == 0.0 {
                    // Nothing is without fault: late and slow is better than early and fast.
                    -1.0 + 0.01 * first_contact(states, frames) as f64 - 0.01 * last
                } else {
                    0.0
                }
        };
        let values: Vec<f64> = (0..proposals.len()).map(value).collect();
        let best = (0..values.len())
            .max_by(|&a, &b| values[a].total_cmp(&values[b]))
            .unwrap_or(0);
        let scores = scores[best];
        let chosen = proposals.swap_remove(best);
        self.profile = Some(chosen.profile);
        self.offset = chosen.offset;
        Decision {
            states: chosen.states,
            control: chosen.control,
            scores,
            offset: chosen.offset,
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

/// Whether nobody who comes from behind has to brake harder than in everyday traffic, m/s².
fn is_polite(states: &[EgoState], frames: &[Vec<Body>]) -> bool {
    const BRAKING: f64 = 1.5;
    let ok = |state: &EgoState, body: &Body| {
        let local = state.pose.pose_to_local(body.footprint.pose);
        let beside = local.at.y.abs() > 2.2 || local.heading.abs() > 0.9;
        if body.kind != ActorKind::Vehicle || local.at.x > 0.0 || beside {
            return true;
        }
        let rear = LENGTH / 2.0 - REAR_TO_CENTRE;
        let gap = -local.at.x - rear - body.footprint.length / 2.0;
        let closing = (body.speed() - state.speed).max(0.0);
        gap > 1.0 && closing * closing < 2.0 * BRAKING * (gap - 1.0)
    };
    let mut pairs = states.iter().zip(frames).step_by(3);
    pairs.all(|(state, frame)| frame.iter().all(|body| ok(state, body)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::scene::{EpisodeId, begin};

    /// The ego stands behind a car that stopped in its lane, with this gap.
    fn stuck(seed: u64, gap: f64) -> Option<World> {
        let mut world = begin(EpisodeId {
            family: "straight-0".parse().unwrap(),
            seed,
        });
        let lanes = &world.scene.route.lanes;
        let paths = world.scene.paths();
        let ahead = (world.cars.iter())
            .filter(|car| car.stopped && paths[car.path].lanes == *lanes)
            .map(|car| car.s - car.length / 2.0)
            .min_by(f64::total_cmp)?;
        let rear = ahead - gap - LENGTH / 2.0 - REAR_TO_CENTRE;
        world.ego = EgoState::at(world.route().line.at(rear), 0.0);
        (world.ego_s, world.ego_d) = (rear + REAR_TO_CENTRE, 0.0);
        world.locate_ego();
        world.collision().is_none().then_some(world)
    }

    /// Of six drives from behind a car with this gap, those that could begin and those that got past it.
    fn drives(gap: f64) -> [usize; 2] {
        let (mut tried, mut out) = (0, 0);
        for seed in 0..6 {
            let Some(mut world) = stuck(seed, gap) else {
                continue;
            };
            let (mut expert, from) = (Expert::default(), world.ego_s);
            // Long enough for the lane beside to get free.
            for _ in 0..400 {
                let control = expert.decide(&world).control;
                world.step(control);
                assert!(world.collision().is_none(), "{gap} {seed}");
            }
            tried += 1;
            out += usize::from(world.ego_s > from + 12.0);
        }
        [tried, out]
    }

    #[test]
    fn who_stands_too_near_still_gets_out() {
        let sum = |gaps: &[f64]| {
            let found = gaps.iter().map(|gap| drives(*gap));
            found.fold([0, 0], |sum, found| [sum[0] + found[0], sum[1] + found[1]])
        };
        // Where the other car stands askew towards the free lane, there is no way.
        let [tried, out] = sum(&[4.0, 6.0]);
        assert!(tried > 6 && out * 10 >= tried * 9, "{out} of {tried}");
        // With the wheel turned all the way.
        let [tried, out] = sum(&[2.5, 3.5]);
        assert!(tried > 6 && out * 3 >= tried * 2, "{out} of {tried}");
    }
}
