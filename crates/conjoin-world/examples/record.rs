//! Records the expert: `cargo run --release -p conjoin-world --example record -- FOLDER [EPISODES [FAMILY]]`.

use conjoin_world::driving::dataset::{description, features, record_episode};
use conjoin_world::driving::env::{DrivingEnv, EnvConfig};
use conjoin_world::driving::map::{Family, Split};
use conjoin_world::driving::scene::EpisodeId;
use conjoin_world::record::{Recorder, RecorderConfig};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments
        .first()
        .ok_or("the folder to record into is missing")?;
    let count: usize = arguments.get(1).map_or(Ok(4), |a| a.parse())?;
    let families: Vec<Family> = match arguments.get(2) {
        Some(name) => vec![name.parse()?],
        None => Family::of(Split::Training).collect(),
    };
    let config = EnvConfig::default();
    let first = EpisodeId {
        family: families[0],
        seed: 0,
    };
    let settings = RecorderConfig {
        extra: description(&DrivingEnv::new(config.clone(), first)?),
        ..RecorderConfig::default()
    };
    let mut recorder = Recorder::create(Path::new(folder), features(&config), settings)?;
    let (begun, mut driven) = (std::time::Instant::now(), 0.0);
    for (seed, family) in families.into_iter().cycle().take(count).enumerate() {
        let episode = EpisodeId {
            family,
            seed: seed as u64,
        };
        let score = record_episode(&mut recorder, &config, episode, 0.1)?;
        driven += score.seconds;
        println!(
            "{family} {seed}: {:?}, {:.1} s",
            score.ending, score.seconds
        );
    }
    recorder.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{driven:.0} s recorded in {seconds:.1} s: {:.1} times real time",
        driven / seconds
    );
    Ok(())
}
