//! How many times faster than real time each family runs, with three cameras and everything observed:
//! `cargo run --release -p conjoin-world --example speed -- [EPISODES [SECONDS]]`.
//!
//! `inputs` is what a trained driver needs (images, state, route), driven by the lane-follower; `plan`
//! adds the truth with futures, occupancy and the expert's plan, driven by the expert. On one core, and
//! on all of them with episodes in parallel.

use conjoin_world::driving::baseline::follow_lane;
use conjoin_world::driving::env::{DrivingEnv, EnvConfig};
use conjoin_world::driving::map::Family;
use conjoin_world::driving::observation::Parts;
use conjoin_world::driving::scene::EpisodeId;
use rayon::prelude::*;
use std::time::Instant;

/// Seconds driven.
fn run(episode: EpisodeId, parts: Parts, most: f64) -> f64 {
    let Ok(mut env) = DrivingEnv::new(EnvConfig::default(), episode) else {
        return 0.0;
    };
    while env.state().time() < most {
        let (_, seen) = env.observe_parts(parts);
        let control = match parts {
            Parts::Plan => seen.control,
            _ => follow_lane(env.state()),
        };
        if env.step(control).is_some() {
            break;
        }
    }
    env.state().time()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let episodes: u64 = arguments.first().map_or(Ok(4), |a| a.parse())?;
    let most: f64 = arguments.get(1).map_or(Ok(20.0), |a| a.parse())?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let cores = rayon::current_num_threads();
    println!(
        "times real time  inputs, 1 core  inputs, {cores} cores  plan, 1 core  plan, {cores} cores"
    );
    let measure = |families: &[Family]| {
        let ids = || {
            let ids = families
                .iter()
                .flat_map(|&family| (0..episodes).map(move |seed| EpisodeId { family, seed }));
            ids.collect::<Vec<_>>()
        };
        let ratio = |parts: Parts| {
            let begun = Instant::now();
            let driven: f64 = ids()
                .into_par_iter()
                .map(|episode| run(episode, parts, most))
                .sum();
            driven / begun.elapsed().as_secs_f64()
        };
        [Parts::Inputs, Parts::Plan].map(|parts| (one.install(|| ratio(parts)), ratio(parts)))
    };
    let line = |name: &str, [(a, b), (c, d)]: [(f64, f64); 2]| {
        println!("{name:<15} {a:>15.1} {b:>16.1} {c:>13.1} {d:>14.1}");
    };
    let families: Vec<Family> = Family::all().collect();
    for family in &families {
        line(&family.to_string(), measure(&[*family]));
    }
    line("all", measure(&families));
    Ok(())
}
