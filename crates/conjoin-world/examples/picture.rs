//! Draws an episode that the expert drives:
//! `cargo run --release -p conjoin-world --example picture -- FAMILY SEED OUT.png [STEP]`.
//!
//! Without a step the episode becomes an animated PNG, with one a single picture.

use conjoin_world::driving::camera::Photographer;
use conjoin_world::driving::draw::{Overlay, View, animated, layer, panel, top_down};
use conjoin_world::driving::env::{DrivingEnv, EnvConfig};
use conjoin_world::driving::scene::EpisodeId;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [family, seed, out, rest @ ..] = &arguments[..] else {
        return Err("wanted: FAMILY SEED OUT.png [STEP]".into());
    };
    let only: Option<usize> = rest.first().map(|step| step.parse()).transpose()?;
    let mut config = EnvConfig::default();
    (config.cameras.width, config.cameras.height) = (256, 128);
    let episode = EpisodeId {
        family: family.parse()?,
        seed: seed.parse()?,
    };
    let mut env = DrivingEnv::new(config.clone(), episode)?;
    let photographer = Photographer::new(config.cameras, env.state())?;
    let view = View {
        width: 776,
        height: 420,
        scale: 0.125,
    };
    let mut frames = Vec::new();
    for step in 0.. {
        let (shots, seen) = env.observe();
        if only.is_none_or(|only| only == step) && (only.is_some() || step % 2 == 0) {
            let cells = layer(&seen.occupancy, 2);
            let overlay = Overlay {
                plan: &seen.plan,
                occupancy: only.map(|_| (&cells[..], &config.observation)),
            };
            let above = top_down(env.state(), &photographer, view, overlay);
            frames.push(panel(&shots.images, &above));
        }
        if env.step(seen.control).is_some() || only.is_some_and(|only| only <= step) {
            break;
        }
    }
    std::fs::write(out, animated(&frames, 20)?)?;
    Ok(())
}
