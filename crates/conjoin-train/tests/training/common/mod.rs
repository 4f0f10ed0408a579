//! A tiny system: tokens to tokens of the same length, and features to quantities, from memory.

#![allow(dead_code)] // each test file uses a part

use burn::tensor::Device;
use conjoin_data::{
    Columns, Contract, DataError, DataSetConfig, Field, Meaning, Sample, Source, Vocabulary,
};
use conjoin_graph::spec::{Blend, resolve};
use conjoin_graph::{BuiltinNode, Graph, NodeKind, NodeSpec, PortRef, Route, Wire, Wiring};
use conjoin_train::stage::{InputConfig, StageConfig};
use conjoin_train::{
    Copies, DataPlan, DataSets, Event, Listener, ObjectiveConfig, ObjectivePlan, Outcome, Plan,
    RunDirectory, Scorer, Setup, StagePlan, TrainError, Trainer,
};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Samples in memory.
#[derive(Debug)]
pub struct Memory(pub Vec<Sample>);

/// Columns of every test data set.
pub fn columns() -> Columns {
    let symbols = Vocabulary::new("symbols", ["<pad>", "a", "b", "c", "d", "e"]);
    let dense = |size: usize| Contract::new(Meaning::Quantity, ["B".into(), size.into()]);
    Columns::from([
        ("tokens".to_owned(), Contract::tokens("T", symbols.clone())),
        ("target".to_owned(), Contract::tokens("T", symbols)),
        ("x".to_owned(), dense(4)),
        ("y".to_owned(), dense(2)),
        ("image".to_owned(), Contract::image(4, 4, 1, (-1.0, 1.0))),
    ])
}

/// A small generator for test data.
pub fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }
}

impl Memory {
    /// Sequences of 2 to 5 symbols whose target is the symbols shifted by one, and features with
    /// a linear target.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut draw = noise(seed);
        let sample = |index: usize| {
            let length = 2 + index % 4;
            let tokens: Vec<i64> = (0..length)
                .map(|_| 1 + ((draw() + 0.5) * 5.0) as i64 % 5)
                .collect();
            let target = tokens.iter().map(|t| 1 + t % 5).collect();
            let x: Vec<f32> = (0..4).map(|_| draw() * 2.0).collect();
            let y = vec![x[0] - 2.0 * x[1], x[2] + 0.5 * x[3]];
            // The four features in the corners of an image without anything else.
            let corners = [0, 3, 12, 15];
            let mut image = vec![0.0; 16];
            corners.iter().zip(&x).for_each(|(&at, &x)| image[at] = x);
            let image = Field::Dense {
                shape: vec![4, 4, 1],
                data: image,
            };
            let dense = |data: Vec<f32>| Field::Dense {
                shape: vec![data.len()],
                data,
            };
            Sample::new(format!("sample {index}"))
                .with("tokens", Field::Tokens(tokens))
                .with("target", Field::Tokens(target))
                .with("x", dense(x))
                .with("y", dense(y))
                .with("image", image)
        };
        Self((0..count).map(sample).collect())
    }
}

impl Source for Memory {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn columns(&self) -> Columns {
        columns()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        Ok(self.0[index].clone())
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.0[index].key.as_str().into()
    }

    fn location(&self, index: usize) -> String {
        format!("memory, sample {index}")
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        match self.0[index].fields.get(column) {
            Some(Field::Tokens(tokens)) => Some(tokens.len()),
            _ => None,
        }
    }

    fn text(&self, index: usize) -> String {
        self.0[index].key.clone()
    }

    /// One where a first sample is called `noted`.
    fn notes(&self) -> Vec<String> {
        let noted = self.0.first().is_some_and(|sample| sample.key == "noted");
        noted
            .then(|| "half of it left out".to_owned())
            .into_iter()
            .collect()
    }
}

fn port(text: &str) -> PortRef {
    text.parse().unwrap()
}

fn node(name: &str, config: Value) -> NodeSpec {
    let builtin: BuiltinNode = serde_json::from_value(config).unwrap();
    NodeSpec {
        name: name.to_owned(),
        config: NodeKind::Builtin(builtin),
    }
}

/// Nodes: `symbols` (embedding), `hidden` (linear with dropout), `output` (classifier); `line`
/// (linear) from `x`, `second` (linear) after it; `eye` (convolutions with batch norm) from `image`,
/// `sight` (linear) after it.
pub fn nodes() -> Vec<NodeSpec> {
    vec![
        node("symbols", json!({"kind": "embedding", "size": 6})),
        node(
            "hidden",
            json!({"kind": "linear", "size": 8, "activation": "tanh", "dropout": 0.1}),
        ),
        node("output", json!({"kind": "classifier"})),
        node("line", json!({"kind": "linear", "size": 3})),
        node("second", json!({"kind": "linear", "size": 2})),
        node(
            "eye",
            json!({"kind": "conv-encoder", "stem": 4, "widths": [4], "head": "flatten"}),
        ),
        node("sight", json!({"kind": "linear", "size": 2})),
    ]
}

fn wiring() -> Wiring {
    [
        ("symbols.tokens", "data.tokens"),
        ("hidden.features", "symbols.features"),
        ("output.features", "hidden.features"),
        ("output.classes", "data.target"),
        ("line.features", "data.x"),
        ("second.features", "line.features"),
        ("eye.image", "data.image"),
        ("sight.features", "eye.features"),
    ]
    .into_iter()
    .map(|(to, from)| (port(to), Wire::new(port(from))))
    .collect()
}

/// Objectives of the tiny system by name.
pub fn objective(name: &str) -> ObjectiveConfig {
    let config = match name {
        "spell" => {
            json!({"loss": {"kind": "cross-entropy", "smoothing": 0.0}, "prediction": "output.logits", "target": "data.target", "weight": 1.0})
        }
        "fit" => {
            json!({"loss": {"kind": "mse"}, "prediction": "second.features", "target": "data.y", "weight": 1.0})
        }
        "see" => {
            json!({"loss": {"kind": "huber"}, "prediction": "sight.features", "target": "data.y", "weight": 1.0})
        }
        "fit-first" => {
            json!({"loss": {"kind": "mse"}, "prediction": "second.features", "target": "data.y", "weight": 1.0, "updates": ["line"]})
        }
        "fit-second" => {
            json!({"loss": {"kind": "l1"}, "prediction": "second.features", "target": "data.y", "weight": -0.5, "updates": ["second"]})
        }
        other => panic!("no objective {other}"),
    };
    serde_json::from_value(config).unwrap()
}

fn stage_plan(config: Value, nodes: &[NodeSpec]) -> StagePlan {
    let config: StageConfig = serde_json::from_value(config).unwrap();
    let mut wiring = wiring();
    for (to, input) in &config.inputs {
        let to = port(to);
        match input {
            InputConfig::Open(_) => drop(wiring.remove(&to)),
            InputConfig::Source(from) => drop(wiring.insert(to, Wire::new(from.clone()))),
            InputConfig::Schedule(schedule) => {
                let mut wire = Wire::new(schedule.from.clone());
                let feedback = schedule.to.node == "output";
                let with = schedule.to.clone();
                wire.blend = Some(Blend { with, feedback });
                wiring.insert(to, wire);
            }
        }
    }
    let trained: BTreeSet<String> = config.train.iter().cloned().collect();
    let objectives: Vec<ObjectivePlan> = config
        .objectives
        .iter()
        .map(|(name, weight)| {
            let objective = objective(name);
            let updates = objective.updates.clone();
            ObjectivePlan {
                name: name.clone(),
                weight: weight * objective.weight,
                updates: updates
                    .map_or_else(|| trained.clone(), |nodes| nodes.into_iter().collect()),
                config: objective,
            }
        })
        .collect();
    let wanted: Vec<PortRef> = objectives
        .iter()
        .map(|o| o.config.prediction.clone())
        .collect();
    let resolution = resolve(nodes, &wiring, &columns(), Some(&wanted));
    assert!(resolution.problems.is_empty(), "{:?}", resolution.problems);
    StagePlan {
        route: Route::new(nodes, &wiring, &resolution),
        config,
        wiring,
        resolution,
        trained,
        objectives,
    }
}

/// A plan of the tiny system with these stages.
pub fn plan(seed: u64, batch: usize, stages: impl IntoIterator<Item = Value>) -> Arc<Plan> {
    let nodes = nodes();
    let data = |shuffle: bool, workers: usize| {
        let config: DataSetConfig = serde_json::from_value(json!({
            "source": {"kind": "words", "path": "unused"},
            "loader": {"batch": {"size": batch}, "shuffle": shuffle, "workers": workers},
        }))
        .unwrap();
        DataPlan {
            config,
            columns: columns(),
        }
    };
    let stages = stages
        .into_iter()
        .map(|stage| stage_plan(stage, &nodes))
        .collect();
    Arc::new(Plan {
        name: "tiny".to_owned(),
        seed,
        wiring: wiring(),
        resolution: resolve(&nodes, &wiring(), &columns(), None),
        nodes,
        data: [
            ("train".to_owned(), data(true, 1)),
            ("valid".to_owned(), data(false, 0)),
        ]
        .into(),
        stages,
        oracle: BTreeMap::new(),
    })
}

/// Keeps all events.
#[derive(Debug, Clone, Default)]
pub struct Recorder(pub Arc<Mutex<Vec<Event>>>);

impl Recorder {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn messages(&self) -> Vec<String> {
        let text = |event: Event| match event {
            Event::Message { text, .. } => Some(text),
            _ => None,
        };
        self.events().into_iter().filter_map(text).collect()
    }
}

impl Listener for Recorder {
    fn on(&mut self, event: &Event) -> std::io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// What a test changes about a run.
#[derive(Default)]
pub struct Options {
    pub listeners: Vec<Box<dyn Listener>>,
    pub scorer: Option<Box<dyn Scorer>>,
    pub interrupt: Arc<AtomicBool>,
    pub samples: Option<Vec<Sample>>,
}

/// The graph as every run begins.
pub fn graph(plan: &Plan, device: &Device) -> Graph {
    let stages = plan.stages.iter().map(|stage| &stage.resolution);
    let resolutions: Vec<_> = stages.chain([&plan.resolution]).collect();
    Graph::build(&plan.nodes, resolutions, device, plan.seed).unwrap()
}

/// A trainer in a directory, new or resumed.
pub fn trainer(plan: &Arc<Plan>, root: &Path, options: Options) -> Result<Trainer, TrainError> {
    let device = Device::flex().autodiff();
    let run = if root.join("recipe.toml").exists() {
        RunDirectory::resume(root)?
    } else {
        let run = RunDirectory::create(root)?;
        std::fs::write(run.recipe(), "name = \"tiny\"\n").unwrap();
        run
    };
    let samples = options.samples.unwrap_or_else(|| Memory::new(22, 1).0);
    let data = DataSets::new(plan.clone())
        .with_source("train", Arc::new(Memory(samples)))
        .with_source("valid", Arc::new(Memory::new(9, 2)));
    Ok(Trainer::new(Setup {
        graph: graph(plan, &device),
        plan: plan.clone(),
        device,
        data: Arc::new(data),
        run,
        listeners: options.listeners,
        scorer: options.scorer,
        interrupt: options.interrupt,
        copies: Copies {
            recipe: b"name = \"tiny\"\n".to_vec(),
            contracts: b"{}\n".to_vec(),
        },
    }))
}

/// Runs to the end with a recorder.
pub fn run(plan: &Arc<Plan>, root: &Path) -> (Result<Outcome, TrainError>, Recorder) {
    run_with(plan, root, Options::default())
}

pub fn run_with(
    plan: &Arc<Plan>,
    root: &Path,
    mut options: Options,
) -> (Result<Outcome, TrainError>, Recorder) {
    let recorder = Recorder::default();
    options.listeners.push(Box::new(recorder.clone()));
    let result = trainer(plan, root, options).and_then(|mut trainer| trainer.run());
    (result, recorder)
}

/// Files of a checkpoint's weights.
pub fn weights(root: &Path, step: u64) -> BTreeMap<String, Vec<u8>> {
    let dir = root.join(format!("checkpoints/step-{step}"));
    std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect()
}

/// All numbers of one node in a checkpoint, by path.
pub fn node_weights(root: &Path, step: u64, node: &str) -> BTreeMap<String, Vec<f32>> {
    let path = root.join(format!("checkpoints/step-{step}/{node}.safetensors"));
    let bytes = std::fs::read(&path).unwrap();
    conjoin_graph::weights::decode(&path, &bytes)
        .unwrap()
        .into_iter()
        .map(|(key, (_, values))| (key, values))
        .collect()
}

/// Steps of the run in the order in which they were recorded.
pub fn steps(events: &[Event]) -> Vec<u64> {
    let step = |event: &Event| match event {
        Event::Step { global_step, .. } => Some(*global_step),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

/// The losses of all steps.
pub fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| match event {
        Event::Step { loss, .. } => Some(*loss),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}
