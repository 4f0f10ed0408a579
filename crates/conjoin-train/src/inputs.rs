//! Inputs that move from ground truth to prediction over a stage.
//!
//! A second source upstream is blended in by the graph itself. One downstream (a decoder fed with
//! its own output) is computed by an extra pass without gradient, after Mihaylova and Martins 2019,
//! "Scheduled Sampling for Transformers".

use crate::plan::StagePlan;
use crate::stage::InputConfig;
use conjoin_graph::blend::feed_back;
use conjoin_graph::graph::{Graph, GraphError, Keep, Pass};
use conjoin_graph::node::mix;
use conjoin_graph::{Blend, PortRef, Value};
use std::collections::BTreeMap;

/// Columns of a batch on a device.
pub(crate) type Columns = BTreeMap<String, Value>;

/// Share taken from predictions by each scheduled input at a step of a stage of `steps`.
pub(crate) fn shares(stage: &StagePlan, step: u64, steps: u64) -> BTreeMap<PortRef, f64> {
    let share = |(name, input): (&String, &InputConfig)| match input {
        InputConfig::Schedule(schedule) => {
            let port: PortRef = name.parse().ok()?;
            Some((port, schedule.share.at(step, steps)))
        }
        InputConfig::Open(_) | InputConfig::Source(_) => None,
    };
    stage.config.inputs.iter().filter_map(share).collect()
}

/// Computes what the feedback inputs read in this pass and enters it as overrides.
pub(crate) fn feed_predictions(
    graph: &Graph,
    stage: &StagePlan,
    columns: &Columns,
    pass: &mut Pass,
) -> Result<(), GraphError> {
    let share_of = |to: &PortRef| pass.shares.get(to).copied().unwrap_or(0.0);
    let due: Vec<_> = stage
        .route
        .feedback()
        .filter(|(to, ..)| share_of(to) > 0.0)
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let wanted = due
        .iter()
        .flat_map(|(_, wire, blend)| [wire.from.clone(), blend.with.clone()])
        .filter(|port| !port.is_data())
        .collect();
    let first = Pass {
        shares: pass.shares.clone(),
        keep: Keep::Only(wanted),
        precision: pass.precision,
        ..Pass::default()
    };
    let trace =
        graph
            .evaluation_copy()
            .forward(&stage.route, &without_autodiff(columns), &first)?;
    for (number, (to, wire, blend)) in due.into_iter().enumerate() {
        let truth = match columns.get(&wire.from.port).filter(|_| wire.from.is_data()) {
            Some(column) => column,
            None => trace.get(&wire.from)?,
        };
        let seed = mix(pass.training.unwrap_or(0), u64::MAX - number as u64);
        let share = pass.shares.get(to).copied().unwrap_or(0.0);
        let logits = trace.get(&blend.with)?;
        let mixed = feed_back(truth, logits, &unsaid(stage, blend), share, seed);
        let mixed = mixed.map_err(|error| GraphError::Blend {
            at: to.to_string(),
            message: error.to_string(),
        })?;
        pass.overrides.insert(to.clone(), mixed);
    }
    Ok(())
}

/// What the decoder behind a feedback wire never says. The wire's check has found a vocabulary at its
/// second source, which lies downstream and hence is no column.
fn unsaid(stage: &StagePlan, blend: &Blend) -> Vec<i64> {
    let no_columns = BTreeMap::new();
    let logits = stage.resolution.contract(&blend.with, &no_columns);
    let vocabulary = logits.and_then(|contract| contract.vocabulary.as_ref());
    vocabulary.map(|known| known.unsaid()).unwrap_or_default()
}

/// The same columns for a graph without autodiff.
pub(crate) fn without_autodiff(columns: &Columns) -> Columns {
    let inner = |(name, value): (&String, &Value)| {
        let payload = value.payload.clone().inner();
        (
            name.clone(),
            Value::with_lengths(payload, value.lengths.clone()),
        )
    };
    columns.iter().map(inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, Int, Tensor};
    use conjoin_data::{Contract, Vocabulary};
    use conjoin_graph::spec::resolve;
    use conjoin_graph::{BuiltinNode, NodeKind, NodeSpec, Route, Wire, Wiring};
    use serde_json::json;

    fn port(text: &str) -> PortRef {
        text.parse().unwrap()
    }

    /// A stage that feeds an embedding with what a classifier says behind it.
    fn stage(nodes: &[NodeSpec], columns: &BTreeMap<String, Contract>) -> StagePlan {
        let wires = [
            ("table.tokens", "data.said"),
            ("output.features", "table.features"),
            ("output.classes", "data.said"),
        ];
        let wire = |(to, from)| (port(to), Wire::new(port(from)));
        let mut wiring: Wiring = wires.map(wire).into();
        let blend = Blend {
            with: port("output.logits"),
            feedback: true,
        };
        wiring.get_mut(&port("table.tokens")).unwrap().blend = Some(blend);
        let wanted = [port("output.logits")];
        let resolution = resolve(nodes, &wiring, columns, Some(&wanted));
        assert_eq!(resolution.problems, []);
        let config = json!({"name": "say", "data": "train", "train": ["table", "output"],
            "objectives": {}, "steps": 1, "lr": 0.1});
        StagePlan {
            config: serde_json::from_value(config).unwrap(),
            route: Route::new(nodes, &wiring, &resolution),
            wiring,
            resolution,
            trained: ["table", "output"].map(str::to_owned).into(),
            objectives: Vec::new(),
        }
    }

    #[test]
    fn what_decoding_never_says_is_never_fed_back() {
        let symbols = ["<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "a"];
        let vocabulary = Vocabulary::new("symbols", symbols);
        let unsaid = [0, 1, 3, 4];
        let said = Contract::tokens("U", vocabulary);
        let contracts = [("said".to_owned(), said)].into();
        let node = |name: &str, config| NodeSpec {
            name: name.to_owned(),
            config: NodeKind::Builtin(serde_json::from_value::<BuiltinNode>(config).unwrap()),
        };
        let nodes = [
            node("table", json!({"kind": "embedding", "size": 8})),
            node("output", json!({"kind": "classifier"})),
        ];
        let stage = stage(&nodes, &contracts);
        let device = Device::flex().autodiff();
        let graph = Graph::build(&nodes, [&stage.resolution], &device, 7).unwrap();
        let tokens = Tensor::<2, Int>::from_data([[1i64, 2, 3, 4, 5, 2]], (&device, DType::I64));
        let columns = [("said".to_owned(), Value::from(tokens))].into();

        // Untrained, the most probable symbol is more often than not one of these.
        let trace = graph.forward(&stage.route, &columns, &Pass::default());
        let logits = trace.unwrap().get(&port("output.logits")).unwrap().to_f32();
        let likeliest = logits.chunks_exact(symbols.len()).map(|row| {
            let places = 0..row.len() as i64;
            places.max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize]))
        });
        let likeliest: Vec<i64> = likeliest.flatten().collect();
        assert!(likeliest[..5].iter().any(|s| unsaid.contains(s)));

        let mut pass = Pass {
            shares: [(port("table.tokens"), 1.0)].into(),
            ..Pass::default()
        };
        feed_predictions(&graph, &stage, &columns, &mut pass).unwrap();
        let fed = pass.overrides[&port("table.tokens")].to_i64();
        assert_eq!((fed.len(), fed[0]), (6, 1));
        for (fed, likeliest) in fed[1..].iter().zip(&likeliest) {
            assert!(!unsaid.contains(fed), "{fed}");
            assert!(unsaid.contains(likeliest) || fed == likeliest);
        }
    }
}
