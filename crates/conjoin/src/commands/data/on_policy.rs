//! `conjoin data drive --driver RUN`: what a run does on the road, with what the expert would do there.

use super::drive::{families, free, tell, told};
use crate::cli::data::DriveArgs;
use crate::cli::{DeviceArgs, RunArgs};
use crate::commands::train::interrupt_flag;
use crate::error::CliError;
use crate::progress::Counter;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;
use conjoin_tasks::TaskError;
use conjoin_tasks::driving::OnPolicyConfig;
use conjoin_world::driving::recording::Recorded;
use std::path::Path;
use std::time::Instant;

pub(super) fn run(
    extensions: &[NodeExtension],
    arguments: &DriveArgs,
    run: &Path,
) -> Result<(), CliError> {
    let loaded = LoadedRun::open(
        &RunArgs {
            run: run.to_owned(),
            checkpoint: "best".to_owned(),
            set: Vec::new(),
            device: DeviceArgs {
                device: "cpu".to_owned(),
            },
        },
        extensions,
    )?;
    let options = OnPolicyConfig {
        families: families(arguments)?,
        episodes: arguments.episodes,
        seed: arguments.seed,
        expert_share: arguments.expert_share,
        lapse_share: arguments.lapse_share,
    };
    free(&arguments.out, arguments.force)?;
    let stop = interrupt_flag("episodes that were driven are kept")?;
    let (begun, bar) = (Instant::now(), Counter::of(arguments.episodes as u64));
    let ports = loaded.plan.score_ports();
    let told_of = &mut |so_far: &Recorded| {
        let rate = so_far.frames as f64 / begun.elapsed().as_secs_f64();
        bar.tell(&format!("{rate:.0} frames/s"));
    };
    let recorded = loaded
        .scorer()
        .record(
            &loaded.graph,
            &ports,
            &options,
            &arguments.out,
            &stop,
            told_of,
        )
        .map_err(|error| match error {
            TaskError::World(world) => told(&world),
            other => other.into(),
        })?;
    bar.finish();
    tell(arguments, &recorded, begun.elapsed().as_secs_f64())
}
