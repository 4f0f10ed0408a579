//! The expert's drives as a recording: episodes side by side, written in order.
//!
//! What is written depends on the options alone, not on the number of threads.

use super::dataset::{description, features, frame};
use super::env::{DrivingEnv, EnvConfig};
use super::map::Family;
use super::scene::EpisodeId;
use super::score::closed_loop::EpisodeScore;
use super::vehicle::Control;
use crate::error::WorldError;
use crate::random::{WorldRng, stream};
use conjoin_data::lerobot::{Frame, Recorder, RecorderConfig};
use rand::Rng;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Probability that the wheel is jerked from a step on, and for how many steps it is.
const JERKS: f64 = 0.03;
const JERK_STEPS: u32 = 4;
/// Probability that the brakes are pressed from a step on, for how many steps they are, and how hard, m/s².
/// Who only sees the expert stand where it has to learns that who stands goes on standing (Codevilla et al.
/// 2019, "Exploring the Limitations of Behavior Cloning": the inertia problem).
const STOPS: f64 = 0.008;
const STOP_STEPS: std::ops::Range<u32> = 10..40;
const STOP: f64 = -3.0;

/// What is driven and recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingConfig {
    pub env: EnvConfig,
    /// The families that are driven, in turn.
    pub families: Vec<Family>,
    pub episodes: usize,
    /// Episodes of another seed are others.
    pub seed: u64,
    /// With more than 0 the wheel is jerked now and then for a moment, up to this angle, rad, and the brakes
    /// are pressed for some seconds, so that the
    /// expert's way back is in the data.
    pub disturbance: f64,
    /// Episodes that are driven at the same time.
    pub jobs: usize,
}

/// What became of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Whole episodes in it.
    pub episodes: usize,
    pub frames: usize,
    /// Episodes that reached their goal without an infraction other than a red light.
    pub succeeded: usize,
    /// Told to stop before the last episode.
    pub stopped: bool,
}

/// A driven episode.
struct Driven {
    episode: EpisodeId,
    frames: Vec<Frame>,
    score: EpisodeScore,
}

impl RecordingConfig {
    /// Names the option that nothing can be recorded with.
    ///
    /// # Errors
    /// An option is out of range.
    pub fn check(&self) -> Result<(), WorldError> {
        let wrong = |key: &str, found: String, expected: &str| {
            Err(WorldError::config(key, found, expected))
        };
        if self.families.is_empty() {
            return wrong("families", "none".to_owned(), "at least one");
        }
        if self.episodes == 0 {
            return wrong("episodes", "0".to_owned(), "at least 1");
        }
        if self.jobs == 0 {
            return wrong("jobs", "0".to_owned(), "at least 1");
        }
        if !(0.0..=0.5).contains(&self.disturbance) {
            let found = self.disturbance.to_string();
            return wrong("disturbance", found, "radians from 0 to 0.5");
        }
        self.env.cameras.check()?;
        self.env.observation.check()
    }

    fn episode(&self, number: usize) -> Option<EpisodeId> {
        episode(&self.families, self.seed, number)
    }

    /// Lets the expert drive into a new recording. `stop` ends it: episodes that are under way are
    /// forgotten, those before are whole. `told` hears of each episode that was recorded.
    ///
    /// # Errors
    /// An option is out of range, the folder holds something, or the recording cannot be written.
    pub fn record(
        &self,
        root: &Path,
        stop: &AtomicBool,
        told: &mut dyn FnMut(EpisodeId, &EpisodeScore, &Recorded),
    ) -> Result<Recorded, WorldError> {
        self.check()?;
        let Some(first) = self.episode(0) else {
            return Ok(Recorded::default());
        };
        let drive = json!({
            "families": self.families,
            "episodes": self.episodes,
            "seed": self.seed,
            "disturbance": self.disturbance,
        });
        let mut recorder = recorder(root, &self.env, first, drive)?;
        let found = thread::scope(|scope| {
            let queues: Vec<Receiver<_>> = (0..self.jobs.min(self.episodes))
                .map(|worker| {
                    // One episode waits while the next is driven.
                    let (sender, queue) = sync_channel(1);
                    scope.spawn(move || self.work(worker, stop, &sender));
                    queue
                })
                .collect();
            self.write(&mut recorder, queues, told)
        })?;
        recorder.finish()?;
        Ok(found)
    }

    /// Drives every n-th episode until it is told to stop or nobody listens.
    fn work(
        &self,
        worker: usize,
        stop: &AtomicBool,
        sender: &SyncSender<Result<Driven, WorldError>>,
    ) {
        let step = self.jobs.min(self.episodes).max(1);
        for number in (worker..self.episodes).step_by(step) {
            let Some(episode) = self.episode(number) else {
                return;
            };
            let driven = drive(&self.env, episode, self.disturbance, stop);
            let Some(driven) = driven.transpose() else {
                return;
            };
            if sender.send(driven).is_err() {
                return;
            }
        }
    }

    /// Takes the episodes in their order.
    fn write(
        &self,
        recorder: &mut Recorder,
        queues: Vec<Receiver<Result<Driven, WorldError>>>,
        told: &mut dyn FnMut(EpisodeId, &EpisodeScore, &Recorded),
    ) -> Result<Recorded, WorldError> {
        let mut found = Recorded::default();
        for number in 0..self.episodes {
            let Ok(driven) = queues[number % queues.len()].recv() else {
                found.stopped = true;
                break;
            };
            let driven = driven?;
            found.episodes += 1;
            found.frames += driven.frames.len();
            found.succeeded += usize::from(driven.score.success);
            for frame in driven.frames {
                recorder.push(frame)?;
            }
            recorder.end_episode(&task(driven.episode))?;
            told(driven.episode, &driven.score, &found);
        }
        Ok(found)
    }
}

/// An episode of a recording by its number; families of layouts take turns.
pub fn episode(families: &[Family], seed: u64, number: usize) -> Option<EpisodeId> {
    Some(EpisodeId {
        family: *families.get(number % families.len().max(1))?,
        seed: seed.wrapping_mul(1 << 32).wrapping_add(number as u64),
    })
}

/// Begins a recording of what an environment gives; `drive` tells how it was driven.
///
/// # Errors
/// An option is out of range, the folder holds something, or nothing can be written there.
pub fn recorder(
    root: &Path,
    env: &EnvConfig,
    first: EpisodeId,
    drive: serde_json::Value,
) -> Result<Recorder, WorldError> {
    let mut extra = description(&DrivingEnv::new(env.clone(), first)?);
    extra["drive"] = drive;
    let config = RecorderConfig {
        extra,
        ..RecorderConfig::default()
    };
    Ok(Recorder::create(root, features(env), config)?)
}

/// What an episode of a recording is called.
pub fn task(episode: EpisodeId) -> String {
    format!("drive the route: {}", episode.family)
}

/// Steps that are kept of a standstill at the end of an episode.
const STANDSTILL: usize = 50;

/// An episode whose vehicle stands until its time is over, because there is no way out, without all but the
/// beginning of that: a minute of it would teach to stand wherever somebody stands ahead.
pub fn without_standstill(mut frames: Vec<Frame>) -> Vec<Frame> {
    let stands = |frame: &Frame| {
        let state = frame.values.get("observation.state");
        state
            .and_then(|state| state.first())
            .is_some_and(|speed| *speed < 0.05)
    };
    let standing = frames
        .iter()
        .rev()
        .take_while(|frame| stands(frame))
        .count();
    frames.truncate(frames.len() - standing.saturating_sub(STANDSTILL));
    frames
}

/// Lets the expert drive an episode; `None` if it is stopped.
fn drive(
    config: &EnvConfig,
    episode: EpisodeId,
    disturbance: f64,
    stop: &AtomicBool,
) -> Result<Option<Driven>, WorldError> {
    let mut env = DrivingEnv::new(config.clone(), episode)?;
    let mut disturbed = Disturbed::new(episode.seed, disturbance);
    let mut frames = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (shots, seen) = env.observe();
        frames.push(frame(&shots, &seen, &config.observation));
        env.step(disturbed.control(seen.control));
        if let Some(score) = env.score() {
            return Ok(Some(Driven {
                episode,
                frames: without_standstill(frames),
                score,
            }));
        }
    }
    Ok(None)
}

/// Somebody who now and then lays hands on the wheel and foot on the brakes.
struct Disturbed {
    rng: WorldRng,
    angle: f64,
    /// What is added to the wheel, and for how many steps yet.
    jerk: (f64, u32),
    /// For how many steps yet the brakes are pressed.
    stop: u32,
}

impl Disturbed {
    fn new(seed: u64, angle: f64) -> Self {
        Self {
            rng: stream(seed, "disturbance", &[]),
            angle,
            jerk: (0.0, 0),
            stop: 0,
        }
    }

    /// What becomes of the expert's control.
    fn control(&mut self, expert: Control) -> Control {
        let mut control = expert;
        if self.angle <= 0.0 {
            return control;
        }
        if self.jerk.1 == 0 && self.rng.random_bool(JERKS) {
            self.jerk = (self.rng.random_range(-self.angle..self.angle), JERK_STEPS);
        }
        if self.stop == 0 && self.rng.random_bool(STOPS) {
            self.stop = self.rng.random_range(STOP_STEPS);
        }
        if self.jerk.1 > 0 {
            control.steering += self.jerk.0;
            self.jerk.1 -= 1;
        }
        if self.stop > 0 {
            control.acceleration = control.acceleration.min(STOP);
            self.stop -= 1;
        }
        control
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::map::Split;
    use conjoin_data::lerobot::Recording;
    use std::fs;

    #[test]
    fn a_standstill_at_the_end_is_cut_and_one_before_is_not() {
        let moving = |speed: f32| {
            let mut frame = Frame::default();
            let state = vec![speed, 0.0, 0.0, 0.0];
            frame.values.insert("observation.state".to_owned(), state);
            frame
        };
        let episode = |speeds: &[(f32, usize)]| -> Vec<Frame> {
            let frames = speeds.iter();
            frames
                .flat_map(|&(speed, steps)| vec![moving(speed); steps])
                .collect()
        };
        let count = |speeds: &[(f32, usize)]| without_standstill(episode(speeds)).len();
        assert_eq!(count(&[(5.0, 30), (0.0, 600)]), 30 + STANDSTILL);
        assert_eq!(count(&[(5.0, 30), (0.0, 20)]), 50);
        assert_eq!(count(&[(5.0, 30), (0.0, 600), (1.0, 5)]), 635);
        assert_eq!(count(&[]), 0);
    }

    fn config(episodes: usize, jobs: usize) -> RecordingConfig {
        let mut env = EnvConfig::default();
        env.cameras.width = 32;
        env.cameras.height = 16;
        RecordingConfig {
            env,
            families: Family::of(Split::Training).collect(),
            episodes,
            seed: 5,
            disturbance: 0.1,
            jobs,
        }
    }

    #[test]
    fn any_number_of_threads_records_the_same() {
        let folders = [1, 3].map(|jobs| {
            let folder = tempfile::tempdir().unwrap();
            let mut told = Vec::new();
            let found = config(3, jobs)
                .record(
                    folder.path(),
                    &AtomicBool::new(false),
                    &mut |episode, score, found| {
                        told.push((episode, score.seconds, found.episodes));
                    },
                )
                .unwrap();
            assert_eq!((found.episodes, found.stopped), (3, false));
            let seconds: f64 = told.iter().map(|t| t.1).sum();
            // Less than was driven where a standstill was cut.
            let driven = (seconds * 10.0).round() as usize;
            assert!(
                (300..=driven).contains(&found.frames),
                "{} of {driven}",
                found.frames
            );
            folder
        });
        for file in [
            "data/chunk-000/file-000.parquet",
            "meta/info.json",
            "meta/stats.json",
        ] {
            let [one, three] = [0, 1].map(|i| fs::read(folders[i].path().join(file)).unwrap());
            assert!(one == three, "{file}");
        }
        let recording = Recording::open(folders[0].path()).unwrap();
        let extra = &recording.info().extra;
        let kept: EnvConfig = serde_json::from_value(extra["config"].clone()).unwrap();
        assert_eq!(kept, config(1, 1).env);
        let families = extra["drive"]["families"].as_array().unwrap();
        assert_eq!((families.len(), &families[14]), (15, &json!("junction-2")));
        // The car moves as its plan of a moment before said.
        let frames = recording.episode(0).unwrap();
        for frame in [0, 20, 40].map(|i| &frames[i].values) {
            let (plan, speed) = (&frame["truth.plan"], frame["observation.state"][0]);
            let first = plan[0].hypot(plan[1]);
            assert!((first - speed * 0.1).abs() < 0.05, "{first} {speed}");
        }
        let first = &frames[0].values;
        let occupied: f32 = first["truth.occupancy"].iter().sum();
        assert!(first["truth.agents"][0] == 1.0 && occupied > 3.0);
    }

    #[test]
    fn a_stopped_recording_is_whole_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let found = config(400, 2)
            .record(folder.path(), &stop, &mut |_, _, _| {
                stop.store(true, Ordering::Relaxed);
            })
            .unwrap();
        assert!(found.stopped && found.episodes >= 1 && found.episodes < 8);
        let recording = Recording::open(folder.path()).unwrap();
        assert_eq!(
            (recording.len(), recording.notice()),
            (found.episodes, None)
        );
    }

    #[test]
    fn options_out_of_range_are_named() {
        let refusal = |change: fn(&mut RecordingConfig)| {
            let mut config = config(1, 1);
            change(&mut config);
            let folder = tempfile::tempdir().unwrap();
            let stop = AtomicBool::new(false);
            let found = config.record(folder.path(), &stop, &mut |_, _, _| {});
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
            found.unwrap_err().to_string()
        };
        assert!(refusal(|c| c.families.clear()).starts_with("option `families`: found none"));
        assert!(refusal(|c| c.episodes = 0).starts_with("option `episodes`: found 0"));
        assert!(refusal(|c| c.jobs = 0).starts_with("option `jobs`: found 0"));
        assert!(refusal(|c| c.disturbance = 2.0).starts_with("option `disturbance`: found 2"));
        assert!(refusal(|c| c.env.cameras.width = 8).starts_with("option `width`: found 8"));
    }
}
