//! Films an episode that the expert drives:
//! `cargo run --release -p conjoin-world --example picture -- FAMILY SEED OUT.png [STEP]`.
//!
//! Without a step the episode becomes an animated PNG, with one a single frame. Occupancy is that of one
//! second later.

use conjoin_world::driving::draw::{Overlay, layer};
use conjoin_world::driving::env::{DrivingEnv, EnvConfig};
use conjoin_world::driving::film::{Film, animated};
use conjoin_world::driving::scene::EpisodeId;
use conjoin_world::geometry::Obb;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [family, seed, out, rest @ ..] = &arguments[..] else {
        return Err("wanted: FAMILY SEED OUT.png [STEP]".into());
    };
    let only: Option<u32> = rest.first().map(|step| step.parse()).transpose()?;
    let config = EnvConfig::default();
    let episode = EpisodeId {
        family: family.parse()?,
        seed: seed.parse()?,
    };
    let mut env = DrivingEnv::new(config.clone(), episode)?;
    let mut film = Film::new(env.state());
    loop {
        let (shots, seen) = env.observe();
        let step = env.state().tick;
        if only.map_or(Film::is_due(env.state()), |only| only == step) {
            let cells = layer(&seen.occupancy, 2);
            let visible = seen.actors.iter().filter(|actor| actor.visible);
            let boxes: Vec<Obb> = visible
                .map(|actor| Obb::new(actor.pose, actor.size[0], actor.size[1]))
                .collect();
            let overlay = Overlay {
                plan: &seen.plan,
                predicted: &boxes,
                holder: None,
                occupancy: Some((&cells, &config.observation)),
                brakes: false,
            };
            film.add(env.state(), &shots.images[0], overlay);
        }
        if env.step(seen.control).is_some() || only.is_some_and(|only| only <= step) {
            break;
        }
    }
    let bytes = animated(film.frames(), 20)?;
    std::fs::write(out, &bytes)?;
    println!("{} frames, {} bytes", film.frames().len(), bytes.len());
    Ok(())
}
