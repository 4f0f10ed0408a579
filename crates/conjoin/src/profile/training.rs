//! Steps of the real loop: loader, forward, backward, clipping, optimiser.

use super::sizes::{Sizes, columns};
use super::{Mode, Phases, Profile, Request, Spread, machine, nodes};
use crate::error::CliError;
use crate::system::build;
use conjoin_train::{
    Copies, DataSets, Event, Listener, Plan, RunDirectory, Setup, TrainError, Trainer,
    training_data_seed,
};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// Trains the stage for a few steps in a directory that is thrown away.
pub(crate) fn training(request: &Request) -> Result<Profile, CliError> {
    let peak = machine::peak(&request.device);
    let plan = Arc::new(shortened(&request.plan, request.warm_up + request.steps));
    let data = Arc::new(DataSets::new(Arc::clone(&plan)));
    let set = &request.stage().config.data;
    let mut sizes = Sizes::default();
    // The batches that the loop will draw.
    let seed = training_data_seed(plan.seed, &request.stage().config.name);
    let loader = data.loader(set, seed).map_err(TrainError::from)?;
    let steps = (request.warm_up + request.steps) as usize;
    for batch in (0..).flat_map(|epoch| loader.epoch(epoch, 0)).take(steps) {
        sizes.add(&batch.map_err(TrainError::from)?, columns(&plan, set)?);
    }
    let device = request.device.clone().autodiff();
    let graph = build(&plan, &device)?;
    // Weights are made now rather than in the first step.
    for name in graph.names() {
        if let Some(node) = graph.node(name) {
            node.visit(&mut |param| drop(param.value()));
        }
    }
    let place = tempfile::tempdir()
        .map_err(|error| CliError::failed(format!("no temporary directory: {error}")))?;
    let events = Arc::new(Mutex::new(Vec::new()));
    let mut trainer = Trainer::new(Setup {
        plan: Arc::clone(&plan),
        graph,
        device,
        data,
        run: RunDirectory::create(place.path().join("run"))?,
        listeners: vec![Box::new(Collector(Arc::clone(&events)))],
        scorer: None,
        interrupt: Arc::new(AtomicBool::new(false)),
        copies: Copies::default(),
    });
    trainer.run()?;
    let memory = machine::memory();
    let events = std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
    let seconds: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step { seconds, .. } => Some(*seconds),
            _ => None,
        })
        .skip(request.warm_up as usize)
        .collect();
    let timing = events.into_iter().find_map(|event| match event {
        Event::Timing {
            forward,
            backward,
            optimiser,
            data,
            ..
        } => Some((
            forward,
            Phases {
                backward,
                optimiser,
                data,
            },
        )),
        _ => None,
    });
    let Some((mut forward, mut phases)) = timing else {
        return Err(CliError::failed(
            "the stage ended without telling its times",
        ));
    };
    // The loop adds up all its steps, those of the warm-up too.
    let all = (request.warm_up + request.steps) as f64;
    for seconds in forward.values_mut() {
        *seconds /= all;
    }
    for seconds in [
        &mut phases.backward,
        &mut phases.optimiser,
        &mut phases.data,
    ] {
        *seconds /= all;
    }
    let nodes = nodes(request, &forward, &sizes);
    let trained = &request.stage().trained;
    let flops = nodes
        .iter()
        .map(|node| {
            node.flops
                * if trained.contains(&node.node) {
                    3.0
                } else {
                    1.0
                }
        })
        .sum();
    Ok(Profile {
        stage: request.stage().config.name.clone(),
        mode: Mode::Training,
        steps: request.steps,
        samples: sizes.samples(),
        sizes: sizes.means(),
        seconds: Spread::of(seconds),
        nodes,
        phases: Some(phases),
        flops,
        peak,
        memory,
    })
}

/// The plan with nothing but the steps of its stage.
fn shortened(plan: &Plan, steps: u64) -> Plan {
    let mut plan = plan.clone();
    for stage in &mut plan.stages {
        let config = &mut stage.config;
        config.steps = Some(steps);
        config.epochs = None;
        config.evaluate = None;
        config.early_stopping = None;
        config.gate.clear();
        config.weights.clear();
    }
    plan
}

/// Keeps every event.
struct Collector(Arc<Mutex<Vec<Event>>>);

impl Listener for Collector {
    fn on(&mut self, event: &Event) -> std::io::Result<()> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event.clone());
        Ok(())
    }
}
