//! A moment of a drive as a line of JSON.
//!
//! | key | holds |
//! | --- | --- |
//! | the name of a feature of the recording | its numbers, flat or nested in its shape; images as bytes, RGB row by row |
//! | `reset` | true begins a new drive with this moment, and ends a stop |
//! | `time` | when the oldest part of the moment was measured, seconds of any clock; moments are 0.1 s apart |
//! | `safety` | what the safety layer's own sensors see: `{"detected": [{"position": [x, y], "velocity": [vx, vy], "size": [length, width], "heading": h, "wheels": true}, …], "edges": [{"position": [x, y], "speed": v}, …]}`; without `wheels` a thing may step anywhere; without `safety` it is told of the moment's `truth.agents`, and of cells of its `truth.occupancy` that none of them explains, as things that stand |
//!
//! Everything is in the frame of the vehicle: x forward, y left, from the rear axle; metres, radians, m/s.
//! `position` is the middle of a box, `velocity` is over the ground. `edges`, which may be left out, are points
//! behind which something may be that comes out at `speed`, else at the task's `hidden_speed`; 0 is a point
//! of a surface that stands.

use crate::error::TaskError;
use conjoin_data::DataError;
use conjoin_data::lerobot::{Feature, FeatureKind, Frame, Image, Info};
use conjoin_world::driving::env::EnvConfig;
use conjoin_world::driving::guard::{Around, GuardConfig};
use conjoin_world::driving::observation::ObservationConfig;
use conjoin_world::driving::vehicle::EgoState;
use conjoin_world::geometry::{Obb, Pose, Vec2};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Speed, acceleration, steering and yaw rate: what following a plan begins with.
pub(super) const STATE: &str = "observation.state";
/// What the layer is told of where a line has nothing of its own for it.
const AGENTS: &str = "truth.agents";
/// `[X, Y, T]`; told with the agents.
const OCCUPANCY: &str = "truth.occupancy";
const RESET: &str = "reset";
const TIME: &str = "time";
const SAFETY: &str = "safety";

/// What a moment is told as.
#[derive(Debug)]
pub(super) struct Form {
    features: Vec<Known>,
    /// The score from which agents count for the safety layer, and what it expects behind edges.
    guard: GuardConfig,
    /// The cells of occupancy; none where the recording does not say what they cover.
    grid: Option<ObservationConfig>,
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
    /// When it was measured, seconds of a clock that is not ours.
    pub time: Option<f64>,
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

/// A point behind which something may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    position: [f64; 2],
    speed: Option<f64>,
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
    pub fn new(info: &Info, needed: &BTreeSet<String>, guard: GuardConfig) -> Option<Self> {
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
        let config = info.extra.get("config").cloned();
        let config = config.and_then(|config| serde_json::from_value::<EnvConfig>(config).ok());
        features.iter().any(has_state).then_some(Self {
            features,
            guard,
            grid: config.map(|config| config.observation),
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
            time: time(&told)?,
            ego,
            frame,
        })
    }

    /// What the safety layer is told: what its own sensors see, or else the agents and what else is occupied.
    fn around(
        &self,
        told: &Map<String, Value>,
        frame: &Frame,
    ) -> Result<Option<Around>, TaskError> {
        let mut around = Around::default();
        if let Some(safety) = told.get(SAFETY) {
            self.sensors(safety, &mut around)?;
        } else if let Some(agents) = frame.values.get(AGENTS) {
            around.add_rows(agents, self.guard.threshold);
            self.occupied(frame, &mut around);
        } else {
            return Ok(None);
        }
        Ok(Some(around))
    }

    /// Adds the cells that are occupied now and that no agent explains.
    fn occupied(&self, frame: &Frame, around: &mut Around) {
        let Some((grid, cells)) = self.grid.as_ref().zip(frame.values.get(OCCUPANCY)) else {
            return;
        };
        let times = &grid.occupancy_times;
        if let Some(now) = times.iter().position(|&time| time <= 0.0) {
            let cells = cells.iter().skip(now).step_by(times.len());
            let cells: Vec<f32> = cells.copied().collect();
            around.add_occupancy(&cells, grid, self.guard.threshold);
        }
    }

    /// Adds what the layer's own sensors see.
    fn sensors(&self, safety: &Value, around: &mut Around) -> Result<(), TaskError> {
        let expected = "an object with \"detected\", and perhaps \"edges\", that hold arrays";
        let refuse = || wrong(key(SAFETY), kind(safety), expected);
        let told = safety.as_object().ok_or_else(refuse)?;
        let array = |name: &str| told.get(name).and_then(Value::as_array);
        let detected = array("detected").ok_or_else(refuse)?;
        let edges = array("edges");
        if told.len() != 1 + usize::from(edges.is_some()) {
            return Err(refuse());
        }
        for (index, thing) in detected.iter().enumerate() {
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
            around.add(footprint, Vec2::new(vx, vy), seen.wheels);
        }
        for (index, edge) in edges.into_iter().flatten().enumerate() {
            let place = || key(&format!("{SAFETY}.edges[{index}]"));
            let edge = Edge::deserialize(edge).map_err(|error| {
                let expected = "position, two numbers, and perhaps speed";
                wrong(place(), error.to_string(), expected)
            })?;
            let speed = edge.speed.unwrap_or(self.guard.hidden_speed);
            if speed < 0.0 {
                return Err(wrong(place(), format!("speed {speed}"), "0 or more"));
            }
            let [x, y] = edge.position;
            around.stand(Vec2::new(x, y), speed);
        }
        Ok(())
    }

    fn names(&self) -> String {
        let features = self.features.iter();
        let features = features.map(|known| known.feature.name.as_str());
        let names: Vec<&str> = features.chain([RESET, TIME, SAFETY]).collect();
        format!("one of {}", names.join(", "))
    }
}

fn is_command(name: &str) -> bool {
    [RESET, TIME, SAFETY].contains(&name)
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

fn time(told: &Map<String, Value>) -> Result<Option<f64>, TaskError> {
    let Some(found) = told.get(TIME) else {
        return Ok(None);
    };
    let seconds = found.as_f64().filter(|seconds| seconds.is_finite());
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(wrong(key(TIME), kind(found), "a number of seconds")),
    }
}

#[cfg(test)]
mod tests;
