//! Observations as rows of a recording, and the recording of whole episodes.
//!
//! Lists of varying length are padded with zeros; a mask (1 for what is there) stands beside each.
//! `N` actors, `F` future steps, `L` lanes, `P` points, `T` occupancy times; all in the ego frame.
//!
//! | feature | shape | holds |
//! | --- | --- | --- |
//! | `observation.images.{front,left,right}` | `[height, width, 3]` | |
//! | `observation.state` | 4 | speed, acceleration, steering, yaw rate |
//! | `observation.route` | `P · 2` | points ahead |
//! | `truth.actors` | `N · 11` | kind (1 vehicle, 2 pedestrian), x, y, cos, sin of heading, length, width, height, vx, vy, visible |
//! | `truth.actors_mask` | `N` | |
//! | `truth.futures`, `truth.futures_mask` | `N · F · 3`, `N · F` | x, y, heading |
//! | `truth.occupancy` | `T · cells x · cells y` | 0 or 1 |
//! | `truth.lanes`, `truth.lanes_mask` | `L · P · 2`, `L` | centre lines |
//! | `truth.light` | 5 | none, green, yellow, red; metres to the stop line |
//! | `truth.plan` | `poses · 3` | the expert's x, y, heading |
//! | `action` | 2 | the expert's acceleration and steering |

use super::actor::ActorKind;
use super::camera::Shots;
use super::env::{DrivingEnv, EnvConfig};
use super::map::LightState;
use super::observation::{Observation, ObservationConfig};
use super::scene::EpisodeId;
use super::score::closed_loop::EpisodeScore;
use super::vehicle::Control;
use crate::error::WorldError;
use crate::random::stream;
use crate::record::{Feature, Frame, Recorder};
use rand::Rng;
use serde_json::{Value, json};

const IMAGES: [&str; 3] = [
    "observation.images.front",
    "observation.images.left",
    "observation.images.right",
];
/// Numbers of an actor.
const ACTOR: usize = 11;

/// The features of a configuration, in the order of the table above.
pub fn features(config: &EnvConfig) -> Vec<Feature> {
    let (rig, truth) = (&config.cameras, &config.observation);
    let mut found: Vec<Feature> = IMAGES
        .iter()
        .map(|name| Feature::image(name, rig.height, rig.width))
        .collect();
    let occupancy = truth.occupancy_times.len() * truth.cells[0] * truth.cells[1];
    let sizes = [
        ("observation.state", 4),
        ("observation.route", truth.route_points * 2),
        ("truth.actors", truth.actors * ACTOR),
        ("truth.actors_mask", truth.actors),
        ("truth.futures", truth.actors * truth.future * 3),
        ("truth.futures_mask", truth.actors * truth.future),
        ("truth.occupancy", occupancy),
        ("truth.lanes", truth.lanes * truth.lane_points * 2),
        ("truth.lanes_mask", truth.lanes),
        ("truth.light", 5),
        ("truth.plan", truth.plan * 3),
        ("action", 2),
    ];
    found.extend(sizes.map(|(name, size)| Feature::vector(name, size)));
    for feature in &mut found {
        let names: &[&str] = match feature.name.as_str() {
            "observation.state" => &["speed", "acceleration", "steering", "yaw_rate"],
            "truth.light" => &["none", "green", "yellow", "red", "distance"],
            "action" => &["acceleration", "steering"],
            _ => continue,
        };
        feature.names = names.iter().map(|&name| name.to_owned()).collect();
    }
    found
}

/// What a reader needs besides: sizes and calibration.
pub fn description(env: &DrivingEnv) -> Value {
    let cameras: serde_json::Map<String, Value> = env
        .rig()
        .iter()
        .map(|camera| {
            let matrices = json!({
                "intrinsics": camera.intrinsics,
                "ego_to_camera": camera.extrinsics(),
            });
            (camera.name.to_owned(), matrices)
        })
        .collect();
    json!({"config": env.config(), "cameras": cameras})
}

/// One moment as a row.
pub fn frame(shots: &Shots, seen: &Observation, config: &ObservationConfig) -> Frame {
    let mut frame = Frame::default();
    for (name, image) in IMAGES.into_iter().zip(&shots.images) {
        frame.images.insert(name.to_owned(), image.clone());
    }
    let mut put = |name: &str, values: Vec<f32>| {
        frame.values.insert(name.to_owned(), values);
    };
    let ego = seen.ego;
    let state = [ego.speed, ego.acceleration, ego.steering, ego.yaw_rate];
    put("observation.state", state.map(|v| v as f32).to_vec());
    let points = |points: &[crate::geometry::Vec2]| -> Vec<f32> {
        points
            .iter()
            .flat_map(|p| [p.x as f32, p.y as f32])
            .collect()
    };
    put("observation.route", points(&seen.route));

    let mut actors = vec![0.0; config.actors * ACTOR];
    let mut futures = vec![0.0; config.actors * config.future * 3];
    let (mut there, mut known) = (
        vec![0.0; config.actors],
        vec![0.0; config.actors * config.future],
    );
    for (i, actor) in seen.actors.iter().take(config.actors).enumerate() {
        let kind = match actor.kind {
            ActorKind::Vehicle => 1.0,
            ActorKind::Pedestrian => 2.0,
            ActorKind::Static => 3.0,
        };
        let (sin, cos) = actor.pose.heading.sin_cos();
        let [length, width, height] = actor.size;
        let (at, v) = (actor.pose.at, actor.velocity);
        let seen = f64::from(actor.visible);
        let row = [
            kind, at.x, at.y, cos, sin, length, width, height, v.x, v.y, seen,
        ];
        actors[i * ACTOR..(i + 1) * ACTOR].copy_from_slice(&row.map(|v| v as f32));
        there[i] = 1.0;
        for (t, pose) in actor.future.iter().take(config.future).enumerate() {
            let k = i * config.future + t;
            let row = [pose.at.x, pose.at.y, pose.heading].map(|v| v as f32);
            futures[k * 3..k * 3 + 3].copy_from_slice(&row);
            known[k] = 1.0;
        }
    }
    put("truth.actors", actors);
    put("truth.actors_mask", there);
    put("truth.futures", futures);
    put("truth.futures_mask", known);
    put(
        "truth.occupancy",
        seen.occupancy.grid.iter().map(|&c| f32::from(c)).collect(),
    );

    let mut lanes = Vec::with_capacity(config.lanes * config.lane_points * 2);
    for lane in seen.lanes.iter().take(config.lanes) {
        lanes.extend(points(lane));
    }
    lanes.resize(config.lanes * config.lane_points * 2, 0.0);
    put("truth.lanes", lanes);
    let mask = (0..config.lanes).map(|i| f32::from(u8::from(i < seen.lanes.len())));
    put("truth.lanes_mask", mask.collect());
    put(
        "truth.light",
        match seen.light {
            None => vec![1.0, 0.0, 0.0, 0.0, 0.0],
            Some(light) => {
                let is = |state| f32::from(u8::from(light.state == state));
                let states = [LightState::Green, LightState::Yellow, LightState::Red].map(is);
                vec![0.0, states[0], states[1], states[2], light.distance as f32]
            }
        },
    );
    let mut plan: Vec<f32> = seen
        .plan
        .iter()
        .flat_map(|pose| [pose.at.x, pose.at.y, pose.heading].map(|v| v as f32))
        .collect();
    plan.resize(config.plan * 3, 0.0);
    put("truth.plan", plan);
    let control = [seen.control.acceleration, seen.control.steering];
    put("action", control.map(|v| v as f32).to_vec());
    frame
}

/// Lets the expert drive an episode into a recording, with every frame's truth.
///
/// With `disturbance` above 0 the wheel is jerked now and then for a moment, up to this angle, rad, so
/// that the expert's way back is in the data.
///
/// # Errors
/// An option is out of range, or the recording cannot be written.
pub fn record_episode(
    recorder: &mut Recorder,
    config: &EnvConfig,
    episode: EpisodeId,
    disturbance: f64,
) -> Result<EpisodeScore, WorldError> {
    let mut env = DrivingEnv::new(config.clone(), episode)?;
    let mut rng = stream(episode.seed, "disturbance", &[]);
    let (mut jerk, mut left) = (0.0, 0_u32);
    loop {
        let (shots, seen) = env.observe();
        recorder.push(frame(&shots, &seen, &config.observation))?;
        if left == 0 && disturbance > 0.0 && rng.random_bool(0.03) {
            jerk = rng.random_range(-disturbance..disturbance);
            left = 4;
        }
        let mut control: Control = seen.control;
        if left > 0 {
            control.steering += jerk;
            left -= 1;
        }
        env.step(control);
        if let Some(score) = env.score() {
            recorder.end_episode(&format!("drive the route: {}", episode.family))?;
            return Ok(score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecorderConfig, Recording};

    #[test]
    fn an_episode_is_recorded_and_read() {
        let config = EnvConfig::default();
        let folder = tempfile::tempdir().unwrap();
        let episode = EpisodeId {
            family: "curve-2".parse().unwrap(),
            seed: 1,
        };
        let extra = description(&DrivingEnv::new(config.clone(), episode).unwrap());
        let settings = RecorderConfig {
            extra,
            ..RecorderConfig::default()
        };
        let mut recorder = Recorder::create(folder.path(), features(&config), settings).unwrap();
        let score = record_episode(&mut recorder, &config, episode, 0.0).unwrap();
        recorder.finish().unwrap();
        let recording = Recording::open(folder.path()).unwrap();
        let frames = recording.episode(0).unwrap();
        assert_eq!(frames.len(), (score.seconds * 10.0).round() as usize);
        let kept: EnvConfig = serde_json::from_value(recording.extra()["config"].clone()).unwrap();
        assert_eq!(kept, config);
        // The car moves as its plan of a second before said.
        for pair in [0, 20, 40] {
            let plan = &frames[pair].values["truth.plan"];
            let speed = frames[pair].values["observation.state"][0];
            let first = plan[0].hypot(plan[1]);
            assert!((first - speed * 0.1).abs() < 0.05, "{first} {speed}");
        }
        let first = &frames[0].values;
        let actors: f32 = first["truth.actors_mask"].iter().sum();
        let occupied: f32 = first["truth.occupancy"].iter().sum();
        assert!(actors >= 1.0 && occupied > 3.0, "{actors} {occupied}");
    }
}
