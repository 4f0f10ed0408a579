//! Observations as frames of a recording.
//!
//! Lists of varying length are padded with zeros; the first number of a row, or a mask, is 1 for what is
//! there. `N` agents, `F` future steps, `L` lanes, `P` points, `S` plan steps, `X` x `Y` cells, `T` times;
//! all but the pose in the ego frame, numbers flat.
//!
//! | feature | shape | holds |
//! | --- | --- | --- |
//! | `observation.images.{front,left,right}` | `[height, width, 3]` | |
//! | `observation.state` | 4 | speed (m/s), acceleration, steering (rad), yaw rate |
//! | `observation.pose` | 3 | x, y (m), heading (rad) in a frame that is fixed to the ground |
//! | `observation.route` | `[P, 2]` | points ahead, m |
//! | `truth.agents` | `[N, 12]` | present, x, y, cos, sin of heading, length, width, vx, vy; vehicle, pedestrian, static (one of them 1) |
//! | `truth.visible` | `[N]` | 1 where enough pixels of the agent are seen |
//! | `truth.futures` | `[N, F, 4]` | known, x, y, heading at 0.1 s, 0.2 s … |
//! | `truth.occupancy` | `[X, Y, T]` | 0 or 1 |
//! | `truth.road` | `[X, Y, 1]` | metres to the edge of what may be driven on, above 0 on it, at most 3, to a centimetre |
//! | `truth.lanes`, `truth.lanes_mask` | `[L, P, 2]`, `[L]` | centre lines |
//! | `truth.light` | 5 | none, green, yellow, red (one of them 1); metres to the stop line |
//! | `truth.plan` | `[S, 4]` | the expert's x, y, heading, speed at 0.1 s, 0.2 s … |
//! | `action` | 2 | the expert's acceleration and steering |

use super::actor::ActorKind;
use super::camera::Shots;
use super::env::{DrivingEnv, EnvConfig};
use super::map::{EDGE_REACH, LightState};
use super::observation::{Observation, ObservationConfig, Parts};
use super::vehicle::STEP;
use crate::geometry::{Pose, Vec2};
use conjoin_data::grid_frame;
use conjoin_data::lerobot::{Feature, Frame, Image};
use serde_json::{Map, Value, json};

const IMAGES: [&str; 3] = [
    "observation.images.front",
    "observation.images.left",
    "observation.images.right",
];
/// Numbers of an agent.
const AGENT: usize = 12;
/// Numbers of a future step and of a plan step.
const STEP_ROW: usize = 4;

/// Features of numbers with their shapes, in the order of the table above.
fn numbers(truth: &ObservationConfig) -> Vec<(&'static str, Vec<usize>)> {
    let [x, y] = truth.cells;
    vec![
        ("observation.state", vec![4]),
        ("observation.pose", vec![3]),
        ("observation.route", vec![truth.route_points, 2]),
        ("truth.agents", vec![truth.actors, AGENT]),
        ("truth.visible", vec![truth.actors]),
        ("truth.futures", vec![truth.actors, truth.future, STEP_ROW]),
        ("truth.occupancy", vec![x, y, truth.occupancy_times.len()]),
        ("truth.road", vec![x, y, 1]),
        ("truth.lanes", vec![truth.lanes, truth.lane_points, 2]),
        ("truth.lanes_mask", vec![truth.lanes]),
        ("truth.light", vec![5]),
        ("truth.plan", vec![truth.plan, STEP_ROW]),
        ("action", vec![2]),
    ]
}

/// The features of a configuration, in the order of the table above.
pub fn features(config: &EnvConfig) -> Vec<Feature> {
    let rig = &config.cameras;
    let mut found: Vec<Feature> = IMAGES
        .iter()
        .map(|name| Feature::image(name, rig.height, rig.width))
        .collect();
    let numbers = numbers(&config.observation).into_iter();
    found.extend(numbers.map(|(name, shape)| Feature::vector(name, shape.iter().product())));
    for feature in &mut found {
        let names: &[&str] = match feature.name.as_str() {
            "observation.state" => &["speed", "acceleration", "steering", "yaw_rate"],
            "observation.pose" => &["x", "y", "heading"],
            "truth.light" => &["none", "green", "yellow", "red", "distance"],
            "action" => &["acceleration", "steering"],
            _ => continue,
        };
        feature.names = names.iter().map(|&name| name.to_owned()).collect();
    }
    found
}

/// How much an observation must hold so that its frame has a feature; none for what is no feature of a moment,
/// such as the number of a frame.
pub fn part(feature: &str) -> Option<Parts> {
    Some(match feature {
        "truth.plan" | "action" => Parts::Plan,
        "truth.futures" | "truth.occupancy" => Parts::Future,
        "truth.agents" | "truth.visible" | "truth.road" | "truth.lanes" | "truth.lanes_mask"
        | "truth.light" => Parts::Present,
        "observation.state" | "observation.pose" | "observation.route" => Parts::Inputs,
        image if IMAGES.contains(&image) => Parts::Inputs,
        _ => return None,
    })
}

/// What a reader needs besides: sizes, calibration, and what the numbers of each feature are.
pub fn description(env: &DrivingEnv) -> Value {
    let cameras: Map<String, Value> = env
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
    json!({
        "config": env.config(),
        "cameras": cameras,
        "columns": columns(&env.config().observation),
    })
}

fn columns(truth: &ObservationConfig) -> Map<String, Value> {
    let noted = numbers(truth).into_iter().map(|(name, shape)| {
        let mut noted = json!({ "shape": shape });
        match name {
            "observation.pose" => noted["frame"] = json!("ground"),
            "observation.route" | "truth.lanes" => {
                noted["units"] = json!("m");
                noted["frame"] = json!("ego");
            }
            "truth.agents" | "truth.futures" | "truth.plan" => noted["frame"] = json!("ego"),
            "truth.occupancy" => {
                noted["frame"] = json!(grid_frame(truth.extent));
                noted["range"] = json!([0, 1]);
            }
            "truth.road" => {
                noted["units"] = json!("m");
                noted["frame"] = json!(grid_frame(truth.extent));
                noted["range"] = json!([-EDGE_REACH, EDGE_REACH]);
            }
            "truth.visible" | "truth.lanes_mask" => noted["range"] = json!([0, 1]),
            _ => {}
        }
        (name.to_owned(), noted)
    });
    noted.collect()
}

/// One moment as a frame; without the features of the expert's plan or of occupancy where the observation
/// has none.
pub fn frame(shots: &Shots, seen: &Observation, config: &ObservationConfig) -> Frame {
    let mut frame = Frame::default();
    for (name, image) in IMAGES.into_iter().zip(&shots.images) {
        let image = Image {
            width: image.width,
            height: image.height,
            rgb: image.rgb.clone(),
        };
        frame.images.insert(name.to_owned(), image);
    }
    let mut put = |name: &str, values: Vec<f32>| {
        frame.values.insert(name.to_owned(), values);
    };
    let ego = seen.ego;
    let state = [ego.speed, ego.acceleration, ego.steering, ego.yaw_rate];
    put("observation.state", state.map(|v| v as f32).to_vec());
    let Pose { at, heading } = ego.pose;
    let pose = [at.x, at.y, heading].map(|v| v as f32);
    put("observation.pose", pose.to_vec());
    let points = |points: &[Vec2]| -> Vec<f32> {
        points
            .iter()
            .flat_map(|p| [p.x as f32, p.y as f32])
            .collect()
    };
    put("observation.route", points(&seen.route));

    let mut agents = vec![0.0; config.actors * AGENT];
    let mut visible = vec![0.0; config.actors];
    let mut futures = vec![0.0; config.actors * config.future * STEP_ROW];
    for (i, actor) in seen.actors.iter().take(config.actors).enumerate() {
        let is = |kind| f64::from(u8::from(actor.kind == kind));
        let (sin, cos) = actor.pose.heading.sin_cos();
        let [length, width, _] = actor.size;
        let (at, v) = (actor.pose.at, actor.velocity);
        let row: [f64; AGENT] = [
            1.0,
            at.x,
            at.y,
            cos,
            sin,
            length,
            width,
            v.x,
            v.y,
            is(ActorKind::Vehicle),
            is(ActorKind::Pedestrian),
            is(ActorKind::Static),
        ];
        agents[i * AGENT..(i + 1) * AGENT].copy_from_slice(&row.map(|v| v as f32));
        visible[i] = f32::from(actor.visible);
        for (t, pose) in actor.future.iter().take(config.future).enumerate() {
            let k = (i * config.future + t) * STEP_ROW;
            let row = [1.0, pose.at.x, pose.at.y, pose.heading].map(|v| v as f32);
            futures[k..k + STEP_ROW].copy_from_slice(&row);
        }
    }
    put("truth.agents", agents);
    put("truth.visible", visible);
    put("truth.futures", futures);
    // Where the others' futures were not looked at, the grid has the times alone that are now.
    if seen.occupancy.times.len() == config.occupancy_times.len() {
        put("truth.occupancy", times_last(&seen.occupancy.grid, config));
    }

    // Centimetres: a column of few different numbers is a small file.
    let centimetres = |metres: &f64| (100.0 * metres).round() as f32 / 100.0;
    if !seen.road.is_empty() {
        put("truth.road", seen.road.iter().map(centimetres).collect());
    }
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
    if !seen.plan.is_empty() {
        put("truth.plan", plan(ego.speed, &seen.plan));
    }
    let control = [seen.control.acceleration, seen.control.steering];
    put("action", control.map(|v| v as f32).to_vec());
    frame
}

/// `[T, X, Y]` as `[X, Y, T]`.
fn times_last(grid: &[u8], config: &ObservationConfig) -> Vec<f32> {
    let cells = config.cells[0] * config.cells[1];
    let times = config.occupancy_times.len();
    let at = |cell: usize, time: usize| f32::from(grid[time * cells + cell]);
    (0..cells)
        .flat_map(|cell| (0..times).map(move |time| at(cell, time)))
        .collect()
}

/// Poses with their speeds. The vehicle's model moves at the mean of the speeds before and after a step, so
/// that its steps and the present speed give them all.
fn plan(speed: f64, poses: &[Pose]) -> Vec<f32> {
    let (mut before, mut speed) = (Vec2::default(), speed);
    let mut rows = Vec::with_capacity(poses.len() * STEP_ROW);
    for pose in poses {
        let mean = (pose.at - before).length() / STEP;
        speed = (2.0 * mean - speed).max(0.0);
        before = pose.at;
        rows.extend([pose.at.x, pose.at.y, pose.heading, speed].map(|v| v as f32));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::expert::Expert;
    use crate::driving::scene::EpisodeId;
    use conjoin_data::lerobot::Noted;

    fn env(family: &str) -> DrivingEnv {
        let episode = EpisodeId {
            family: family.parse().unwrap(),
            seed: 3,
        };
        DrivingEnv::new(EnvConfig::default(), episode).unwrap()
    }

    #[test]
    fn every_feature_is_part_of_an_observation() {
        let all = features(&EnvConfig::default());
        assert!(all.iter().all(|feature| part(&feature.name).is_some()));
        assert_eq!(part("timestamp"), None);
    }

    #[test]
    fn a_frame_has_the_features_that_were_looked_at() {
        let mut env = env("junction-1");
        let config = env.config().observation.clone();
        for (parts, occupancy, plan) in [
            (Parts::Inputs, false, false),
            (Parts::Present, false, false),
            (Parts::Future, true, false),
            (Parts::Plan, true, true),
        ] {
            let (shots, seen) = env.observe_parts(parts);
            let values = frame(&shots, &seen, &config).values;
            assert_eq!(
                values.contains_key("truth.occupancy"),
                occupancy,
                "{parts:?}"
            );
            assert_eq!(values.contains_key("truth.plan"), plan, "{parts:?}");
        }
    }

    #[test]
    fn a_frame_has_every_feature_in_its_shape() {
        let mut env = env("straight-1");
        let (shots, seen) = env.observe();
        let config = env.config().clone();
        let frame = frame(&shots, &seen, &config.observation);
        let Pose { at, heading } = env.state().ego.pose;
        let pose = [at.x, at.y, heading].map(|v| v as f32);
        assert_eq!(frame.values["observation.pose"], pose);
        let features = features(&config);
        assert_eq!(frame.images.len() + frame.values.len(), features.len());
        for feature in features {
            let found = match frame.images.get(&feature.name) {
                Some(image) => image.rgb.len(),
                None => frame.values[&feature.name].len(),
            };
            assert_eq!(
                found,
                feature.shape.iter().product::<usize>(),
                "{}",
                feature.name
            );
        }
        for (agent, actor) in frame.values["truth.agents"].chunks(AGENT).zip(&seen.actors) {
            assert_eq!(agent[0], 1.0);
            assert_eq!(agent[1] as f64, f64::from(actor.pose.at.x as f32));
            assert!((agent[3].hypot(agent[4]) - 1.0).abs() < 1e-6);
            assert_eq!(agent[9..].iter().sum::<f32>(), 1.0);
            assert_eq!(agent[9] == 1.0, actor.kind == ActorKind::Vehicle);
        }
        let futures = &frame.values["truth.futures"];
        let known: f32 = futures.chunks(STEP_ROW).map(|row| row[0]).sum();
        let steps: usize = seen.actors.iter().map(|actor| actor.future.len()).sum();
        assert!(steps > 0 && known == steps as f32);
    }

    #[test]
    fn times_are_the_last_dimension_of_occupancy() {
        let config = ObservationConfig {
            cells: [2, 2],
            occupancy_times: vec![0.0, 1.0],
            ..ObservationConfig::default()
        };
        let found = times_last(&[1, 0, 0, 0, 0, 0, 1, 1], &config);
        assert_eq!(found, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn the_speeds_of_the_plan_are_the_experts() {
        for (family, steps) in [("curve-0", 30), ("junction-1", 60)] {
            let mut env = env(family);
            for _ in 0..steps {
                let control = env.observe().1.control;
                env.step(control);
            }
            let decision = Expert::default().decide(env.state());
            let ego = env.state().ego;
            let poses = decision.states[1..].iter();
            let local: Vec<Pose> = poses.map(|s| ego.pose.pose_to_local(s.pose)).collect();
            let rows = plan(ego.speed, &local);
            for (row, state) in rows.chunks(STEP_ROW).zip(&decision.states[1..]) {
                assert!((f64::from(row[3]) - state.speed).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn shapes_and_frames_are_noted() {
        let env = env("curve-0");
        let noted = &description(&env)["columns"];
        assert_eq!(noted["truth.agents"]["shape"], json!([12, 12]));
        assert_eq!(
            noted["truth.occupancy"]["frame"],
            "ego [-8, 40] x [-24, 24] m"
        );
        assert_eq!(noted["observation.state"], json!({ "shape": [4] }));
        let info = conjoin_data::lerobot::Info {
            features: Vec::new(),
            unread: Vec::new(),
            extra: description(&env),
            episodes: 0,
        };
        let wanted = Noted {
            shape: Some(vec![20, 2]),
            units: Some("m".to_owned()),
            frame: Some("ego".to_owned()),
            range: None,
        };
        assert_eq!(info.noted("observation.route"), wanted);
    }
}
