//! Drives episodes of every family with the expert and the baselines, and prints what came out.
//!
//! `cargo run --release -p conjoin-world --example closed_loop -- [EPISODES [DRIVER [FAMILY]]]`, where
//! the driver is `expert`, `idm` or `constant-velocity`. With PDMS it takes longer: `PDMS=1`.

use conjoin_world::driving::baseline::{constant_velocity, follow_lane};
use conjoin_world::driving::drive::{Driver, drive};
use conjoin_world::driving::expert::Expert;
use conjoin_world::driving::map::Family;
use conjoin_world::driving::scene::EpisodeId;
use conjoin_world::driving::score::closed_loop::{Ending, EpisodeScore};
use rayon::prelude::*;

fn driver(name: &str) -> Option<Box<dyn Driver>> {
    match name {
        "expert" => Some(Box::new(Expert::default())),
        "idm" => Some(Box::new(follow_lane)),
        "constant-velocity" => Some(Box::new(constant_velocity)),
        _ => None,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let episodes: u64 = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(10);
    let name = arguments.get(1).map_or("expert", String::as_str);
    let wanted = arguments.get(2);
    let verbose = std::env::var_os("VERBOSE").is_some();
    let pdms = std::env::var_os("PDMS").is_some();
    if driver(name).is_none() {
        println!("no driver {name}");
        std::process::exit(2);
    }
    println!(
        "family        success  goal  at fault  not  off road  red  late  completion  score  pdms  s/episode"
    );
    let begun = std::time::Instant::now();
    let (mut all, mut simulated) = (Vec::new(), 0.0);
    for family in Family::all().filter(|f| wanted.is_none_or(|w| f.to_string().starts_with(w))) {
        let scores: Vec<EpisodeScore> = (0..episodes)
            .into_par_iter()
            .filter_map(|seed| {
                let mut driver = driver(name)?;
                let score = drive(EpisodeId { family, seed }, &mut *driver, pdms);
                if verbose && !score.success {
                    println!("{family} {seed}: {score:?}");
                }
                Some(score)
            })
            .collect();
        simulated += scores.iter().map(|s| s.seconds).sum::<f64>();
        line(&family.to_string(), &scores);
        all.extend(scores);
    }
    line("all", &all);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{simulated:.0} s driven in {seconds:.1} s: {:.1} times real time",
        simulated / seconds
    );
}

fn line(name: &str, scores: &[EpisodeScore]) {
    let share = |f: &dyn Fn(&EpisodeScore) -> bool| {
        100.0 * scores.iter().filter(|s| f(s)).count() as f64 / scores.len().max(1) as f64
    };
    let mean = |f: &dyn Fn(&EpisodeScore) -> f64| {
        scores.iter().map(f).sum::<f64>() / scores.len().max(1) as f64
    };
    use conjoin_world::driving::score::closed_loop::Infraction::{OffRoad, RedLight};
    println!(
        "{name:<13} {:6.1}% {:4.0}% {:8.1}% {:3.0}% {:8.1}% {:3.0}% {:4.0}% {:11.3} {:6.3} {:5.3} {:10.1}",
        share(&|s| s.success),
        share(&|s| s.ending == Ending::Goal),
        share(&|s| s.ending == Ending::Collision { at_fault: true }),
        share(&|s| s.ending == Ending::Collision { at_fault: false }),
        share(&|s| s.infractions.contains(&OffRoad)),
        share(&|s| s.infractions.contains(&RedLight)),
        share(&|s| s.ending == Ending::TimeLimit),
        mean(&|s| s.completion),
        mean(&|s| s.driving_score),
        mean(&|s| s.pdm.map_or(f64::NAN, |p| p.pdms)),
        mean(&|s| s.seconds),
    );
}
