//! What happens on the roads: lane changes, cut-ins, hard brakes, people that cross and cars that wait at red
//! lights do happen, and the same episode is the same to the last bit.

use conjoin_world::driving::baseline::follow_lane;
use conjoin_world::driving::map::{Family, LightState};
use conjoin_world::driving::scene::{EpisodeId, begin};
use conjoin_world::driving::world::World;

/// How often each thing happened.
#[derive(Debug, Default)]
struct Seen {
    lane_changes: usize,
    cut_ins: usize,
    /// Cars that braked harder than they do of themselves, and how hard at most.
    hard_brakes: usize,
    hardest: f64,
    crossed: usize,
    /// Steps of cars that stood before a red light, and lines that were crossed under red.
    waits: usize,
    ran: usize,
}

impl Seen {
    fn watch(&mut self, before: &World, now: &World) {
        let paths = now.scene.paths();
        for (was, car) in before.cars.iter().zip(&now.cars) {
            if was.id != car.id || was.away || car.away || car.stopped {
                continue;
            }
            self.lane_changes += usize::from(was.change.is_none() && car.change.is_some());
            if was.cuts_in && !car.cuts_in {
                self.cut_ins += 1;
                // It goes to the ego's lane, before the ego.
                let lane = paths[car.path].lane_at(car.s).0;
                assert!(now.route().start_of(lane).is_some());
                let at = car.pose(&paths[car.path]).at;
                let ahead = now.route().line.project(at).s - now.ego_s;
                assert!((0.0..30.0).contains(&ahead), "{ahead}");
            }
            self.hard_brakes += usize::from(was.braking <= 0.0 && car.braking > 0.0);
            if was.braking > 0.0 {
                self.hardest = self.hardest.min(car.acceleration);
            }
            for &(line, light) in &paths[car.path].lights {
                let gap = line - car.s - car.length / 2.0;
                let red = now.map().lights[light].state(now.time()) == LightState::Red;
                self.waits += usize::from(red && (0.0..8.0).contains(&gap) && car.speed < 0.05);
                let front = was.s + car.length / 2.0;
                let crossed = was.path == car.path && front < line && gap <= 0.0;
                self.ran += usize::from(red && crossed);
            }
        }
        for (was, person) in before.pedestrians.iter().zip(&now.pedestrians) {
            // On the way there or, before a car that stands, on the way back.
            assert!(person.from == was.to || person.walked >= was.walked);
            let moved = (person.position() - was.position()).length();
            assert!(moved < 0.11 * person.pace, "{moved}");
            self.crossed += usize::from(!was.arrived() && person.arrived());
        }
    }
}

fn drive(episode: EpisodeId, steps: usize, mut watch: impl FnMut(&World, &World)) {
    let mut world = begin(episode);
    for _ in 0..steps {
        let before = world.clone();
        world.step(follow_lane(&before));
        watch(&before, &world);
    }
}

#[test]
fn traffic_does_what_makes_driving_hard() {
    let mut seen = Seen::default();
    for family in Family::all() {
        for seed in 0..4 {
            drive(EpisodeId { family, seed }, 250, |before, now| {
                seen.watch(before, now);
            });
        }
    }
    println!("{seen:?}");
    assert!(seen.lane_changes > 20 && seen.cut_ins > 2, "{seen:?}");
    assert!(seen.hard_brakes > 2 && seen.hardest < -3.4, "{seen:?}");
    assert!(seen.crossed > 20, "{seen:?}");
    assert!(seen.waits > 200, "{seen:?}");
    // Who is too near to stop when it turns red goes on; nobody else does.
    assert!(seen.ran * 50 < seen.waits, "{seen:?}");
}

#[test]
fn six_to_twelve_cars_move() {
    for family in Family::all() {
        let mut counts = Vec::new();
        for seed in 0..30 {
            let world = begin(EpisodeId { family, seed });
            let moving = world.cars.iter().filter(|car| !car.stopped).count();
            assert!((6..=12).contains(&moving), "{family} {seed}: {moving}");
            counts.push(moving);
        }
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(least < most, "{family}: {counts:?}");
    }
}

/// Every number of a moment, bit by bit.
fn bits(world: &World) -> Vec<u64> {
    let ego = &world.ego;
    let mut numbers = vec![ego.pose.at.x, ego.pose.at.y, ego.pose.heading, ego.speed];
    numbers.extend([
        ego.acceleration,
        ego.steering,
        ego.yaw_rate,
        world.ego_s,
        world.ego_d,
    ]);
    for car in &world.cars {
        numbers.extend([
            car.s,
            car.d,
            car.drift,
            car.speed,
            car.acceleration,
            car.braking,
        ]);
        numbers.extend([
            car.path as f64,
            f64::from(car.id),
            f64::from(u8::from(car.away)),
        ]);
    }
    for person in &world.pedestrians {
        let at = person.position();
        numbers.extend([
            at.x,
            at.y,
            person.walked,
            f64::from(u8::from(person.walking)),
        ]);
    }
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn the_same_episode_is_the_same_to_the_last_bit() {
    let log = |episode: EpisodeId| {
        let mut log = vec![bits(&begin(episode))];
        drive(episode, 200, |_, now| log.push(bits(now)));
        log
    };
    for family in Family::all().step_by(3) {
        let episode = EpisodeId { family, seed: 11 };
        let first = log(episode);
        // Neither other episodes nor another thread matter.
        let other = EpisodeId {
            seed: 12,
            ..episode
        };
        assert_ne!(log(other), first, "{family}");
        let again = std::thread::scope(|scope| scope.spawn(|| log(episode)).join());
        assert_eq!(again.unwrap(), first, "{family}");
    }
}
