//! Drives episodes with the expert and the baselines, and prints what came out.
//!
//! `cargo run --release -p conjoin-world --example closed_loop -- [EPISODES [DRIVER [FAMILY]]]`, where
//! the driver is `expert`, `idm` or `constant-velocity`. `PDMS=1` scores stretches of 4 s too, `GUARD=1`
//! puts the safety layer behind the driver and `GUARD=watch` only counts what it would have done,
//! `HIDDEN=1.4` is the speed, m/s, of what it expects behind edges (else as in a recipe), `VERBOSE=1` names the episodes that
//! failed, and `SPLIT=held-out` leaves the families of training out.

use conjoin_world::driving::baseline::Baseline;
use conjoin_world::driving::drive::Driver;
use conjoin_world::driving::guard::{Guard, GuardConfig, Guarded, Interventions};
use conjoin_world::driving::map::{Family, Split};
use conjoin_world::driving::table::{episodes, table};
use conjoin_world::driving::vehicle::Control;
use conjoin_world::driving::world::World;
use std::env::var;

/// A driver, with the safety layer or without.
enum Either {
    Plain(Baseline),
    Behind(Box<Guarded<Baseline>>),
}

impl Driver for Either {
    fn control(&mut self, world: &World) -> Control {
        match self {
            Self::Plain(driver) => driver.control(world),
            Self::Behind(driver) => driver.control(world),
        }
    }

    fn interventions(&self) -> Option<Interventions> {
        match self {
            Self::Plain(driver) => driver.interventions(),
            Self::Behind(driver) => driver.interventions(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let each: u64 = arguments.first().map_or(Ok(10), |a| a.parse())?;
    let name = arguments.get(1).map_or("expert", String::as_str);
    let wanted = arguments.get(2);
    let pdms = var("PDMS").is_ok();
    let driver = Baseline::named(name).ok_or_else(|| format!("no driver {name}"))?;
    let guard = match var("GUARD").ok() {
        None => None,
        Some(mode) => Some(GuardConfig {
            on: mode != "watch",
            hidden_speed: match var("HIDDEN") {
                Ok(speed) => speed.parse()?,
                Err(_) => GuardConfig::default().hidden_speed,
            },
            ..GuardConfig::default()
        }),
    };
    let held_out = var("SPLIT").is_ok_and(|split| split == "held-out");
    let families = Family::all()
        .filter(|f| wanted.is_none_or(|w| f.to_string().starts_with(w)))
        .filter(|f| !held_out || f.split() == Split::HeldOut);
    let begun = std::time::Instant::now();
    let found = table(&episodes(families, each), pdms, |_| match guard {
        None => Either::Plain(driver.clone()),
        Some(config) => Either::Behind(Box::new(Guarded {
            driver: driver.clone(),
            guard: Guard::new(config),
        })),
    });
    let seconds = begun.elapsed().as_secs_f64();
    if var("VERBOSE").is_ok() {
        for result in found.results.iter().filter(|r| !r.score.success) {
            let episode = result.episode;
            println!("{} {}: {:?}", episode.family, episode.seed, result.score);
        }
    }
    print!("{found}");
    if let Some(all) = found.all() {
        println!("infractions by km: {:?}", all.per_km);
        if let (Some(takeovers), Some(layer)) = (all.takeovers_per_km, all.layer) {
            println!("the safety layer took over {takeovers:.2} times by km: {layer:?}");
        }
        let simulated = all.seconds * all.episodes as f64;
        println!(
            "{simulated:.0} s driven in {seconds:.1} s: {:.1} times real time",
            simulated / seconds
        );
    }
    Ok(())
}
