//! From a run to its diagnosis: scores the system under every change, runs its losses backward, and
//! measures its modules then and now.

use crate::error::CliError;
use crate::outcomes::with_likelihoods;
use crate::system::{LoadedRun, build};
use conjoin_graph::PortRef;
use conjoin_graph::probe::Probe;
use conjoin_insight::Bootstrap;
use conjoin_insight::diagnosis::{
    CosineRow, GateInput, GateReport, GradientReport, LossRow, ModuleCell, OracleInput,
    OracleReport, Outcome, ProbeInput, ProbeReport, Spread, Untold, Wire,
};
use conjoin_tasks::interfaces::{Change, Interface, Truth, interfaces};
use conjoin_tasks::{Scored, TaskScorer};
use conjoin_train::StagePlan;
use conjoin_train::checkpoint::{load_graph, state_of};
use conjoin_train::gate_table::{Then, gate_table};
use conjoin_train::gradient_table::{Reach, Reason, gradient_table};
use std::collections::BTreeMap;

/// What is scored, and on what.
pub(crate) struct Subject<'a> {
    pub loaded: &'a LoadedRun,
    pub scorer: TaskScorer,
    pub ports: BTreeMap<String, PortRef>,
    pub data: &'a str,
    pub batches: usize,
    pub bootstrap: Bootstrap,
    /// Metrics that are sums over items, the headline first.
    pub metrics: Vec<String>,
    /// Told before each scoring.
    pub tell: &'a dyn Fn(&str),
}

impl Subject<'_> {
    /// The interfaces of the task; only those called by name where names are given.
    pub fn interfaces(&self, only: &[String]) -> Result<Vec<Interface>, CliError> {
        let task = self.loaded.checked.task.with_ports(&self.ports);
        let found = interfaces(&self.loaded.plan, &task, self.data)?;
        let names: Vec<String> = found.iter().map(|one| one.to.to_string()).collect();
        if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
            return Err(CliError::input(format!(
                "--interface {unknown}: the task has no such interface; it has {}",
                names.join(", ")
            )));
        }
        let wanted = |one: &Interface| only.is_empty() || only.contains(&one.to.to_string());
        Ok(found.into_iter().filter(wanted).collect())
    }

    pub fn score(&self, changes: &[Change<'_>]) -> Result<Scored, CliError> {
        let batches = self.batches;
        Ok(self.scorer.score_changed(
            &self.loaded.graph,
            &self.ports,
            self.data,
            batches,
            changes,
        )?)
    }

    fn outcome(&self, about: &str, changes: &[Change<'_>]) -> Result<Outcome, CliError> {
        (self.tell)(about);
        Ok(with_likelihoods(&self.score(changes)?))
    }

    /// Every interface with a ground truth, alone and with all before it.
    pub fn oracle(&self, base: &Outcome, all: &[Interface]) -> Result<OracleReport, CliError> {
        let (mut inputs, mut untold) = (Vec::new(), Vec::new());
        let mut before: Vec<Change<'_>> = Vec::new();
        // What the system said goes to every reader at once.
        let mut fed_back = false;
        for one in all {
            let (column, told_by) = match &one.truth {
                Truth::Column { column, told_by } => (column, told_by),
                Truth::Given => continue,
                Truth::Unknown(why) => {
                    if !one.from.is_data() {
                        untold.push(Untold {
                            wire: wire(one),
                            why: why.clone(),
                        });
                    }
                    continue;
                }
            };
            if one.fed_back && std::mem::replace(&mut fed_back, true) {
                continue;
            }
            let change = Change::Truth(one);
            let alone = self.outcome(&format!("oracle {}", one.to), &[change])?;
            before.push(change);
            let together = match before.len() {
                1 => alone.clone(),
                _ => self.outcome(&format!("oracle up to {}", one.to), &before)?,
            };
            inputs.push(OracleInput {
                wire: wire(one),
                truth: column.to_string(),
                told_by: told_by.clone(),
                alone,
                together,
            });
        }
        OracleReport::new(base, inputs, untold, &self.metrics, &self.bootstrap)
            .map_err(|error| CliError::failed(format!("oracle report: {error}")))
    }

    /// Every interface under every probe.
    pub fn probes(
        &self,
        base: &Outcome,
        all: &[Interface],
        seed: u64,
    ) -> Result<ProbeReport, CliError> {
        let mut inputs = Vec::new();
        for one in all {
            let mut outcomes = Vec::new();
            for probe in Probe::ALL {
                let about = format!("probe {}, {}", one.to, probe.name());
                let outcome = self.outcome(&about, &[Change::Probe(one, probe, seed)])?;
                outcomes.push((probe.name().to_owned(), outcome));
            }
            inputs.push(ProbeInput {
                wire: wire(one),
                outcomes,
            });
        }
        ProbeReport::new(base, inputs, &self.metrics, &self.bootstrap)
            .map_err(|error| CliError::failed(format!("shortcut probe: {error}")))
    }
}

/// The names of an interface.
fn wire(interface: &Interface) -> Wire {
    let from = if interface.fed_back {
        format!("{}, fed back", interface.from)
    } else {
        interface.from.to_string()
    };
    Wire {
        to: interface.to.to_string(),
        from,
    }
}

/// The gradients of all losses at all modules.
pub(crate) fn gradients(loaded: &LoadedRun, batches: usize) -> Result<GradientReport, CliError> {
    let device = loaded.device.clone().autodiff();
    let graph = build(&loaded.plan, &device)?;
    let mut graph = load_graph(graph, &loaded.found, true)?;
    let table = gradient_table(&loaded.plan, &mut graph, &loaded.data, &device, batches)?;
    let modules = table.losses.first().map(|loss| {
        let names = loss.modules.iter().map(|(name, _)| name.clone());
        names.collect()
    });
    let losses = table.losses.into_iter().map(|loss| LossRow {
        cells: loss
            .modules
            .into_iter()
            .map(|(_, reach)| cell(loaded.plan.stage(&loss.stage), &loss.objective, &reach))
            .collect(),
        objective: loss.objective,
        stage: loss.stage,
        data: loss.data,
        weight: loss.weight,
        loss: Spread::of(&loss.losses),
    });
    let cosines = table.cosines.into_iter().filter_map(|row| {
        Some(CosineRow {
            cosine: Spread::of(&row.values)?,
            module: row.module,
            first: row.first,
            second: row.second,
        })
    });
    Ok(GradientReport {
        modules: modules.unwrap_or_default(),
        losses: losses.collect(),
        cosines: cosines.collect(),
    })
}

fn cell(stage: Option<&StagePlan>, objective: &str, reach: &Reach) -> ModuleCell {
    let stage = stage.map_or("", |stage| stage.config.name.as_str());
    let nothing = match reach {
        Reach::Norms(norms) => match Spread::of(norms) {
            Some(norm) => return ModuleCell::Norm(norm),
            None => "no batch".to_owned(),
        },
        Reach::Nothing(Reason::NoRoute) => format!("no route in stage {stage}"),
        Reach::Nothing(Reason::Frozen) => format!("frozen in stage {stage}"),
        Reach::Nothing(Reason::NotUpdated) => format!("not in the updates of {objective}"),
        Reach::Nothing(Reason::Cut) => format!("cut by stop_gradient in stage {stage}"),
        Reach::Nothing(Reason::NoWeights) => "no weights".to_owned(),
        Reach::Nothing(Reason::Zero) => "exactly zero".to_owned(),
    };
    ModuleCell::Nothing(nothing)
}

/// Every stage's own losses, at its end and now.
pub(crate) fn gates(
    loaded: &LoadedRun,
    batches: usize,
    bootstrap: &Bootstrap,
) -> Result<GateReport, CliError> {
    let newest = loaded.store.newest()?.0;
    let state = state_of(newest.as_ref().unwrap_or(&loaded.found))?;
    let rows = gate_table(
        &loaded.plan,
        (&loaded.graph, loaded.step),
        (&loaded.store, &state),
        &loaded.data,
        &loaded.device,
        batches,
    )?;
    let inputs = rows.into_iter().map(|row| GateInput {
        stage: row.stage,
        objective: row.objective,
        modules: row.modules,
        data: row.data,
        now: row.now,
        then: match row.then {
            Then::Measured { step, sums } => Some(Ok((step, sums))),
            Then::Now => None,
            Then::Unknown(why) => Some(Err(why)),
        },
    });
    GateReport::new(inputs.collect(), bootstrap)
        .map_err(|error| CliError::failed(format!("gate table: {error}")))
}
