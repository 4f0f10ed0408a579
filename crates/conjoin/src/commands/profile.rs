//! `conjoin profile`: where the time of a stage goes, module by module.

use crate::cli::ProfileArgs;
use crate::error::CliError;
use crate::profile::{self, Request};
use crate::system::{keep_stages, read_recipe};
use crate::{device, output};
use conjoin_graph::NodeExtension;
use std::sync::Arc;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &ProfileArgs) -> Result<(), CliError> {
    let recipe = &arguments.recipe;
    let arm = arguments.arm.as_deref();
    let mut checked = read_recipe(&recipe.recipe, &recipe.set, extensions, arm)?;
    if let Some(stage) = &arguments.stage {
        keep_stages(&mut checked.plan, std::slice::from_ref(stage))?;
    }
    let Some(stage) = checked.plan.stages.pop() else {
        return Err(CliError::input("the arm has no stage to profile"));
    };
    checked.plan.stages = vec![stage];
    let device = device::parse(&arguments.device.device)?;
    let request = Request {
        plan: Arc::new(checked.plan),
        device,
        warm_up: arguments.warm_up,
        steps: arguments.steps,
    };
    let profile = if arguments.inference {
        profile::inference(&request)?
    } else {
        profile::training(&request)?
    };
    if arguments.json {
        return output::json(&profile);
    }
    output::line(profile.to_string().trim_end())
}
