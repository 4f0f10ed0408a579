//! The task: whether its ports are there, mean what it reads from them, and can be decoded.

use super::objectives::missing_port;
use super::wiring::{Ground, Origin, Wires};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Path, place};
use conjoin_data::{Columns, Contract, Meaning, SourceConfig, Vocabulary};
use conjoin_graph::{NodeConfig, PortRef, Resolution, Route, Stepping};
use conjoin_tasks::TaskConfig;
use conjoin_tasks::transduction::TransductionConfig;
use std::collections::BTreeMap;

/// Checks the task with its own ports and with those that stages score instead; returns the joined
/// graph as far as any of them needs it.
pub(super) fn check(wires: &mut Wires<'_>, reader: &mut Reader) -> Resolution {
    let Some(task) = &wires.parts.task else {
        return Resolution::default();
    };
    if let TaskConfig::Transduction(config) = task {
        searches(reader, config);
    }
    let (columns, whole) = wires.columns(task.data());
    let scored = scored_ports(wires, reader, task);
    let wanted: Vec<PortRef> = scored
        .iter()
        .flat_map(|(ports, _)| ports.values().cloned())
        .collect();
    let joined = wires.joined.clone();
    let origin = Origin::Task { data: task.data() };
    let resolution = wires.resolve(reader, &joined, &columns, &wanted, origin);
    let ground = Ground {
        columns,
        whole,
        place: place!["task", "data"],
        resolution: &resolution,
    };
    for (ports, places) in &scored {
        let mut contracts = BTreeMap::new();
        for (name, port) in ports {
            if let Some(contract) = resolution.contract(port, &ground.columns) {
                contracts.insert(*name, contract.clone());
            } else {
                let about = format!("which the task reads as \"{name}\"");
                missing_port(wires, reader, &places[name], port, &ground, &about);
            }
        }
        let scoring = Scoring {
            task,
            ports,
            places,
            contracts,
            columns: &ground.columns,
        };
        scoring.check(reader);
        scoring.is_a_recording(wires, reader);
        scoring.comes_out(reader);
        scoring.has_text(wires, reader);
        scoring.steppable(wires, reader);
    }
    resolution
}

type Ports = BTreeMap<&'static str, PortRef>;
type Places = BTreeMap<&'static str, Path>;

/// The task's ports, and those of each stage with a `score` table, with their places.
fn scored_ports(wires: &Wires<'_>, reader: &mut Reader, task: &TaskConfig) -> Vec<(Ports, Places)> {
    let own = task.ports();
    let places: Places = own
        .keys()
        .map(|name| (*name, place!["task", *name]))
        .collect();
    let names = task.port_names();
    let mut all = vec![(own, places.clone())];
    for (index, stage) in wires.parts.stages.iter().enumerate() {
        let Some(stage) = stage.as_ref().filter(|stage| !stage.score.is_empty()) else {
            continue;
        };
        let mut places = places.clone();
        for key in stage.score.keys() {
            let place = place!["stages", index, "score", key];
            if let Some(name) = names.iter().find(|name| *name == key) {
                places.insert(name, place);
                continue;
            }
            let span = reader.tree.key_span_at(&place);
            let message = format!(
                "{}: task \"{}\" reads no port \"{key}\"",
                reader.subject(&place),
                task.kind()
            );
            let help = suggest::help(key, "its ports", names);
            reader.report(Diagnostic::new("unknown-name", span, message).help(help));
        }
        all.push((task.with_ports(&stage.score).ports(), places));
    }
    all
}

/// The ports of one way of scoring.
struct Scoring<'a> {
    task: &'a TaskConfig,
    ports: &'a Ports,
    places: &'a Places,
    contracts: BTreeMap<&'static str, Contract>,
    columns: &'a Columns,
}

impl Scoring<'_> {
    fn check(&self, reader: &mut Reader) {
        match self.task {
            TaskConfig::Classification(_) => {
                self.means(reader, "logits", Meaning::Logits, 2);
                self.column(reader, "target", Meaning::Label, 1);
                self.same_vocabulary(reader, &["logits"]);
            }
            TaskConfig::Transduction(_) => {
                self.column(reader, "tokens", Meaning::Tokens, 2);
                self.means(reader, "logits", Meaning::Logits, 3);
                self.column(reader, "target", Meaning::Tokens, 2);
                self.means(reader, "alignment", Meaning::Weights, 3);
                self.same_vocabulary(reader, &["tokens", "logits"]);
                self.begins_and_ends(reader);
            }
            TaskConfig::Driving(_) => {
                self.means(reader, "plan", Meaning::Quantity, 3);
                self.column(reader, "target", Meaning::Quantity, 3);
                self.means(reader, "fallback", Meaning::Quantity, 1);
                self.means(reader, "reason", Meaning::Quantity, 1);
                self.means(reader, "duals", Meaning::Quantity, 2);
                self.means(reader, "slacks", Meaning::Quantity, 2);
                self.means(reader, "occupancy_dual", Meaning::Quantity, 1);
                self.means(reader, "road_dual", Meaning::Quantity, 1);
                self.means(reader, "agents", Meaning::Quantity, 3);
                self.means(reader, "true_agents", Meaning::Quantity, 3);
                self.means(reader, "visible", Meaning::Quantity, 2);
                self.means(reader, "occupancy", Meaning::Quantity, 4);
                self.means(reader, "ways", Meaning::Quantity, 4);
                self.means(reader, "futures", Meaning::Quantity, 4);
                self.same_shape(reader);
                self.ways_have_futures(reader);
                self.detection_is_whole(reader);
                self.slacks_have_duals(reader);
            }
        }
    }

    /// A plan and what it is compared with have the same steps and numbers.
    fn same_shape(&self, reader: &mut Reader) {
        let contract = |name: &str| self.contracts.get(name);
        let (Some(plan), Some(target)) = (contract("plan"), contract("target")) else {
            return;
        };
        if plan.dims != target.dims {
            let message = format!(
                "the task wants {} and {} to have one shape, but found {} and {}",
                self.ports["plan"],
                self.ports["target"],
                plan.shape_text(),
                target.shape_text()
            );
            self.report(reader, "plan", message);
        }
    }

    /// Predicted ways are compared with futures of as many steps, each with the other.
    fn ways_have_futures(&self, reader: &mut Reader) {
        for (name, other) in [("ways", "futures"), ("futures", "ways")] {
            if self.ports.contains_key(name) && !self.ports.contains_key(other) {
                let message =
                    format!("the task compares \"ways\" with \"futures\": \"{other}\" is missing");
                self.report(reader, name, message);
            }
        }
        let size = |name: &str, dim: usize| self.contracts.get(name)?.dims.get(dim)?.size();
        if let (Some(width), Some(steps)) = (size("ways", 3), size("futures", 2))
            && width != 1 + 2 * steps
        {
            let message = format!(
                "the task wants ways of a logit and {steps} steps of x and y, {} numbers, but {} has {width}",
                1 + 2 * steps,
                self.ports["ways"]
            );
            self.report(reader, "ways", message);
        }
    }

    /// Detected agents are compared with those of the true ones that are seen.
    fn detection_is_whole(&self, reader: &mut Reader) {
        for (name, others) in [
            ("true_agents", ["agents", "visible"]),
            ("visible", ["agents", "true_agents"]),
        ] {
            let mut others = others.into_iter();
            let missing = others.find(|other| !self.ports.contains_key(other));
            if let Some(missing) = missing.filter(|_| self.ports.contains_key(name)) {
                let message = format!(
                    "the task compares \"agents\" with those of \"true_agents\" that are \"visible\": \"{missing}\" \
                     is missing"
                );
                self.report(reader, name, message);
            }
        }
    }

    /// The slack that is told is that of the agent with the greatest dual.
    fn slacks_have_duals(&self, reader: &mut Reader) {
        if self.ports.contains_key("slacks") && !self.ports.contains_key("duals") {
            let message = "the task tells \"slacks\" of what holds the plan by its \"duals\": \"duals\" is missing";
            self.report(reader, "slacks", message.to_owned());
        }
    }

    /// Outputs that are scored as text need data that is text.
    fn has_text(&self, wires: &Wires<'_>, reader: &mut Reader) {
        let TaskConfig::Transduction(config) = self.task else {
            return;
        };
        let data = wires
            .parts
            .data
            .iter()
            .find(|(name, _)| **name == config.data);
        let Some((name, Some(data))) = data else {
            return;
        };
        if config.text.is_none() || matches!(data.source, SourceConfig::Parallel(_)) {
            return;
        }
        let span = reader.tree.span_at(&place!["task", "text"]);
        let message = format!(
            "the task scores text, but data set \"{name}\" is of kind \"{}\", which has none",
            data.source.kind()
        );
        let help = "a source of kind \"parallel\" has text";
        reader.report(Diagnostic::new("task", span, message).help(help));
    }

    /// What is seen while driving becomes columns as the frames of a recording do.
    fn is_a_recording(&self, wires: &Wires<'_>, reader: &mut Reader) {
        let TaskConfig::Driving(config) = self.task else {
            return;
        };
        let mut data = wires.parts.data.iter();
        let Some((name, Some(data))) = data.find(|(name, _)| **name == config.data) else {
            return;
        };
        if !matches!(data.source, SourceConfig::Lerobot(_)) {
            let span = reader.tree.span_at(&place!["task", "data"]);
            let message = format!(
                "the task drives with the columns of a recording, but data set \"{name}\" is of kind \"{}\"",
                data.source.kind()
            );
            let help =
                "a source of kind \"lerobot\" is a recording; `conjoin data drive` makes one";
            reader.report(Diagnostic::new("task", span, message).help(help));
        }
    }

    /// The speed of what may come out from behind edges is one that the safety layer believes.
    fn comes_out(&self, reader: &mut Reader) {
        let TaskConfig::Driving(config) = self.task else {
            return;
        };
        if !(0.0..=60.0).contains(&config.hidden_speed) {
            let span = reader.tree.span_at(&place!["task", "hidden_speed"]);
            let message = format!(
                "the task's \"hidden_speed\" is {}: expected 0 to 60 m/s",
                config.hidden_speed
            );
            reader.report(Diagnostic::new("task", span, message));
        }
    }

    fn report(&self, reader: &mut Reader, name: &str, message: String) {
        let Some(place) = self.places.get(name) else {
            return;
        };
        let span = reader.tree.span_at(place);
        reader.report(Diagnostic::new("task", span, message));
    }

    fn means(&self, reader: &mut Reader, name: &str, meaning: Meaning, rank: usize) {
        let (Some(contract), Some(port)) = (self.contracts.get(name), self.ports.get(name)) else {
            return;
        };
        if contract.meaning != meaning || contract.dims.len() != rank {
            let message = format!(
                "the task wants {meaning} with {rank} {} as \"{name}\", but {port} carries \
                 {contract}",
                if rank == 1 { "dimension" } else { "dimensions" }
            );
            self.report(reader, name, message);
        }
    }

    /// A port that must be a column.
    fn column(&self, reader: &mut Reader, name: &str, meaning: Meaning, rank: usize) {
        let Some(port) = self.ports.get(name).filter(|port| !port.is_data()) else {
            return self.means(reader, name, meaning, rank);
        };
        let columns = self.columns.keys().map(|column| format!("data.{column}"));
        let message = format!(
            "the task wants a column as \"{name}\", but {port} is a node's output; columns: {}",
            suggest::list(columns)
        );
        self.report(reader, name, message);
    }

    /// Ports over another vocabulary than the target. Where all of them are, the target is at fault.
    fn same_vocabulary(&self, reader: &mut Reader, names: &[&str]) {
        let vocabulary = |name: &str| self.contracts.get(name)?.vocabulary.clone();
        let Some(target) = vocabulary("target") else {
            return;
        };
        let size = |v: &Vocabulary| format!("{}({})", v.name, v.len());
        let others: Vec<_> = names
            .iter()
            .filter_map(|name| Some((*name, vocabulary(name)?)))
            .collect();
        let wrong: Vec<_> = others
            .iter()
            .filter(|(_, other)| other.hash != target.hash)
            .collect();
        for (name, other) in &wrong {
            let all = wrong.len() > 1 && wrong.len() == others.len();
            let message = format!(
                "{} is over {}, but {} is over {}: not the same vocabulary",
                self.ports["target"],
                size(&target),
                self.ports[name],
                size(other)
            );
            self.report(reader, if all { "target" } else { name }, message);
            if all {
                break;
            }
        }
    }

    fn begins_and_ends(&self, reader: &mut Reader) {
        let target = self
            .contracts
            .get("target")
            .filter(|c| c.meaning == Meaning::Tokens);
        let Some(vocabulary) = target.and_then(|contract| contract.vocabulary.as_ref()) else {
            return;
        };
        for (symbol, index) in [("<bos>", vocabulary.bos), ("<eos>", vocabulary.eos)] {
            if index.is_none() {
                let message = format!(
                    "the task wants a vocabulary with {symbol} as \"target\", but {} is over {}({}), \
                     which has none",
                    self.ports["target"],
                    vocabulary.name,
                    vocabulary.len()
                );
                self.report(reader, "target", message);
            }
        }
    }

    /// A sequence is produced one position at a time, so whatever lies behind the tokens must run
    /// that way.
    fn steppable(&self, wires: &Wires<'_>, reader: &mut Reader) {
        let Some(tokens) = self.ports.get("tokens").filter(|port| port.is_data()) else {
            return;
        };
        let Some(logits) = self.ports.get("logits").filter(|port| !port.is_data()) else {
            return;
        };
        let wanted = std::slice::from_ref(logits);
        let resolution =
            conjoin_graph::spec::resolve(&wires.specs, &wires.joined, self.columns, Some(wanted));
        let route = Route::new(&wires.specs, &wires.joined, &resolution);
        let (_, behind) = route.split_at_column(&tokens.port);
        let behind: Vec<&str> = behind.nodes().collect();
        if behind.is_empty() && resolution.problems.is_empty() && !resolution.order.is_empty() {
            let message = format!(
                "{logits} does not depend on {tokens}, which the task feeds its own output to"
            );
            self.report(reader, "tokens", message);
        }
        for spec in wires
            .specs
            .iter()
            .filter(|spec| behind.contains(&spec.name.as_str()))
        {
            if spec.config.stepping() == Stepping::No {
                let span = reader.tree.span_at(&place!["nodes", &spec.name]);
                let message = format!(
                    "node \"{}\" lies behind {tokens} and cannot run one step at a time, which the \
                     task needs",
                    spec.name
                );
                let help = "a recurrent node can with bidirectional = false";
                let diagnostic = Diagnostic::new("not-steppable", span, message);
                let recurrent = spec.config.name() == "recurrent";
                reader.report(diagnostic.maybe_help(recurrent.then(|| help.to_owned())));
            }
        }
    }
}

/// Options of the search that another one leaves without effect, or that contradict each other.
fn searches(reader: &mut Reader, config: &TransductionConfig) {
    let search = &config.search;
    let given = |reader: &Reader, key: &str| {
        let place = place!["task", "search", key];
        reader.tree.at(&place).is_some()
    };
    let mut wrong = Vec::new();
    if search.sampling.is_some() && config.beam > 1 {
        let text = format!(
            "draws outputs at random, but beam = {} searches for the most probable ones; expected \
             one of the two",
            config.beam
        );
        wrong.push(("sampling", text));
    } else if config.beam <= 1 {
        for key in ["length_normaliser", "coverage_penalty", "early_stopping"] {
            if given(reader, key) {
                let text = "is read by a beam search only, expected beam of at least 2";
                wrong.push((key, text.to_owned()));
            }
        }
    } else if search.coverage_penalty > 0.0 && config.alignment.is_none() {
        let text = "wants the task's \"alignment\", the attention weights that it counts";
        wrong.push(("coverage_penalty", text.to_owned()));
    }
    if search.min_length >= config.max_length {
        let text = format!(
            "found {}, expected less than the task's max_length, {}, which counts the end symbol",
            search.min_length, config.max_length
        );
        wrong.push(("min_length", text));
    }
    for (key, text) in wrong {
        let place = place!["task", "search", key];
        let message = format!("{}: {text}", reader.subject(&place));
        let span = reader.tree.key_span_at(&place);
        reader.report(Diagnostic::new("task", span, message));
    }
}
