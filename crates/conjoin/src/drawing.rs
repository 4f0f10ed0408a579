//! From a plan to the boxes and wires of its drawing.

use conjoin_graph::{Graph, NodeConfig, PortRef, Wire};
use conjoin_insight::{DrawEdge, DrawNode, DrawState, Drawing, EdgeStyle};
use conjoin_train::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Every node that a stage or the task uses; wires as the last stage has them, completed by those
/// of earlier stages.
pub(crate) fn draw(plan: &Plan, graph: &Graph) -> Drawing {
    let mut wires: BTreeMap<PortRef, Wire> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for stage in plan.stages.iter().rev() {
        let nodes: BTreeSet<&str> = stage.route.nodes().collect();
        for (to, wire) in &stage.wiring {
            if nodes.contains(to.node.as_str()) {
                wires.entry(to.clone()).or_insert_with(|| wire.clone());
            }
        }
        used.extend(nodes.into_iter().map(str::to_owned));
    }
    for (to, wire) in &plan.wiring {
        if plan.resolution.bound.contains_key(&to.node) {
            wires.entry(to.clone()).or_insert_with(|| wire.clone());
            used.insert(to.node.clone());
        }
    }
    let mut drawing = Drawing {
        title: plan.name.clone(),
        ..Drawing::default()
    };
    let mut columns = BTreeSet::new();
    let mut contract_only = BTreeSet::new();
    for spec in plan.nodes.iter().filter(|spec| used.contains(&spec.name)) {
        drawing.nodes.push(DrawNode {
            name: spec.name.clone(),
            kind: spec.config.name().to_owned(),
            params: Some(weights(graph, &spec.name)),
            state: state(plan, &spec.name),
        });
        for port in spec.config.inputs() {
            if port.contract_only {
                contract_only.insert(PortRef::new(&spec.name, port.name));
            }
        }
    }
    for (to, wire) in &wires {
        let style = EdgeStyle {
            scheduled: wire.blend.is_some(),
            contract_only: contract_only.contains(to),
            stop_gradient: wire.detach,
        };
        push_edge(
            plan,
            &mut drawing,
            &mut columns,
            &wire.from,
            &to.node,
            style,
        );
        if let Some(blend) = wire.second() {
            push_edge(
                plan,
                &mut drawing,
                &mut columns,
                &blend.with,
                &to.node,
                style,
            );
        }
    }
    push_objectives(plan, &mut drawing, &mut columns);
    for column in columns {
        drawing.nodes.push(DrawNode {
            kind: contract(plan, &column),
            name: column.to_string(),
            params: None,
            state: DrawState::Column,
        });
    }
    drawing
}

fn push_objectives(plan: &Plan, drawing: &mut Drawing, columns: &mut BTreeSet<PortRef>) {
    let mut seen = BTreeSet::new();
    for objective in plan.stages.iter().flat_map(|stage| &stage.objectives) {
        if !seen.insert(objective.name.clone()) {
            continue;
        }
        let name = format!("{} (objective)", objective.name);
        drawing.nodes.push(DrawNode {
            name: name.clone(),
            kind: objective.config.loss.kind().to_owned(),
            params: None,
            state: DrawState::Objective,
        });
        let style = EdgeStyle::default();
        for port in [&objective.config.prediction, &objective.config.target] {
            push_edge(plan, drawing, columns, port, &name, style);
        }
    }
}

fn push_edge(
    plan: &Plan,
    drawing: &mut Drawing,
    columns: &mut BTreeSet<PortRef>,
    from: &PortRef,
    to: &str,
    style: EdgeStyle,
) {
    let (name, label) = if from.is_data() {
        columns.insert(from.clone());
        (from.to_string(), String::new())
    } else {
        (
            from.node.clone(),
            format!("{}\n{}", from.port, contract(plan, from)),
        )
    };
    drawing.edges.push(DrawEdge {
        from: name,
        to: to.to_owned(),
        label,
        style,
    });
}

/// The contract at a port as text, from the first place that knows it.
fn contract(plan: &Plan, port: &PortRef) -> String {
    let none = BTreeMap::new();
    let from_data = plan
        .data
        .values()
        .find_map(|data| data.columns.get(&port.port));
    let found = if port.is_data() {
        from_data
    } else {
        plan.stages
            .iter()
            .map(|stage| &stage.resolution)
            .chain([&plan.resolution])
            .find_map(|resolution| resolution.contract(port, &none))
    };
    found.map_or_else(String::new, |contract| {
        format!("{} {}", contract.meaning, contract.shape_text())
    })
}

/// Trained if any stage trains it.
fn state(plan: &Plan, node: &str) -> DrawState {
    let trained = plan.stages.iter().any(|stage| stage.trained.contains(node));
    let frozen = plan
        .stages
        .iter()
        .any(|stage| stage.config.freeze.iter().any(|name| name == node));
    match (trained, frozen) {
        (true, _) => DrawState::Trained,
        (false, true) => DrawState::Frozen,
        (false, false) => DrawState::Idle,
    }
}

fn weights(graph: &Graph, name: &str) -> usize {
    let mut count = 0;
    if let Some(node) = graph.node(name) {
        node.visit(&mut |param| {
            if !param.statistic {
                count += param.shape.iter().product::<usize>();
            }
        });
    }
    count
}
