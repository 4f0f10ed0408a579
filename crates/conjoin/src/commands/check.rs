//! `conjoin check`: every mistake at once; otherwise what the recipe would build.

use crate::cli::CheckArgs;
use crate::error::CliError;
use crate::system::{build, read_recipe};
use crate::{drawing, output};
use burn::tensor::Device;
use conjoin_graph::NodeExtension;
use conjoin_recipe::summary::summarise;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &CheckArgs) -> Result<(), CliError> {
    let recipe = &arguments.recipe;
    let checked = read_recipe(
        &recipe.recipe,
        &recipe.set,
        extensions,
        arguments.arm.as_deref(),
    );
    let checked = match checked {
        Err(CliError::Recipe(diagnostics)) if arguments.json => {
            output::json(&serde_json::json!({ "ok": false, "mistakes": diagnostics.reports() }))?;
            return Err(CliError::Recipe(diagnostics));
        }
        other => other?,
    };
    let summary = summarise(&checked).map_err(|error| CliError::failed(error.to_string()))?;
    if let Some(path) = &arguments.graph {
        let graph = build(&checked.plan, &Device::flex())?;
        let svg = drawing::draw(&checked.plan, &graph)
            .svg()
            .map_err(|error| CliError::failed(error.to_string()))?;
        std::fs::write(path, svg).map_err(|error| CliError::unwritable(path, &error))?;
    }
    if arguments.json {
        return output::json(&serde_json::json!({
            "ok": true,
            "summary": summary,
            "warnings": checked.warnings.reports(),
        }));
    }
    output::line(summary.to_string().trim_end())
}
