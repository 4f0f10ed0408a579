//! A made system whose faults are known: one module guesses, one is not read, one is right. The
//! oracle, the probes and the gradients must say so.
//!
//! ```text
//! data.a ─> eye ─left─> mix ─> head ─> label       label: which of the two truths is larger
//! data.b ─> past ─right─┘                          mix: left + 0 · right
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use conjoin::data::{Columns, DataError, Field, Sample, Source};
use conjoin::graph::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope};
use conjoin::graph::probe::Probe;
use conjoin::graph::{Bound, Graph, InputPort, Meaning, NodeExtension, OutputPort, Value, Want};
use conjoin::insight::Bootstrap;
use conjoin::insight::Outcomes;
use conjoin::insight::diagnosis::{
    OracleInput, OracleReport, Outcome, ProbeInput, ProbeReport, ProbeVerdict, Wire,
};
use conjoin::recipe::Checked;
use conjoin::tasks::TaskScorer;
use conjoin::tasks::interfaces::{Change, Interface, Truth, interfaces};
use conjoin::train::gradient_table::{Reach, Reason, gradient_table};
use conjoin::train::{DataSets, Plan};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

const RECIPE: &str = r#"
name = "made"
seed = 3

[task]
kind = "classification"
logits = "head.logits"
target = "data.label"
data = "test"

[data.test]
loader = { batch = { size = 40 }, shuffle = false }

[data.test.source]
kind = "random"
samples = 400

[data.test.source.columns]
a = { kind = "features", shape = [2] }
b = { kind = "features", shape = [2] }
truth = { kind = "features", shape = [2] }
opposite = { kind = "features", shape = [2] }
wide = { kind = "features", shape = [3] }
label = { kind = "label", size = 2 }

[nodes.eye]
kind = "linear"
size = 2
in = { features = "data.a" }

[nodes.past]
kind = "linear"
size = 2
in = { features = "data.b" }

[nodes.mix]
kind = "sum"
right = 0.0
in = { left = "eye.features", right = "past.features" }

[nodes.head]
kind = "classifier"
in = { features = "mix.features", classes = "data.label" }

[objectives.label]
loss = "cross-entropy"
prediction = "head.logits"
target = "data.label"

[objectives.see]
loss = "mse"
prediction = "eye.features"
target = "data.truth"

[objectives.unsee]
loss = "mse"
prediction = "eye.features"
target = "data.opposite"

[[stages]]
name = "joint"
data = "test"
train = ["eye", "past", "head"]
freeze = ["mix"]
objectives = { label = 1.0, see = 1.0, unsee = 1.0 }
steps = 1
lr = 1e-3
"#;

/// `left + right * weight`; the second is read and changes nothing where the weight is 0.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
struct SumConfig {
    right: f64,
}

#[derive(Module, Debug)]
struct SumNode {
    #[module(skip)]
    right: f64,
}

impl NodeConfig for SumConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let dims = [Want::Any("B"), Want::Known("D")];
        let port = |name| InputPort::new(name, "a term", &[Meaning::Features], &dims);
        vec![port("left"), port("right")]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let left = inputs.contract("left").unwrap().clone();
        Ok(vec![OutputPort::new("features", "the sum", left)])
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(SumNode { right: self.right }))
    }

    fn flops(&self, _: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        0.0
    }
}

impl Forward for SumNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let [left, right]: [Tensor<2>; 2] = [inputs.tensor("left")?, inputs.tensor("right")?];
        Ok(Outputs::one("features", left + right * self.right))
    }
}

/// 400 samples: `a` is the truth in the other order, `opposite` its negative.
#[derive(Debug)]
struct Made(Columns);

impl Source for Made {
    fn len(&self) -> usize {
        400
    }

    fn columns(&self) -> Columns {
        self.0.clone()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let wave = |factor: f32| ((index + 1) as f32 * factor).sin();
        let truth = [wave(1.3), wave(2.1)];
        let dense = |data: &[f32]| Field::Dense {
            shape: vec![data.len()],
            data: data.to_vec(),
        };
        Ok(Sample::new(index.to_string())
            .with("a", dense(&[truth[1], truth[0]]))
            .with("b", dense(&[wave(0.7), wave(0.9)]))
            .with("truth", dense(&truth))
            .with("opposite", dense(&truth.map(|x| -x)))
            .with("wide", dense(&[0.0; 3]))
            .with("label", Field::Label(i64::from(truth[1] > truth[0]))))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        index.to_string().into()
    }

    fn location(&self, index: usize) -> String {
        format!("sample {index}")
    }

    fn length(&self, _: usize, _: &str) -> Option<usize> {
        None
    }

    fn text(&self, index: usize) -> String {
        index.to_string()
    }
}

struct System {
    checked: Checked,
    plan: Arc<Plan>,
    data: Arc<DataSets>,
    device: Device,
    graph: Graph,
}

impl System {
    /// `eye` is the matrix `[2, 2]` that the module computes with; the head says which of its two
    /// inputs is larger.
    fn new(oracle: &str, eye: [f32; 4], device: Device) -> Self {
        let text = format!("{RECIPE}\n{oracle}\n");
        let sum = NodeExtension::new::<SumConfig>("sum", "A weighted sum.");
        let checked = conjoin::recipe::check(&text, "made.toml", &[], &[sum], None);
        let checked = checked.unwrap_or_else(|found| panic!("{found}"));
        let plan = Arc::new(checked.plan.clone());
        let columns = plan.data["test"].columns.clone();
        let data = DataSets::new(Arc::clone(&plan)).with_source("test", Arc::new(Made(columns)));
        let resolutions = [&plan.stages[0].resolution, &plan.resolution];
        let mut graph = Graph::build(&plan.nodes, resolutions, &device, plan.seed).unwrap();
        graph.update(|name, node| {
            let device = device.clone();
            node.map(&mut |slot| {
                let shape = slot.value.shape();
                let Ok(shape) = <[usize; 2]>::try_from(shape.clone()) else {
                    return Value::from(Tensor::<1>::zeros([shape[0]], &device));
                };
                let weights = match name {
                    "eye" => eye,
                    "head" => [9.0, 0.0, 0.0, 9.0],
                    _ => [1.0, 0.0, 0.0, 1.0],
                };
                let flat = Tensor::<1>::from_data(weights, &device);
                Value::from(flat.reshape(shape))
            })
        });
        Self {
            checked,
            plan,
            data: Arc::new(data),
            device,
            graph,
        }
    }

    fn outcome(&self, changes: &[Change<'_>]) -> Outcome {
        let (plan, data) = (Arc::clone(&self.plan), Arc::clone(&self.data));
        let task = self.checked.task.clone();
        let scorer = TaskScorer::new(plan, task, self.device.clone(), data);
        let ports = BTreeMap::new();
        let scored = scorer.score_changed(&self.graph, &ports, "test", usize::MAX, changes);
        let right = scored
            .unwrap()
            .items
            .iter()
            .map(|i| i.errors == 0)
            .collect();
        [("accuracy".to_owned(), Outcomes::Correct(right))].into()
    }

    fn interfaces(&self) -> Vec<Interface> {
        interfaces(&self.plan, &self.checked.task, "test").unwrap()
    }
}

const ORACLE: &str = r#"[oracle]
"mix.left" = "data.truth"
"mix.right" = "data.truth""#;

/// The truth comes out of its module as it should.
const RIGHT: [f32; 4] = [0.0, 1.0, 1.0, 0.0];

/// The module takes its inputs in the wrong order: always the other class.
const WRONG: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

fn accuracy(outcome: &Outcome) -> f64 {
    match &outcome["accuracy"] {
        Outcomes::Correct(flags) => {
            flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64
        }
        other => panic!("{other:?}"),
    }
}

fn quick() -> (Vec<String>, Bootstrap) {
    let bootstrap = Bootstrap {
        replicates: 300,
        ..Bootstrap::default()
    };
    (vec!["accuracy".to_owned()], bootstrap)
}

fn wire(one: &Interface) -> Wire {
    Wire {
        to: one.to.to_string(),
        from: one.from.to_string(),
    }
}

#[test]
fn the_oracle_blames_the_module_that_guesses() {
    let system = System::new(ORACLE, WRONG, Device::flex());
    let base = system.outcome(&[]);
    assert_eq!(accuracy(&base), 0.0);
    let all = system.interfaces();
    let mut before = Vec::new();
    let mut inputs = Vec::new();
    for one in &all {
        let Truth::Column { column, told_by } = &one.truth else {
            continue;
        };
        before.push(Change::Truth(one));
        inputs.push(OracleInput {
            wire: wire(one),
            truth: column.to_string(),
            told_by: told_by.clone(),
            alone: system.outcome(&[Change::Truth(one)]),
            together: system.outcome(&before),
        });
    }
    let (order, bootstrap) = quick();
    let report = OracleReport::new(&base, inputs, Vec::new(), &order, &bootstrap).unwrap();
    let ranked = report.ranked();
    let names: Vec<&str> = ranked.iter().map(|row| row.wire.to.as_str()).collect();
    assert_eq!(names, ["mix.left", "mix.right"]);
    let effects = |alone: bool| {
        ranked.iter().map(move |row| {
            let effects = if alone { &row.alone } else { &row.together };
            (effects[0].change.low, effects[0].change.high)
        })
    };
    // The truth makes everything right, in every resample; what is not read changes nothing.
    let alone: Vec<(f64, f64)> = effects(true).collect();
    assert_eq!(alone, [(1.0, 1.0), (0.0, 0.0)]);
    let together: Vec<(f64, f64)> = effects(false).collect();
    assert_eq!(together, [(1.0, 1.0), (1.0, 1.0)]);
}

#[test]
fn the_probes_find_the_module_that_is_not_read() {
    let system = System::new(ORACLE, RIGHT, Device::flex());
    let base = system.outcome(&[]);
    assert_eq!(accuracy(&base), 1.0);
    let all = system.interfaces();
    let inputs = all.iter().map(|one| ProbeInput {
        wire: wire(one),
        outcomes: Probe::ALL
            .iter()
            .map(|probe| {
                let outcome = system.outcome(&[Change::Probe(one, *probe, 5)]);
                (probe.name().to_owned(), outcome)
            })
            .collect(),
    });
    let (order, bootstrap) = quick();
    let report = ProbeReport::new(&base, inputs.collect(), &order, &bootstrap).unwrap();
    let verdict = |to: &str| {
        let mut rows = report.rows.iter();
        rows.find(|row| row.wire.to == to).unwrap().verdict
    };
    for read in ["eye.features", "mix.left", "head.features"] {
        assert_eq!(verdict(read), ProbeVerdict::Used, "{read}");
    }
    for unread in ["past.features", "mix.right"] {
        assert_eq!(verdict(unread), ProbeVerdict::Untouched, "{unread}");
    }
    assert_eq!(report.rows.len(), 5);
    // Without its input the head says class 0 whatever comes: right where that is the label.
    let zeros = (0..400).filter(|i| {
        let sample = Made(Columns::new()).sample(*i).unwrap();
        matches!(sample.fields["label"], Field::Label(0))
    });
    let expected = zeros.count() as f64 / 400.0;
    let left = report.rows.iter().find(|row| row.wire.to == "mix.left");
    assert!((left.unwrap().cells[0].effects[0].value - expected).abs() < 1e-12);
}

#[test]
fn gradients_of_opposite_targets_cancel_and_what_is_not_read_gets_none() {
    let device = Device::flex().autodiff();
    let mut system = System::new("", [0.0; 4], device.clone());
    let plan = Arc::clone(&system.plan);
    let table = gradient_table(&plan, &mut system.graph, &system.data, &device, 3).unwrap();
    let reach = |objective: &str, module: &str| {
        let mut losses = table.losses.iter();
        let loss = losses.find(|loss| loss.objective == objective).unwrap();
        let mut modules = loss.modules.iter();
        modules.find(|(name, _)| name == module).unwrap().1.clone()
    };
    assert_eq!(reach("label", "past"), Reach::Nothing(Reason::Zero));
    assert_eq!(reach("label", "mix"), Reach::Nothing(Reason::NoWeights));
    assert_eq!(reach("see", "head"), Reach::Nothing(Reason::NoRoute));
    assert!(matches!(reach("see", "eye"), Reach::Norms(_)));
    let meeting = table.cosines.iter().find(|row| {
        (row.first.as_str(), row.second.as_str(), row.module.as_str()) == ("see", "unsee", "eye")
    });
    // The module says zero, so that the errors are the targets themselves.
    for cosine in &meeting.unwrap().values {
        assert!((cosine + 1.0).abs() < 1e-6, "{cosine}");
    }
}

#[test]
fn a_column_that_is_not_the_same_thing_is_no_truth() {
    let sum = NodeExtension::new::<SumConfig>("sum", "A weighted sum.");
    let text = format!("{RECIPE}\n[oracle]\n\"mix.left\" = \"data.wide\"\n");
    let found = conjoin::recipe::check(&text, "made.toml", &[], &[sum], None).unwrap_err();
    let found = found.to_string();
    assert!(
        found.contains(
            "\"mix.left\" of [oracle]: data.wide carries features [B, 3], and eye.features carries \
             features [B, 2]: not the same thing"
        ),
        "{found}"
    );
    let system = System::new("", RIGHT, Device::flex());
    let unknown = |one: &Interface| matches!(one.truth, Truth::Unknown(None));
    let names: Vec<String> = system
        .interfaces()
        .iter()
        .filter(|one| unknown(one))
        .map(|one| one.to.to_string())
        .collect();
    assert_eq!(names, ["mix.left", "mix.right", "head.features"]);
}
