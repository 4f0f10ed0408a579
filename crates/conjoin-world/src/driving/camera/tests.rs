//! Images of known scenes.

use super::*;
use crate::driving::scene::{EpisodeId, begin};
use crate::geometry::Pose;

fn world(family: &str, seed: u64) -> World {
    begin(EpisodeId {
        family: family.parse().unwrap(),
        seed,
    })
}

fn mean(image: &Image, x: std::ops::Range<usize>, y: std::ops::Range<usize>) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for row in y.clone() {
        for column in x.clone() {
            for (c, s) in sum.iter_mut().enumerate() {
                *s += f64::from(image.rgb[(row * image.width + column) * 3 + c]);
            }
        }
    }
    sum.map(|s| s / (x.len() * y.len()) as f64)
}

#[test]
fn the_same_moment_gives_the_same_images() {
    let world = world("junction-0", 3);
    let shoot = |world: &World| {
        Photographer::new(RigConfig::default(), world)
            .unwrap()
            .shoot(world)
    };
    assert_eq!(shoot(&world), shoot(&world));
    let mut later = world.clone();
    later.tick += 1;
    assert_ne!(shoot(&world).images, shoot(&later).images);
}

#[test]
fn sky_is_above_and_road_below() {
    let mut world = world("straight-2", 1);
    world.cars.clear();
    let shots = Photographer::new(RigConfig::default(), &world)
        .unwrap()
        .shoot(&world);
    let front = &shots.images[0];
    assert_eq!(
        (front.width, front.height, front.rgb.len()),
        (64, 32, 64 * 32 * 3)
    );
    let (above, below) = (mean(front, 24..40, 0..4), mean(front, 28..36, 27..32));
    assert!(above[2] > above[0] + 10.0, "{above:?}");
    assert!((below[0] - below[2]).abs() < 30.0, "{below:?}");
    assert!(above[2] > below[2], "{above:?} {below:?}");
}

#[test]
fn a_car_ahead_is_seen_and_one_behind_a_wall_is_not() {
    let mut world = world("straight-2", 1);
    world.cars.truncate(1);
    world.pedestrians.clear();
    let place = |world: &mut World, ahead: f64| {
        let on = world.scene.paths()[world.cars[0].path]
            .line
            .project(world.ego.pose.to_world(Vec2::new(ahead, 0.0)));
        (world.cars[0].s, world.cars[0].d) = (on.s, on.d);
    };
    place(&mut world, 15.0);
    let photographer = Photographer::new(RigConfig::default(), &world).unwrap();
    let id = world.cars[0].id;
    let seen =
        |p: &Photographer, world: &World| p.shoot(world).pixels.get(&id).copied().unwrap_or(0);
    let near = seen(&photographer, &world);
    // 1.9 m by 1.5 m at 12 m before a focal length of 46 pixels: about 40.
    assert!((20..90).contains(&near), "{near}");
    place(&mut world, -15.0);
    assert_eq!(seen(&photographer, &world), 0);
    place(&mut world, 15.0);
    let mut walled = photographer.clone();
    let wall = world.ego.pose.to_world(Vec2::new(7.0, 0.0));
    walled.fixed.push(Block {
        pose: Pose {
            at: wall,
            heading: world.ego.pose.heading,
        },
        length: 0.5,
        width: 12.0,
        bottom: 0.0,
        top: 4.0,
        colour: [100.0; 3],
        skin: model::Skin::Plain,
        id: 99_999,
    });
    assert_eq!(seen(&walled, &world), 0);
}

#[test]
fn a_shadow_falls_away_from_the_sun() {
    let sun = [0.6, 0.0, 0.8];
    let shadow = Shadow::new(Obb::new(Pose::new(0.0, 0.0, 0.0), 4.0, 2.0), 2.0, sun);
    // The sun stands in +x: the shadow reaches 2 * 0.6 / 0.8 = 1.5 m towards -x.
    assert!(shadow.covers(Vec2::new(-3.4, 0.0)));
    assert!(!shadow.covers(Vec2::new(-3.6, 0.0)));
    assert!(!shadow.covers(Vec2::new(2.1, 0.0)));
    assert!(!shadow.covers(Vec2::new(0.0, 1.1)));
}
