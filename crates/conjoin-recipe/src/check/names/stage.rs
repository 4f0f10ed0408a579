//! The names in a stage.

use super::{Linker, below, path_in};
use crate::diagnostic::Diagnostic;
use crate::suggest;
use crate::tree::{Path, Tree};
use conjoin_graph::PortRef;
use conjoin_train::StageConfig;
use conjoin_train::stage::{InputConfig, LrConfig};

impl Linker<'_> {
    pub(super) fn link_stage(&mut self, place: &Path, stage: &mut StageConfig) {
        let at = |key: &str| below(place, key);
        match self.data_set(&at("data"), &stage.data) {
            Some(data) => stage.data = data,
            None => stage.data.clear(),
        }
        stage.train = self.list(&at("train"), &stage.train, Self::node);
        stage.freeze = self.list(&at("freeze"), &stage.freeze, Self::node);
        stage.reset = self.list(&at("reset"), &stage.reset, Self::node);
        stage.objectives = self.keys(&at("objectives"), &stage.objectives, Self::objective);
        stage.weights = self.keys(&at("weights"), &stage.weights, Self::node);
        stage.optimisers = self.keys(&at("optimisers"), &stage.optimisers, Self::node);
        stage.regularise = self.keys(&at("regularise"), &stage.regularise, Self::node);
        if let LrConfig::PerNode(nodes) = &mut stage.lr {
            *nodes = self.keys(&at("lr"), nodes, Self::node);
        }
        stage.inputs = self.keys(&at("inputs"), &stage.inputs, Self::input);
        self.input_sources(place, stage);
        let stop = at("stop_gradient");
        stage.stop_gradient = self.list(&stop, &stage.stop_gradient, Self::input);
        if let Some(evaluate) = &mut stage.evaluate {
            let place = path_in(place, &["evaluate", "data"]);
            match self.data_set(&place, &evaluate.data) {
                Some(data) => evaluate.data = data,
                None => evaluate.data.clear(),
            }
        }
        self.gates(place, stage);
        let score = std::mem::take(&mut stage.score);
        for (name, port) in score {
            if let Some(port) = self.port(&below(&at("score"), &name), &port) {
                stage.score.insert(name, port);
            }
        }
    }

    /// An input as `node.port`.
    pub(super) fn input(&mut self, place: &Path, text: &str) -> Option<String> {
        let Ok(port) = text.parse::<PortRef>() else {
            let span = self.reader.tree.span_at(place);
            let subject = self.reader.subject(place);
            let message = format!("{subject}: found {text:?}, expected an input as \"node.port\"");
            self.reader
                .report(Diagnostic::new("wrong-value", span, message));
            return None;
        };
        let node = self.node(place, &port.node)?;
        let known = self
            .inputs
            .get(&node)
            .filter(|known| !known.contains(&port.port.as_str()));
        let Some(known) = known else {
            return Some(PortRef::new(node, port.port).to_string());
        };
        let span = match self.reader.tree.at(place).and_then(Tree::as_str) {
            Some(written) if written == text => self.reader.tree.span_at(place),
            _ => self.reader.tree.key_span_at(place),
        };
        let message = format!("node \"{node}\" has no input \"{}\"", port.port);
        let help = suggest::help(&port.port, "inputs", known);
        let meant = suggest::meant(&port.port, known).map(|port| PortRef::new(&node, *port));
        let report = Diagnostic::new("unknown-input", span, message).help(help);
        self.reader.report(report);
        meant.map(|port| port.to_string())
    }

    fn input_sources(&mut self, place: &Path, stage: &mut StageConfig) {
        let inputs = std::mem::take(&mut stage.inputs);
        for (input, config) in inputs {
            let one = below(&below(place, "inputs"), &input);
            let mended = match config {
                InputConfig::Open(open) => Some(InputConfig::Open(open)),
                InputConfig::Source(port) => self.port(&one, &port).map(InputConfig::Source),
                InputConfig::Schedule(mut schedule) => {
                    let from = self.port(&below(&one, "from"), &schedule.from);
                    let to = self.port(&below(&one, "to"), &schedule.to);
                    from.zip(to).map(|(from, to)| {
                        schedule.from = from;
                        schedule.to = to;
                        InputConfig::Schedule(schedule)
                    })
                }
            };
            match mended {
                Some(config) => {
                    stage.inputs.insert(input, config);
                }
                None => self.reader.damage(one),
            }
        }
    }

    fn gates(&mut self, place: &Path, stage: &mut StageConfig) {
        let gates = std::mem::take(&mut stage.gate);
        for (index, mut gate) in gates.into_iter().enumerate() {
            let one = below(&below(place, "gate"), index);
            let earlier = self.stage_name(&below(&one, "stage"), &gate.stage);
            let objective = self.objective(&below(&one, "objective"), &gate.objective);
            let data = match &gate.data {
                Some(data) => self.data_set(&below(&one, "data"), data).map(Some),
                None => Some(None),
            };
            // An empty name keeps the positions of the gates and is passed over later.
            let known = (earlier, objective, data);
            if let (Some(earlier), Some(objective), Some(data)) = known {
                gate.stage = earlier;
                gate.objective = objective;
                gate.data = data;
            } else {
                gate.stage.clear();
            }
            stage.gate.push(gate);
        }
    }
}
