//! The gradient table and the gate table on the tiny system, against what training itself tells.

use crate::common::{Memory, graph, nodes, plan, run, trainer};
use burn::tensor::Device;
use conjoin_graph::Route;
use conjoin_train::checkpoint::{Store, load_graph, state_of};
use conjoin_train::gate_table::{StageObjective, Then, gate_table};
use conjoin_train::gradient_table::{GradientTable, Reach, Reason, gradient_table};
use conjoin_train::{DataSets, Event, Plan};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

fn data(plan: &Arc<Plan>) -> DataSets {
    DataSets::new(Arc::clone(plan))
        .with_source("train", Arc::new(Memory::new(22, 1)))
        .with_source("valid", Arc::new(Memory::new(9, 2)))
}

fn table(plan: &Arc<Plan>, batches: usize) -> GradientTable {
    let device = Device::flex().autodiff();
    let mut graph = graph(plan, &device);
    gradient_table(plan, &mut graph, &data(plan), &device, batches).unwrap()
}

fn reach<'a>(table: &'a GradientTable, objective: &str, module: &str) -> &'a Reach {
    let mut losses = table.losses.iter();
    let loss = losses.find(|loss| loss.objective == objective).unwrap();
    let mut modules = loss.modules.iter();
    &modules.find(|(name, _)| name == module).unwrap().1
}

fn norms<'a>(table: &'a GradientTable, objective: &str, module: &str) -> &'a [f64] {
    match reach(table, objective, module) {
        Reach::Norms(norms) => norms,
        Reach::Nothing(reason) => panic!("{objective} at {module}: {reason:?}"),
    }
}

fn fit(more: Value) -> Value {
    let mut stage = json!({
        "name": "apart", "data": "train", "train": ["line", "second"],
        "objectives": {"fit": 1.0}, "steps": 12, "lr": 0.02,
    });
    let (stage_table, more) = (stage.as_object_mut().unwrap(), more.as_object().unwrap());
    stage_table.extend(more.clone());
    stage
}

#[test]
fn norms_are_those_of_the_first_training_step() {
    let plan = plan(3, 5, [fit(json!({"objectives": {"fit": 2.5}}))]);
    let table = table(&plan, 3);
    let dir = tempfile::tempdir().unwrap();
    let (result, recorder) = run(&plan, &dir.path().join("run"));
    result.unwrap();
    let first = recorder.events().into_iter().find_map(|event| match event {
        Event::Step {
            grad_norm, terms, ..
        } => Some((grad_norm.unwrap(), terms["fit"])),
        _ => None,
    });
    let (norm, loss) = first.unwrap();
    let [line, second] = ["line", "second"].map(|module| norms(&table, "fit", module));
    assert_eq!((line.len(), second.len()), (3, 3));
    assert!((line[0].hypot(second[0]) / norm - 1.0).abs() < 1e-5);
    assert!((table.losses[0].losses[0] / loss - 1.0).abs() < 1e-6);
    assert!(table.cosines.is_empty());
}

#[test]
fn what_gets_nothing_says_why() {
    let stage = json!({
        "name": "joint", "data": "train", "train": ["line", "second", "sight"], "freeze": ["eye"],
        "objectives": {"fit-first": 1.0, "see": 1.0}, "steps": 1, "lr": 0.01,
    });
    let whole = plan(3, 5, [stage]);
    let found = table(&whole, 2);
    let reason = |table: &GradientTable, objective: &str, module: &str| match reach(
        table, objective, module,
    ) {
        Reach::Nothing(reason) => *reason,
        Reach::Norms(norms) => panic!("{objective} at {module}: {norms:?}"),
    };
    assert_eq!(reason(&found, "fit-first", "second"), Reason::NotUpdated);
    assert_eq!(reason(&found, "fit-first", "sight"), Reason::NoRoute);
    assert_eq!(reason(&found, "see", "eye"), Reason::Frozen);
    assert!(norms(&found, "see", "sight").iter().all(|norm| *norm > 0.0));

    // The same with the wire into `second` cut.
    let mut cut = (*whole).clone();
    let stage = &mut cut.stages[0];
    let to = "second.features".parse().unwrap();
    stage.wiring.get_mut(&to).unwrap().detach = true;
    stage.route = Route::new(&nodes(), &stage.wiring, &stage.resolution);
    let found = table(&Arc::new(cut), 2);
    assert_eq!(reason(&found, "fit-first", "line"), Reason::Cut);
}

#[test]
fn a_loss_agrees_with_itself_and_the_latest_stage_of_an_objective_counts() {
    // Both change `second` alone, so that the cosine is there: L1 with a negative weight pulls away
    // from where the squares pull to.
    let first = fit(json!({"objectives": {"fit": 1.0}}));
    let later = fit(json!({
        "name": "later", "objectives": {"fit": 1.0, "fit-second": 1.0},
    }));
    let table = table(&plan(3, 22, [first, later]), 1);
    let stages: Vec<&str> = table
        .losses
        .iter()
        .map(|loss| loss.stage.as_str())
        .collect();
    assert_eq!(stages, ["later", "later"]);
    let modules: Vec<&str> = table
        .cosines
        .iter()
        .map(|row| row.module.as_str())
        .collect();
    assert_eq!(modules, ["second"]);
    let cosine = table.cosines[0].values[0];
    assert!((-1.0..-0.5).contains(&cosine), "{cosine}");
}

/// Two stages: one that fits, one that drives the fit away. What the first evaluation said.
fn wrecked(root: &Path) -> (Arc<Plan>, f64) {
    let evaluate = json!({"evaluate": {"data": "valid"}, "steps": 60, "lr": 0.05});
    let wreck = json!({
        "name": "wreck", "data": "train", "train": ["second"], "freeze": ["line"],
        "objectives": {"fit-second": 1.0}, "steps": 30, "lr": 0.05,
    });
    let plan = plan(3, 5, [fit(evaluate), wreck]);
    let (result, recorder) = run(&plan, root);
    result.unwrap();
    let told = recorder.events().into_iter().find_map(|event| match event {
        Event::Evaluated { scores, .. } => Some(scores["fit"]),
        _ => None,
    });
    (plan, told.unwrap())
}

fn gates(plan: &Arc<Plan>, root: &Path) -> Vec<StageObjective> {
    let store = Store::new(root.join("checkpoints"));
    let newest = store.newest().unwrap().0.unwrap();
    let graph = load_graph(graph(plan, &Device::flex()), &newest, true).unwrap();
    let graph = graph.evaluation_copy();
    let state = state_of(&newest).unwrap();
    gate_table(
        plan,
        (&graph, newest.step),
        (&store, &state),
        &data(plan),
        &Device::flex(),
        usize::MAX,
    )
    .unwrap()
}

fn mean(sums: &[(f64, f64)]) -> f64 {
    let total = |pick: fn(&(f64, f64)) -> f64| sums.iter().map(pick).sum::<f64>();
    total(|sum| sum.0) / total(|sum| sum.1)
}

#[test]
fn what_a_later_stage_ruined_is_measured_against_its_own_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let (plan, told) = wrecked(&root);
    let rows = gates(&plan, &root);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].stage.as_str(), rows[0].data.as_str()),
        ("apart", "valid")
    );
    let Then::Measured { step, sums } = &rows[0].then else {
        panic!("{:?}", rows[0].then)
    };
    assert_eq!(*step, 60);
    assert!(
        (mean(sums) / told - 1.0).abs() < 1e-9,
        "{} {told}",
        mean(sums)
    );
    assert!(mean(&rows[0].now) > 2.0 * told, "{}", mean(&rows[0].now));
    assert_eq!(rows[1].then, Then::Now);

    std::fs::remove_dir_all(root.join("checkpoints/step-60")).unwrap();
    let rows = gates(&plan, &root);
    let Then::Unknown(why) = &rows[0].then else {
        panic!("{:?}", rows[0].then)
    };
    assert_eq!(
        why,
        "the run keeps no checkpoint of the stage's end, step 60"
    );
}

#[test]
fn a_stage_that_has_not_ended_has_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let every = json!({"checkpoint": {"every": 4}});
    let plan = plan(3, 5, [fit(every)]);
    trainer(&plan, &root, crate::common::Options::default())
        .unwrap()
        .run()
        .unwrap();
    // As if the process had been killed after step 8.
    std::fs::remove_dir_all(root.join("checkpoints/step-12")).unwrap();
    let rows = gates(&plan, &root);
    assert_eq!(
        rows[0].then,
        Then::Unknown("the stage has not ended yet".to_owned())
    );
}
