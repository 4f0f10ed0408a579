//! A moment of a drive as a line of JSON.
//!
//! | key | holds |
//! | --- | --- |
//! | the name of a feature of the recording | its numbers, flat or nested in its shape; images as bytes, RGB row by row |
//! | `reset` | true begins a new drive with this moment |
//! | `safety` | what the safety layer's own sensors see: `{"detected": [{"position": [x, y], "velocity": [vx, vy], "size": [length, width], "heading": h, "wheels": true}, …]}`; without `wheels` a thing may step anywhere |
//!
//! Everything is in the frame of the vehicle: x forward, y left, from the rear axle; metres, radians, m/s.
//! `position` is the middle of a box, `velocity` is over the ground.

use crate::error::TaskError;
use conjoin_data::DataError;
use conjoin_data::lerobot::{Feature, FeatureKind, Frame, Image, Info};
use conjoin_world::driving::guard::Around;
use conjoin_world::driving::vehicle::EgoState;
use conjoin_world::geometry::{Obb, Pose, Vec2};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Speed, acceleration, steering and yaw rate: what following a plan begins with.
pub(super) const STATE: &str = "observation.state";
/// What the layer is told of where a line has nothing of its own for it.
const AGENTS: &str = "truth.agents";
const RESET: &str = "reset";
const SAFETY: &str = "safety";

/// What a moment is told as.
#[derive(Debug)]
pub(super) struct Form {
    features: Vec<Known>,
    /// The score from which agents count for the safety layer.
    threshold: f32,
}

/// A feature of the recording.
#[derive(Debug)]
struct Known {
    feature: Feature,
    shape: Vec<usize>,
    range: Option<(f32, f32)>,
    needed: bool,
}

/// A moment that was told.
#[derive(Debug)]
pub(super) struct Moment {
    pub frame: Frame,
    pub ego: EgoState,
    /// What the safety layer knows of; none where it was told nothing.
    pub around: Option<Around>,
    /// Whether a new drive begins.
    pub reset: bool,
}

/// A thing that the safety layer's sensors see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    position: [f64; 2],
    velocity: [f64; 2],
    size: [f64; 2],
    heading: f64,
    /// Whether it rolls along its heading; else it may step in any direction.
    #[serde(default)]
    wheels: bool,
}

fn wrong(place: String, found: impl Into<String>, expected: impl Into<String>) -> TaskError {
    let (found, expected) = (found.into(), expected.into());
    TaskError::Data(DataError::Format {
        place,
        found,
        expected,
    })
}

fn key(name: &str) -> String {
    format!("key `{name}`")
}

impl Form {
    /// The features that the recording has, those that are `needed` required; none where the vehicle's
    /// state is not among them.
    pub fn new(info: &Info, needed: &BTreeSet<String>, threshold: f32) -> Option<Self> {
        let features: Vec<Known> = (info.features.iter().cloned())
            .map(|feature| {
                let noted = info.noted(&feature.name);
                let numbers = feature.shape.iter().product::<usize>();
                let shape = noted
                    .shape
                    .filter(|s| s.iter().product::<usize>() == numbers);
                Known {
                    shape: shape.unwrap_or_else(|| feature.shape.clone()),
                    range: match feature.kind {
                        FeatureKind::Image => Some((0.0, 255.0)),
                        _ => noted.range,
                    },
                    needed: feature.name == STATE || needed.contains(&feature.name),
                    feature,
                }
            })
            .collect();
        let has_state = |known: &Known| known.feature.name == STATE && known.shape == [4];
        features.iter().any(has_state).then_some(Self {
            features,
            threshold,
        })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is no JSON object, or a key is missing, unknown, or holds something else than it should; the
    /// message names the key, what was found and what was expected.
    pub fn read(&self, line: &str) -> Result<Moment, TaskError> {
        let expected = "a JSON object of named features";
        let told = match serde_json::from_str(line) {
            Ok(Value::Object(told)) => told,
            Ok(other) => return Err(wrong("line".to_owned(), kind(&other), expected)),
            Err(error) => return Err(wrong("line".to_owned(), error.to_string(), expected)),
        };
        let mut frame = Frame::default();
        for (name, value) in told.iter().filter(|(name, _)| !is_command(name)) {
            let mut features = self.features.iter();
            let Some(known) = features.find(|known| known.feature.name == *name) else {
                return Err(wrong(key(name), "a name that is not known", self.names()));
            };
            known.read(value, &mut frame)?;
        }
        for known in self.features.iter().filter(|known| known.needed) {
            if !told.contains_key(&known.feature.name) {
                return Err(wrong(key(&known.feature.name), "nothing", known.expected()));
            }
        }
        let ego = match frame.values.get(STATE).map(Vec::as_slice) {
            Some(&[speed, acceleration, steering, yaw_rate]) => EgoState {
                speed: f64::from(speed),
                acceleration: f64::from(acceleration),
                steering: f64::from(steering),
                yaw_rate: f64::from(yaw_rate),
                ..EgoState::default()
            },
            _ => return Err(wrong(key(STATE), "nothing", "4 numbers")),
        };
        Ok(Moment {
            around: self.around(&told, &frame)?,
            reset: reset(&told)?,
            ego,
            frame,
        })
    }

    /// What the safety layer is told: what its own sensors see, or else the agents.
    fn around(
        &self,
        told: &Map<String, Value>,
        frame: &Frame,
    ) -> Result<Option<Around>, TaskError> {
        let mut around = Around::default();
        if let Some(safety) = told.get(SAFETY) {
            for (footprint, velocity, wheels) in detected(safety)? {
                around.add(footprint, velocity, wheels);
            }
        } else if let Some(agents) = frame.values.get(AGENTS) {
            around.add_rows(agents, self.threshold);
        } else {
            return Ok(None);
        }
        Ok(Some(around))
    }

    fn names(&self) -> String {
        let features = self.features.iter();
        let features = features.map(|known| known.feature.name.as_str());
        let names: Vec<&str> = features.chain([RESET, SAFETY]).collect();
        format!("one of {}", names.join(", "))
    }
}

fn is_command(name: &str) -> bool {
    name == RESET || name == SAFETY
}

impl Known {
    fn expected(&self) -> String {
        let what = match self.range {
            Some((low, high)) => format!("numbers from {low} to {high}"),
            None => "numbers".to_owned(),
        };
        format!("{what} in shape {:?}, nested or flat", self.shape)
    }

    fn read(&self, value: &Value, frame: &mut Frame) -> Result<(), TaskError> {
        let name = &self.feature.name;
        let refuse = |found: String| Err(wrong(key(name), found, self.expected()));
        let count = [self.shape.iter().product::<usize>()];
        let mut numbers = Vec::with_capacity(count[0]);
        let shape: &[usize] = match value {
            // A single number may stand without brackets.
            Value::Number(_) if self.shape == [1] => &[],
            Value::Array(items) if items.iter().all(Value::is_number) => &count,
            _ => &self.shape,
        };
        if let Err(found) = flatten(value, shape, &mut numbers) {
            return refuse(found);
        }
        let (low, high) = self.range.unwrap_or((f32::MIN, f32::MAX));
        if let Some(odd) = numbers.iter().find(|n| !(low..=high).contains(*n)) {
            return refuse(odd.to_string());
        }
        if self.feature.kind != FeatureKind::Image {
            frame.values.insert(name.clone(), numbers);
            return Ok(());
        }
        let &[height, width, 3] = self.shape.as_slice() else {
            return refuse("an image that is not RGB".to_owned());
        };
        let image = Image {
            width,
            height,
            rgb: numbers.iter().map(|&number| number as u8).collect(),
        };
        frame.images.insert(name.clone(), image);
        Ok(())
    }
}

/// Adds the numbers of nested arrays of this shape; else what was found instead.
fn flatten(value: &Value, shape: &[usize], numbers: &mut Vec<f32>) -> Result<(), String> {
    match (value, shape) {
        (Value::Number(number), []) => {
            numbers.push(number.as_f64().unwrap_or(f64::NAN) as f32);
            Ok(())
        }
        (Value::Array(items), [size, rest @ ..]) if items.len() == *size => {
            let mut items = items.iter();
            items.try_for_each(|item| flatten(item, rest, numbers))
        }
        (other, _) => Err(kind(other)),
    }
}

/// What a value is, for messages.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn reset(told: &Map<String, Value>) -> Result<bool, TaskError> {
    match told.get(RESET) {
        None => Ok(false),
        Some(Value::Bool(reset)) => Ok(*reset),
        Some(other) => Err(wrong(key(RESET), kind(other), "true or false")),
    }
}

/// The boxes that the safety layer's sensors see, with their velocities, and whether they have wheels.
fn detected(safety: &Value) -> Result<Vec<(Obb, Vec2, bool)>, TaskError> {
    let things = match safety.as_object() {
        Some(safety) if safety.len() == 1 => safety.get("detected").and_then(Value::as_array),
        _ => None,
    };
    let Some(things) = things else {
        let expected = "an object with one key, \"detected\", that holds an array";
        return Err(wrong(key(SAFETY), kind(safety), expected));
    };
    let read = |(index, thing): (usize, &Value)| {
        let place = || key(&format!("{SAFETY}.detected[{index}]"));
        let seen = Seen::deserialize(thing).map_err(|error| {
            let expected = "position, velocity and size, two numbers each, and heading";
            wrong(place(), error.to_string(), expected)
        })?;
        let [length, width] = seen.size;
        if length < 0.0 || width < 0.0 {
            return Err(wrong(place(), format!("size {:?}", seen.size), "0 or more"));
        }
        let ([x, y], [vx, vy]) = (seen.position, seen.velocity);
        let footprint = Obb::new(Pose::new(x, y, seen.heading), length, width);
        Ok((footprint, Vec2::new(vx, vy), seen.wheels))
    };
    things.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form() -> Form {
        let info = Info {
            features: vec![
                Feature::image("observation.images.front", 1, 2),
                Feature::vector(STATE, 4),
                Feature::vector("observation.route", 4),
                Feature::vector(AGENTS, 24),
                Feature::vector("truth.visible", 2),
            ],
            unread: Vec::new(),
            extra: json!({"columns": {
                "observation.route": {"shape": [2, 2]},
                "truth.visible": {"range": [0, 1]},
            }}),
            episodes: 1,
        };
        let needed: BTreeSet<String> = ["observation.route".to_owned()].into();
        Form::new(&info, &needed, 0.5).unwrap()
    }

    /// A moment with some keys more, or other ones.
    fn line(more: Value) -> String {
        let mut told = json!({STATE: [5.0, 0.5, 0.1, -0.2], "observation.route": [1, 0, 2, 0]});
        if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
            told.extend(more);
        }
        told.to_string()
    }

    #[test]
    fn a_moment_is_read_flat_or_nested() {
        let moment = form().read(&line(json!({}))).unwrap();
        assert_eq!(
            (moment.ego.speed, moment.ego.pose),
            (5.0, EgoState::default().pose)
        );
        assert!((moment.ego.yaw_rate + 0.2).abs() < 1e-6);
        assert!(!moment.reset && moment.around.is_none());
        let route = [1.0, 0.0, 2.0, 0.0];
        assert_eq!(moment.frame.values["observation.route"], route);
        let more = json!({
            "observation.route": [[1, 0], [2, 0]],
            "observation.images.front": [[[0, 1, 2], [3, 4, 255]]],
            "reset": true,
        });
        let moment = form().read(&line(more)).unwrap();
        assert!(moment.reset);
        assert_eq!(moment.frame.values["observation.route"], route);
        let image = &moment.frame.images["observation.images.front"];
        assert_eq!((image.width, image.height), (2, 1));
        assert_eq!(image.rgb, [0, 1, 2, 3, 4, 255]);
    }

    #[test]
    fn the_safety_layer_has_its_own_inputs_or_the_agents() {
        let mut agents = [0.0; 24];
        agents[..9].copy_from_slice(&[1.0, 12.0, 0.0, 1.0, 0.0, 4.0, 2.0, 5.0, 0.0]);
        let told = json!({AGENTS: agents.to_vec()});
        let around = form().read(&line(told)).unwrap().around.unwrap();
        assert!(!around.detected.is_empty());
        assert!(around.detected.iter().all(|d| d.velocity == [5.0, 0.0]));
        let thing = json!({"position": [8, 1], "velocity": [0, 2], "size": [2, 2], "heading": 0});
        let told = json!({AGENTS: agents.to_vec(), SAFETY: {"detected": [thing]}});
        let around = form().read(&line(told)).unwrap().around.unwrap();
        assert!(around.detected.iter().all(|d| d.velocity == [0.0, 2.0]));
        let told = json!({SAFETY: {"detected": []}});
        assert_eq!(
            form().read(&line(told)).unwrap().around,
            Some(Around::default())
        );
    }

    #[test]
    fn mistakes_name_the_key_and_what_was_found() {
        let refusal = |line: &str| form().read(line).unwrap_err();
        let told = |more: Value| refusal(&line(more)).to_string();
        assert!(refusal("{").is_an_inputs());
        assert!(
            refusal("")
                .to_string()
                .ends_with("expected a JSON object of named features")
        );
        assert_eq!(
            refusal("[1]").to_string(),
            "line: found an array of 1, expected a JSON object of named features"
        );
        assert_eq!(
            refusal(&json!({STATE: [5, 0, 0, 0]}).to_string()).to_string(),
            "key `observation.route`: found nothing, expected numbers in shape [2, 2], nested or flat"
        );
        assert_eq!(
            told(json!({STATE: [5, 0, 0]})),
            "key `observation.state`: found an array of 3, expected numbers in shape [4], nested or \
             flat"
        );
        assert_eq!(
            told(json!({"observation.route": [[1, 0, 2], [0]]})),
            "key `observation.route`: found an array of 3, expected numbers in shape [2, 2], nested \
             or flat"
        );
        assert!(told(json!({"observation.route": [1, 0, 2, "0"]})).contains("found an array of 4"));
        assert!(told(json!({"observation.route": [1, 0, 2, 1e300]})).contains("found inf"));
        assert_eq!(
            told(json!({"truth.visible": [1, 2]})),
            "key `truth.visible`: found 2, expected numbers from 0 to 1 in shape [2], nested or flat"
        );
        let found = told(json!({"observation.stat": []}));
        assert!(
            found.starts_with(
                "key `observation.stat`: found a name that is not known, expected one"
            )
        );
        assert!(found.ends_with("truth.visible, reset, safety"));
        assert_eq!(
            told(json!({"reset": 1})),
            "key `reset`: found 1, expected true or false"
        );
        assert!(told(json!({SAFETY: {"seen": []}})).starts_with("key `safety`: found an object"));
        let found = told(json!({SAFETY: {"detected": [{"position": [1, 2]}]}}));
        assert!(found.starts_with("key `safety.detected[0]`: found missing field"));
        let thing = json!({"position": [8, 1], "velocity": [0, 2], "size": [-2, 2], "heading": 0});
        let found = told(json!({SAFETY: {"detected": [thing]}}));
        assert_eq!(
            found,
            "key `safety.detected[0]`: found size [-2.0, 2.0], expected 0 or more"
        );
    }

    #[test]
    fn a_recording_without_the_vehicles_state_has_no_form() {
        let info = Info {
            features: vec![Feature::vector(AGENTS, 12)],
            unread: Vec::new(),
            extra: Value::Null,
            episodes: 1,
        };
        assert!(Form::new(&info, &BTreeSet::new(), 0.5).is_none());
    }
}
