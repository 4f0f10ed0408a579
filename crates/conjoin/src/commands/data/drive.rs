//! `conjoin data drive`: the expert of the driving world, recorded.

use crate::cli::data::DriveArgs;
use crate::commands::train::interrupt_flag;
use crate::error::CliError;
use crate::output;
use crate::progress::{Counter, duration};
use conjoin_data::DataError;
use conjoin_data::lerobot::Info;
use conjoin_world::WorldError;
use conjoin_world::driving::env::EnvConfig;
use conjoin_world::driving::map::Family;
use conjoin_world::driving::recording::{Recorded, RecordingConfig};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

pub(crate) fn run(arguments: &DriveArgs) -> Result<(), CliError> {
    let mut env = EnvConfig::default();
    env.cameras.width = arguments.width;
    env.cameras.height = arguments.height;
    env.observation.cells = arguments.cells;
    env.observation.future = arguments.future;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let config = RecordingConfig {
        env,
        families: families(arguments)?,
        episodes: arguments.episodes,
        seed: arguments.seed,
        disturbance: arguments.disturbance,
        jobs: arguments.jobs.unwrap_or(cores),
    };
    config.check().map_err(|error| told(&error))?;
    free(&arguments.out, arguments.force)?;
    let stop = interrupt_flag("episodes that were driven are kept")?;
    let (begun, bar) = (Instant::now(), Counter::of(arguments.episodes as u64));
    let recorded = config
        .record(&arguments.out, &stop, &mut |_, _, so_far| {
            let rate = so_far.frames as f64 / begun.elapsed().as_secs_f64();
            let share = 100.0 * so_far.succeeded as f64 / so_far.episodes.max(1) as f64;
            bar.tell(&format!("{rate:.0} frames/s, success {share:.0} %"));
        })
        .map_err(|error| told(&error))?;
    bar.finish();
    tell(arguments, &recorded, begun.elapsed().as_secs_f64())
}

/// The families of roads that are driven: those that were named, which must be of the split.
pub(super) fn families(arguments: &DriveArgs) -> Result<Vec<Family>, CliError> {
    let all: Vec<Family> = Family::of(arguments.split.into()).collect();
    if let Some(other) = arguments.families.iter().find(|f| !all.contains(f)) {
        let names: Vec<String> = all.iter().map(Family::to_string).collect();
        return Err(CliError::input(format!(
            "--families {other}: expected roads of the split, which are {}",
            names.join(", ")
        )));
    }
    if arguments.families.is_empty() {
        return Ok(all);
    }
    Ok(arguments.families.clone())
}

/// Says what was recorded.
pub(super) fn tell(
    arguments: &DriveArgs,
    recorded: &Recorded,
    seconds: f64,
) -> Result<(), CliError> {
    if recorded.stopped {
        return Err(CliError::failed(format!(
            "interrupted: {} holds {} of {} episodes, {} frames",
            arguments.out.display(),
            recorded.episodes,
            arguments.episodes,
            recorded.frames
        )));
    }
    if arguments.json {
        return output::json(&json!({
            "recording": arguments.out,
            "episodes": recorded.episodes,
            "frames": recorded.frames,
            "succeeded": recorded.succeeded,
            "seconds": seconds,
        }));
    }
    output::line(&format!(
        "{}: {} episodes, {} frames in {} ({:.0} frames/s); the goal was reached in {} of {}",
        arguments.out.display(),
        recorded.episodes,
        recorded.frames,
        duration(seconds),
        recorded.frames as f64 / seconds.max(1e-9),
        recorded.succeeded,
        recorded.episodes
    ))
}

/// Before long work: a folder that holds something is left alone, unless it is a recording that is to be
/// replaced.
pub(super) fn free(out: &Path, force: bool) -> Result<(), CliError> {
    let unwritable = |error: std::io::Error| CliError::unwritable(out, &error);
    let mut entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::unreadable(out, &error)),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    let recording = Info::path(out).is_file();
    if !force || !recording {
        let help = if recording {
            "--force writes over the recording"
        } else {
            "expected a recording, an empty folder or none"
        };
        return Err(CliError::input(format!(
            "{}: the folder holds something; {help}",
            out.display()
        )));
    }
    for part in ["meta", "data"].map(|part| out.join(part)) {
        if part.is_dir() {
            std::fs::remove_dir_all(&part).map_err(unwritable)?;
        }
    }
    Ok(())
}

pub(super) fn told(error: &WorldError) -> CliError {
    match error {
        WorldError::Recording(error) => super::told(error),
        WorldError::Config {
            key,
            found,
            expected,
        } => super::told(&DataError::Config {
            key: key.clone(),
            found: found.clone(),
            expected: expected.clone(),
        }),
        WorldError::Format { .. } => CliError::input(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[test]
    fn families_are_those_of_the_split() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            drive: DriveArgs,
        }
        let chosen = |more: &[&str]| {
            let given = ["drive", "--out", "x", "--episodes", "1"];
            let command =
                Command::try_parse_from(given.iter().chain(more)).map_err(|e| e.to_string())?;
            match families(&command.drive) {
                Ok(families) => Ok(families.iter().map(Family::to_string).collect::<Vec<_>>()),
                Err(CliError::Input(text)) => Err(text),
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(chosen(&[]).unwrap().len(), 15);
        assert_eq!(chosen(&["--split", "held-out"]).unwrap().len(), 5);
        assert_eq!(
            chosen(&["--families", "curve-1,straight-0"]).unwrap(),
            ["curve-1", "straight-0"]
        );
        assert!(
            chosen(&["--families", "curve-3"]).unwrap_err().starts_with(
                "--families curve-3: expected roads of the split, which are straight-0,"
            )
        );
        assert!(
            chosen(&["--families", "curve-9"])
                .unwrap_err()
                .contains("expected one of")
        );
    }

    #[test]
    fn only_a_recording_is_written_over_and_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let refusal = |force: bool| match free(out, force) {
            Ok(()) => None,
            Err(CliError::Input(text)) => Some(text),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(refusal(false), None);
        fs::write(out.join("letter.txt"), "dear").unwrap();
        for force in [false, true] {
            assert!(refusal(force).unwrap().ends_with("an empty folder or none"));
        }
        for file in ["meta/info.json", "data/chunk-000/file-000.parquet"] {
            let file = out.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}").unwrap();
        }
        assert!(
            refusal(false)
                .unwrap()
                .ends_with("--force writes over the recording")
        );
        assert_eq!(refusal(true), None);
        assert!(out.join("letter.txt").is_file() && !out.join("meta").exists());
    }
}
