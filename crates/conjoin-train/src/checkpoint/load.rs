//! From the files of a checkpoint to weights in a graph.

use super::tensors::{Arrays, Numbers, decode};
use super::{EMA, Found, RunState, STATE, Store};
use crate::TrainError;
use crate::parameters::{parameter_name, replace_nodes};
use conjoin_graph::graph::Graph;
use conjoin_graph::weights::{self, WeightsError};
use std::collections::BTreeMap;

/// File of a node's weights.
pub(crate) fn node_file(node: &str) -> String {
    format!("{node}.safetensors")
}

/// The checkpoint with the best weights of a run: the best evaluation of the latest stage that was
/// evaluated, otherwise the newest checkpoint. Nothing is changed on disk.
///
/// # Errors
/// There is no checkpoint, or none can be read.
pub fn best(store: &Store) -> Result<Option<Found>, TrainError> {
    let (newest, _) = store.newest()?;
    let Some(newest) = newest else {
        return Ok(None);
    };
    let state = state_of(&newest)?;
    match state.best.map(|best| best.global_step) {
        Some(step) if step != newest.step => Ok(store.read(step).ok().or(Some(newest))),
        _ => Ok(Some(newest)),
    }
}

/// Where the run was when the checkpoint was written.
///
/// # Errors
/// The state is missing or not one.
pub fn state_of(found: &Found) -> Result<RunState, TrainError> {
    let path = found.path.join(STATE);
    match found.files.file(STATE) {
        Some(bytes) => RunState::decode(bytes, &path),
        None => Err(TrainError::damaged(&path, "missing")),
    }
}

/// Puts a checkpoint's weights into a graph. With `averaged`, those of the exponential moving
/// average where the checkpoint has one: what evaluation uses.
///
/// # Errors
/// A node's file is missing or does not fit the node.
pub fn load_graph(graph: Graph, found: &Found, averaged: bool) -> Result<Graph, TrainError> {
    let mut files = BTreeMap::new();
    for node in graph.names() {
        files.insert(node.to_owned(), node_arrays(&graph, node, found)?);
    }
    let graph = replace_nodes(graph, |name, node| match files.remove(name) {
        Some(arrays) => weights::assign(node, arrays),
        None => node,
    });
    match arrays(found, EMA)? {
        Some(average) if averaged => load_flat(graph, average, found, EMA),
        _ => Ok(graph),
    }
}

/// Replaces the weights of one node by their averages, where the checkpoint has them.
pub(crate) fn load_average(graph: Graph, node: &str, found: &Found) -> Result<Graph, TrainError> {
    let mut average = arrays(found, EMA)?.unwrap_or_default();
    average.retain(|key, _| key.starts_with(&parameter_name(node, "")));
    load_flat(graph, average, found, EMA)
}

type Shaped = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn node_arrays(graph: &Graph, name: &str, found: &Found) -> Result<Shaped, TrainError> {
    let file = node_file(name);
    let path = found.path.join(&file);
    let mismatch = |problem: String| TrainError::Mismatch {
        path: path.clone(),
        problem,
    };
    let bytes = found
        .files
        .file(&file)
        .ok_or_else(|| mismatch(format!("it has no node {name:?}")))?;
    let loaded = weights::decode(&path, bytes).map_err(|e| mismatch(e.to_string()))?;
    let Some(node) = graph.node(name) else {
        return Ok(loaded);
    };
    let report = weights::compare(node, &loaded, &path).map_err(|e| mismatch(e.to_string()))?;
    if report.missing.is_empty() && report.unused.is_empty() {
        return Ok(loaded);
    }
    let keys = WeightsError::Keys {
        path: path.clone(),
        missing: report.missing,
        unused: report.unused,
    };
    Err(mismatch(keys.to_string()))
}

/// The arrays of a file of a checkpoint; `None` where there is no such file.
pub(crate) fn arrays(found: &Found, file: &str) -> Result<Option<Arrays>, TrainError> {
    let bytes = found.files.file(file);
    bytes
        .map(|bytes| decode(bytes, &found.path.join(file)))
        .transpose()
}

/// Replaces the parameters that `arrays` names as `<node>/<path>`; all of them must exist.
fn load_flat(graph: Graph, arrays: Arrays, found: &Found, file: &str) -> Result<Graph, TrainError> {
    let mismatch = |problem: String| TrainError::Mismatch {
        path: found.path.join(file),
        problem,
    };
    let mut nodes: BTreeMap<String, Shaped> = BTreeMap::new();
    let mut left = arrays;
    let names: Vec<String> = graph.names().map(str::to_owned).collect();
    let mut wrong = None;
    for name in names {
        let Some(node) = graph.node(&name) else {
            continue;
        };
        node.visit(&mut |param| {
            let key = parameter_name(&name, param.path);
            match left.remove(&key) {
                Some(Numbers::F32(v)) if v.len() == param.shape.iter().product::<usize>() => {
                    let shaped = (param.shape.clone(), v);
                    let node = nodes.entry(name.clone()).or_default();
                    node.insert(param.path.to_owned(), shaped);
                }
                Some(_) => wrong = Some(key),
                None => {}
            }
        });
    }
    if let Some(key) = wrong.or_else(|| left.into_keys().next()) {
        return Err(mismatch(format!("{key} does not fit the nodes")));
    }
    Ok(replace_nodes(graph, |name, node| {
        match nodes.remove(name) {
            Some(values) => weights::assign(node, values),
            None => node,
        }
    }))
}
