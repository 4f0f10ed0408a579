//! Checks of meaning, after every section has been read: names, numbers, data, wires, stages,
//! objectives, the task, gates, arms. One mistake gives one message: what follows from something
//! that was reported is not reported again.

mod data;
mod driving;
mod gates;
mod names;
mod objectives;
mod oracle;
mod plan;
mod ranges;
mod shared;
mod stages;
mod task;
mod wiring;

use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::sections::{Arm, Sections};
use crate::tree::place;
use conjoin_graph::Resolution;
use conjoin_tasks::TaskConfig;
use conjoin_train::Plan;
use shared::Use;
use stages::StageGraph;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;
use wiring::Wires;

/// Names of arms with their stages; one without a name where the recipe has no `[arms]`.
type Arms = Vec<(String, Vec<String>)>;

/// Everything that a checked recipe says.
#[derive(Debug)]
pub(crate) struct Meaning {
    parts: Sections,
    columns: BTreeMap<String, data::DataColumns>,
    joined: conjoin_graph::Wiring,
    graphs: Vec<Option<StageGraph>>,
    task: Resolution,
}

/// Checks a recipe whose sections have been read; `trained` says that its weights are there already, and no stage
/// is to be run.
pub(crate) fn check(mut parts: Sections, reader: &mut Reader, trained: bool) -> Meaning {
    names::check(&mut parts, reader);
    ranges::check(reader);
    let columns = data::check(&parts, reader);
    let arms = arms(&parts);
    let (joined, graphs, task) = {
        let mut wires = Wires::new(&parts, &columns, trained);
        wires.check_joined(reader);
        let task = task::check(&mut wires, reader);
        driving::check(&wires, reader, &task);
        let graphs: Vec<Option<StageGraph>> = parts
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| Some(stages::check(&mut wires, reader, index, stage.as_ref()?)))
            .collect();
        gates::check(&mut wires, reader, &arms, &graphs);
        oracle::check(&wires, reader, &task);
        check_uses(&mut wires, reader, &graphs, &task);
        (wires.joined, graphs, task)
    };
    Meaning {
        parts,
        columns,
        joined,
        graphs,
        task,
    }
}

fn arms(parts: &Sections) -> Arms {
    if parts.arms.arms.is_empty() {
        let all = parts.stage_names().into_iter().map(str::to_owned).collect();
        return vec![(String::new(), all)];
    }
    let arms = parts.arms.arms.iter();
    arms.filter_map(|(name, arm)| Some((name.clone(), arm.as_ref()?.stages.clone())))
        .collect()
}

/// What holds between the stages: shared weights, and nodes that nobody uses.
fn check_uses(
    wires: &mut Wires<'_>,
    reader: &mut Reader,
    graphs: &[Option<StageGraph>],
    task: &Resolution,
) {
    let mut uses: Vec<Use<'_>> = graphs
        .iter()
        .enumerate()
        .filter_map(|(index, graph)| {
            let place = place!["stages", index];
            let label = reader.subject(&place);
            Some(Use {
                label,
                place: place!["stages", index, "name"],
                resolution: &graph.as_ref()?.resolution,
            })
        })
        .collect();
    uses.push(Use {
        label: "the task".to_owned(),
        place: place!["task"],
        resolution: task,
    });
    shared::check(wires, reader, &uses);
    let mut used: BTreeSet<String> = uses
        .iter()
        .flat_map(|one| one.resolution.bound.keys().cloned())
        .collect();
    for graph in graphs.iter().flatten() {
        used.extend(wiring::upstream(&graph.wiring, &graph.wanted, |_, _| true));
    }
    if let Some(task) = &wires.parts.task {
        used.extend(wiring::upstream(
            &wires.joined,
            task.ports().values(),
            |_, _| true,
        ));
    }
    wires.check_unused(reader, &used);
    // Something wrong elsewhere may be why nobody uses a node.
    if reader.found.is_empty() && !wires.trained {
        for node in wires
            .parts
            .nodes
            .iter()
            .filter(|node| !used.contains(&node.name))
        {
            let span = reader.tree.span_at(&place!["nodes", &node.name]);
            let message = format!(
                "node \"{}\" is used by no stage and not by the task",
                node.name
            );
            reader.report(Diagnostic::new("unused", span, message).warning());
        }
    }
}

/// The package that brings a well-known folder of data.
fn data_package(dir: &FilePath) -> Option<String> {
    dir.ends_with("fashion-mnist")
        .then(|| "on Debian: apt-get install dataset-fashion-mnist".to_owned())
}

/// The words of the data crate with the quotes of this one.
fn quoted(words: &str) -> String {
    words.replace('`', "\"")
}

impl Meaning {
    /// Names of the arms, the default one first; empty where the recipe has no `[arms]`.
    pub fn arms(&self) -> Vec<(String, Arm)> {
        let default = self.parts.arms.default.as_ref();
        let mut arms: Vec<(String, Arm)> = self
            .parts
            .arms
            .arms
            .iter()
            .filter_map(|(name, arm)| Some((name.clone(), arm.clone()?)))
            .collect();
        arms.sort_by_key(|(name, _)| Some(name) != default);
        arms
    }

    pub fn default_arm(&self) -> Option<&str> {
        self.parts.arms.default.as_deref()
    }

    pub fn task(&self) -> Option<&TaskConfig> {
        self.parts.task.as_ref()
    }

    /// The plan of an arm. To be asked for only where nothing is wrong.
    pub fn plan(&self, arm: Option<&Arm>) -> Plan {
        plan::build(self, arm)
    }
}
