//! `conjoin list`: what a recipe may use, from the definitions that the parser uses.

use crate::cli::{ListArgs, Topic};
use crate::error::CliError;
use crate::output;
use conjoin_graph::NodeExtension;
use conjoin_recipe::list::{Group, all};
use std::path::Path;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &ListArgs) -> Result<(), CliError> {
    if arguments.topic == Some(Topic::Recipes) {
        return recipes(arguments.json);
    }
    let mut groups = all(extensions);
    if let Some(name) = arguments.topic.and_then(group_name) {
        groups.retain(|group| group.name == name);
    }
    if let Some(kind) = &arguments.kind {
        pick(&mut groups, kind)?;
    }
    if arguments.json {
        return output::json(&groups);
    }
    let text: Vec<String> = groups.iter().map(ToString::to_string).collect();
    output::line(text.join("\n").trim_end())
}

fn group_name(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::Nodes => Some("nodes"),
        Topic::Losses => Some("losses"),
        Topic::Optimisers => Some("optimisers"),
        Topic::Data => Some("data"),
        Topic::Transforms => Some("transforms"),
        Topic::Tasks => Some("tasks"),
        Topic::Stages => Some("stages"),
        Topic::Recipes => None,
    }
}

fn pick(groups: &mut Vec<Group>, kind: &str) -> Result<(), CliError> {
    let known: Vec<String> = groups
        .iter()
        .flat_map(|group| group.kinds.iter().map(|kind| kind.name.clone()))
        .collect();
    for group in groups.iter_mut() {
        group.kinds.retain(|found| found.name == kind);
    }
    groups.retain(|group| !group.kinds.is_empty());
    if groups.is_empty() {
        return Err(CliError::input(format!(
            "there is no kind {kind:?}; there are {}",
            known.join(", ")
        )));
    }
    Ok(())
}

/// Recipes of the folder `recipes/`, with the first line of each.
fn recipes(json: bool) -> Result<(), CliError> {
    let folder = Path::new("recipes");
    let entries =
        std::fs::read_dir(folder).map_err(|error| CliError::unreadable(folder, &error))?;
    let mut found: Vec<(String, String)> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let about = text
                .lines()
                .next()
                .unwrap_or("")
                .trim_start_matches('#')
                .trim();
            (path.display().to_string(), about.to_owned())
        })
        .collect();
    found.sort();
    if json {
        let found: Vec<_> = found
            .iter()
            .map(|(path, about)| serde_json::json!({ "path": path, "about": about }))
            .collect();
        return output::json(&found);
    }
    let lines: Vec<String> = found
        .iter()
        .map(|(path, about)| format!("{path:<28} {about}"))
        .collect();
    output::line(&lines.join("\n"))
}
