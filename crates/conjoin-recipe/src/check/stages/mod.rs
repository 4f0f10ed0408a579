//! Stages: what they train and freeze, for how long, what their inputs and tables name.

mod coverage;
mod curves;
mod tables;

use super::objectives;
use super::wiring::{Ground, Origin, Wires, upstream};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Path, Step, place};
use conjoin_graph::{PortRef, Resolution, Wiring};
use conjoin_tasks::TaskConfig;
use conjoin_train::StageConfig;
use conjoin_train::stage::InputConfig;
use std::collections::BTreeSet;

/// A stage with its wires.
#[derive(Debug, Clone)]
pub(super) struct StageGraph {
    pub wiring: Wiring,
    pub resolution: Resolution,
    /// Ports that the objectives and the input schedules read.
    pub wanted: Vec<PortRef>,
}

/// One stage while it is checked.
struct StageCheck<'a, 'b> {
    wires: &'a mut Wires<'b>,
    reader: &'a mut Reader,
    index: usize,
    stage: &'b StageConfig,
    wiring: Wiring,
    wanted: Vec<PortRef>,
    /// Nodes that the wanted ports depend on.
    route: BTreeSet<String>,
    /// All of the route is known: nothing that it depends on was dropped.
    whole: bool,
    /// Nothing is wrong with the contracts on the route, so that a node which is not on it was not
    /// lost by a wrong wire.
    sound: bool,
}

/// Checks a stage; its wires are returned also where something is wrong.
pub(super) fn check<'b>(
    wires: &mut Wires<'b>,
    reader: &mut Reader,
    index: usize,
    stage: &'b StageConfig,
) -> StageGraph {
    let wiring = wires.of_stage(stage);
    let (wanted, whole) = wanted(wires, stage, &wiring);
    let route = upstream(&wiring, &wanted, |_, _| true);
    let unread = |node: &String| wires.parts.node(node).is_some_and(|node| !node.wired);
    let place = place!["stages", index];
    let damaged = ["objectives", "inputs"].iter().any(|key| {
        reader.is_damaged(
            &place
                .iter()
                .cloned()
                .chain([Step::from(*key)])
                .collect::<Path>(),
        )
    });
    let whole = whole && !damaged && !wanted.is_empty() && !route.iter().any(unread);
    let mut check = StageCheck {
        wires,
        reader,
        index,
        stage,
        wiring,
        wanted,
        route,
        whole,
        sound: true,
    };
    let resolution = check.resolve();
    check.length();
    check.schedule();
    check.averages();
    check.inputs();
    // What a stage trains is settled once the weights are there.
    if !check.wires.trained {
        check.coverage();
        check.gradients();
        check.borrowed_weights();
    }
    check.tables();
    check.evaluation();
    StageGraph {
        wiring: check.wiring,
        resolution,
        wanted: check.wanted,
    }
}

/// Ports that a stage's pass must compute, and whether all of its objectives could be read.
fn wanted(wires: &Wires<'_>, stage: &StageConfig, wiring: &Wiring) -> (Vec<PortRef>, bool) {
    let mut wanted = Vec::new();
    let mut whole = true;
    for name in stage.objectives.keys() {
        match wires.parts.objective(name) {
            Some(objective) => {
                wanted.extend([objective.prediction.clone(), objective.target.clone()]);
            }
            None => whole = false,
        }
    }
    let route = upstream(wiring, &wanted, |_, _| true);
    let feedback = wiring
        .iter()
        .filter(|(to, _)| route.contains(&to.node))
        .filter_map(|(_, wire)| {
            wire.blend
                .as_ref()
                .filter(|blend| blend.feedback)
                .map(|blend| blend.with.clone())
        });
    wanted.extend(feedback.collect::<Vec<_>>());
    (wanted, whole)
}

impl StageCheck<'_, '_> {
    fn at(&self, keys: &[&str]) -> Path {
        let keys = keys.iter().map(|key| Step::from(*key));
        place!["stages", self.index]
            .into_iter()
            .chain(keys)
            .collect()
    }

    fn element(&self, key: &str, index: usize) -> Path {
        let mut place = self.at(&[key]);
        place.push(index.into());
        place
    }

    fn is_damaged(&self, keys: &[&str]) -> bool {
        self.reader.is_damaged(&self.at(keys))
    }

    fn report(&mut self, code: &'static str, place: &Path, message: String, help: Option<String>) {
        let span = self.reader.tree.span_at(place);
        self.reader
            .report(Diagnostic::new(code, span, message).maybe_help(help));
    }

    fn report_key(&mut self, code: &'static str, place: &Path, message: String) {
        let span = self.reader.tree.key_span_at(place);
        self.reader.report(Diagnostic::new(code, span, message));
    }

    fn name(&self) -> String {
        self.reader.subject(&self.at(&[]))
    }

    fn length(&mut self) {
        let name = self.name();
        match (self.stage.steps, self.stage.epochs) {
            (Some(_), Some(_)) => {
                let message = format!("{name} has both \"steps\" and \"epochs\", expected one");
                self.report_key("conflict", &self.at(&["steps"]), message);
            }
            (None, None) if !self.is_damaged(&["steps"]) && !self.is_damaged(&["epochs"]) => {
                let message = format!("{name} has no length, expected \"steps\" or \"epochs\"");
                self.report("missing-key", &self.at(&["name"]), message, None);
            }
            _ => {}
        }
    }

    /// Inputs that are fed differently, and wires that gradients do not pass.
    fn inputs(&mut self) {
        let stage = self.stage;
        for (input, config) in &stage.inputs {
            let place = self.at(&["inputs", input]);
            let Ok(port) = input.parse::<PortRef>() else {
                continue;
            };
            self.reaches(&place, &port.node);
            if let InputConfig::Schedule(schedule) = config
                && schedule.share.from >= schedule.share.until
            {
                let share = self.at(&["inputs", input, "share"]);
                let message = format!(
                    "{}: found \"from\" {} and \"until\" {}, expected \"from\" to be smaller",
                    self.reader.subject(&share),
                    schedule.share.from,
                    schedule.share.until
                );
                self.report("out-of-range", &share, message, None);
            }
        }
        for (index, input) in stage.stop_gradient.iter().enumerate() {
            let place = self.element("stop_gradient", index);
            let Ok(port) = input.parse::<PortRef>() else {
                continue;
            };
            if self.wiring.contains_key(&port) {
                self.reaches(&place, &port.node);
            } else if self.sound {
                let subject = self.reader.subject(&place);
                let message = format!("{subject}: input \"{input}\" is not wired");
                self.report("unknown-input", &place, message, None);
            }
        }
    }

    /// A node named at `place` must take part in the stage. One that the stage lists and does not
    /// run is told there.
    fn reaches(&mut self, place: &Path, node: &str) {
        if self.wires.trained {
            return;
        }
        let listed = self
            .stage
            .train
            .iter()
            .chain(&self.stage.freeze)
            .any(|other| other == node);
        if self.whole && self.sound && !listed && !self.route.contains(node) {
            let subject = self.reader.subject(place);
            let message = format!(
                "{subject}: node \"{node}\" takes no part in {}",
                self.name()
            );
            let span = match place.last() {
                Some(Step::Key(_)) => self.reader.tree.key_span_at(place),
                _ => self.reader.tree.span_at(place),
            };
            self.reader.report(Diagnostic::new("unused", span, message));
        }
    }

    /// Evaluation and early stopping.
    fn evaluation(&mut self) {
        let stage = self.stage;
        let Some(early) = &stage.early_stopping else {
            return;
        };
        let Some(evaluate) = &stage.evaluate else {
            if !self.is_damaged(&["evaluate"])
                && self.reader.tree.at(&self.at(&["evaluate"])).is_none()
            {
                let place = self.at(&["early_stopping"]);
                let message = format!(
                    "{} wants \"evaluate\", which gives the scores that it watches",
                    self.reader.subject(&place)
                );
                self.report_key("missing-key", &place, message);
            }
            return;
        };
        let mut scores: Vec<&str> = stage.objectives.keys().map(String::as_str).collect();
        scores.push("total");
        let task = self.wires.parts.task.as_ref();
        if evaluate.task {
            scores.extend(task.map(TaskConfig::metrics).unwrap_or_default());
        }
        if !scores.contains(&early.metric.as_str()) && !self.is_damaged(&["objectives"]) {
            let place = self.at(&["early_stopping", "metric"]);
            let message = format!(
                "{}: evaluation gives no score \"{}\"",
                self.reader.subject(&place),
                early.metric
            );
            let task_score = task.is_some_and(|t| t.metrics().contains(&early.metric.as_str()));
            let help = if task_score {
                "the task's scores are there with evaluate = { task = true }".to_owned()
            } else {
                suggest::help(&early.metric, "scores", &scores)
            };
            self.report("unknown-name", &place, message, Some(help));
        }
    }

    /// Contracts along the route, on the stage's own data and on the data it is evaluated on.
    fn resolve(&mut self) -> Resolution {
        let stage = self.stage;
        let own = self.resolve_on(&stage.data, &["data"]);
        if let Some(evaluate) = stage.evaluate.as_ref().filter(|e| e.data != stage.data) {
            self.resolve_on(&evaluate.data, &["evaluate", "data"]);
        }
        own
    }

    /// `key` is where the stage names the data set.
    fn resolve_on(&mut self, data: &str, key: &[&str]) -> Resolution {
        if data.is_empty() {
            self.sound = false;
            return Resolution::default();
        }
        let (columns, whole) = self.wires.columns(data);
        let origin = Origin::Stage {
            index: self.index,
            config: self.stage,
            data,
            key,
        };
        let resolution =
            self.wires
                .resolve(self.reader, &self.wiring, &columns, &self.wanted, origin);
        let ground = Ground {
            columns,
            whole,
            place: self.at(key),
            resolution: &resolution,
        };
        let fits = objectives::check(self.wires, self.reader, self.stage, &self.wiring, &ground);
        self.sound &= fits && whole && resolution.problems.is_empty();
        resolution
    }
}
