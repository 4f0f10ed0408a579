//! The columns that a route reads while episodes are driven: how much of the truth they are made of, and what
//! makes them of frames that were never recorded.

use super::DrivingConfig;
use super::planner::recording;
use crate::error::TaskError;
use crate::score_run::route_to;
use conjoin_data::source::LerobotConfig;
use conjoin_data::{Columns, DataSetConfig, Live};
use conjoin_graph::{NodeSpec, PortRef, Route, Wiring};
use conjoin_world::driving::dataset::{features, part};
use conjoin_world::driving::env::EnvConfig;
use conjoin_world::driving::observation::Parts;
use std::collections::BTreeMap;

/// What is seen while episodes are driven.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the recording was taken with.
    pub env: EnvConfig,
    /// As little of the truth as will do, for it is dear.
    pub parts: Parts,
    pub live: Live,
}

impl Seen {
    /// `route` leads to the ports that the task wants.
    ///
    /// # Errors
    /// The data set is no recording, or does not say what its frames were taken with; or a column that is read
    /// is made of something that no moment of the world has.
    pub fn new(
        task: &DrivingConfig,
        data: &DataSetConfig,
        route: &Route,
    ) -> Result<Self, TaskError> {
        let (recording, info) = recording(task, data)?;
        let found = info.extra.get("config").cloned().unwrap_or_default();
        let env: EnvConfig =
            serde_json::from_value(found).map_err(|_| TaskError::Recording(task.data.clone()))?;
        let (parts, live) = least(data, recording, &env, &readers(task, route))?;
        Ok(Self { env, parts, live })
    }
}

impl DrivingConfig {
    /// Whether every column that the plan is made of is there while episodes are driven too; the recording's
    /// description is read, no frame. `columns` are those of the data set.
    ///
    /// # Errors
    /// [`TaskError::NotDriven`] names a column that is not, and who reads it. Whatever else is wrong with the
    /// data set or the graph is an error too.
    pub fn check_columns(
        &self,
        data: &DataSetConfig,
        nodes: &[NodeSpec],
        wiring: &Wiring,
        columns: &Columns,
    ) -> Result<(), TaskError> {
        let route = route_to(nodes, wiring, columns, &self.wanted())?;
        Seen::new(self, data, &route).map(drop)
    }
}

/// The columns that are read, each with an input, or a port of the task, that reads it.
fn readers(task: &DrivingConfig, route: &Route) -> BTreeMap<String, PortRef> {
    let wanted = task.wanted();
    let own = task.ports().into_iter();
    let own = own.filter(|(_, port)| port.is_data() && wanted.contains(port));
    let own = own.map(|(name, port)| (port.port, PortRef::new("task", name)));
    let wires = route.wires().filter(|(_, wire)| wire.from.is_data());
    let wires = wires.map(|(to, wire)| (wire.from.port.clone(), to.clone()));
    own.chain(wires).collect()
}

/// The least of the truth of which all columns that are read can be made, with what makes them.
fn least(
    data: &DataSetConfig,
    recording: &LerobotConfig,
    env: &EnvConfig,
    read: &BTreeMap<String, PortRef>,
) -> Result<(Parts, Live), TaskError> {
    let all = features(env);
    let make = |parts: Parts| {
        let names = all.iter().map(|feature| feature.name.as_str());
        let names: Vec<&str> = names
            .filter(|name| part(name).is_some_and(|part| part <= parts))
            .collect();
        Live::new(data, &names)
    };
    let lacks = |live: &Live| {
        let mut read = read.iter();
        read.find(|(column, _)| !live.columns().contains_key(*column))
    };
    for parts in [Parts::Inputs, Parts::Present, Parts::Future] {
        if let Ok(live) = make(parts)
            && lacks(&live).is_none()
        {
            return Ok((parts, live));
        }
    }
    let live = make(Parts::Plan)?;
    let Some((column, reader)) = lacks(&live) else {
        return Ok((Parts::Plan, live));
    };
    let made_of = recording.columns.get(column).into_iter();
    let made_of = made_of.flat_map(|column| column.feature.iter().chain(&column.features));
    let foreign: Vec<String> = made_of
        .filter(|feature| part(feature).is_none())
        .map(|feature| format!("feature {feature:?}"))
        .collect();
    let names: Vec<&str> = all.iter().map(|feature| feature.name.as_str()).collect();
    Err(TaskError::NotDriven {
        reader: reader.clone(),
        column: column.clone(),
        found: if foreign.is_empty() {
            "a transform of columns that are not there either".to_owned()
        } else {
            foreign.join(", ")
        },
        expected: format!("what a moment has: {}", names.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use conjoin_data::lerobot::Frame;
    use conjoin_data::{ArrayData, SourceConfig};
    use conjoin_world::driving::dataset::frame;
    use conjoin_world::driving::env::DrivingEnv;
    use conjoin_world::driving::recording::recorder;
    use conjoin_world::driving::scene::EpisodeId;
    use serde_json::json;
    use std::path::Path;

    fn env() -> DrivingEnv {
        let episode = EpisodeId {
            family: "straight-1".parse().unwrap(),
            seed: 3,
        };
        let mut config = EnvConfig::default();
        (config.cameras.width, config.cameras.height) = (32, 16);
        DrivingEnv::new(config, episode).unwrap()
    }

    /// A recording of one moment, with the columns of the driving recipes and two that only a file has.
    fn data(root: &Path) -> DataSetConfig {
        let mut env = env();
        let config = env.config().clone();
        let episode = EpisodeId {
            family: "straight-1".parse().unwrap(),
            seed: 3,
        };
        let mut recorder = recorder(root, &config, episode, json!({})).unwrap();
        let (shots, seen) = env.observe();
        recorder
            .push(frame(&shots, &seen, &config.observation))
            .unwrap();
        recorder.end_episode("drive").unwrap();
        recorder.finish().unwrap();
        let grid = json!({"cells": [32, 32], "extent": [-8.0, 40.0, -24.0, 24.0]});
        let with_grid = |kind: &str| {
            let mut transform = grid.clone();
            transform["kind"] = json!(kind);
            transform
        };
        let mut columns = json!({
            "cameras": {
                "features": ["observation.images.front", "observation.images.left"],
                "delta_indices": [-4, 0],
            },
            "clock": {"feature": "timestamp"},
        });
        for name in ["state", "route"] {
            columns[name] = json!({"feature": format!("observation.{name}")});
        }
        for name in [
            "agents",
            "visible",
            "futures",
            "occupancy",
            "road",
            "lanes",
            "lanes_mask",
            "light",
            "plan",
        ] {
            columns[name] = json!({"feature": format!("truth.{name}")});
        }
        let mut label =
            json!({"kind": "one-hot-to-label", "column": "light", "into": "light_label"});
        label["classes"] = json!(["none", "green", "yellow", "red"]);
        serde_json::from_value(json!({
            "source": {"kind": "lerobot", "path": root, "columns": columns},
            "transforms": [with_grid("boxes-to-grid"), with_grid("lines-to-grid"), label],
            "loader": {"batch": {"size": 2}},
        }))
        .unwrap()
    }

    fn found(data: &DataSetConfig, columns: &[&str]) -> Result<(Parts, Live), TaskError> {
        let SourceConfig::Lerobot(recording) = &data.source else {
            panic!("no recording");
        };
        let read = columns.iter().map(|column| {
            let reader = PortRef::new("planner", "map");
            ((*column).to_owned(), reader)
        });
        least(data, recording, env().config(), &read.collect())
    }

    #[test]
    fn every_column_of_the_truth_is_there_while_episodes_are_driven() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let mut env = env();
        let config = env.config().observation.clone();
        let mut sum_of = |column: &str, parts: Parts, live: &Live| -> f32 {
            let (shots, seen) = env.observe_parts(parts);
            let frame: Frame = frame(&shots, &seen, &config);
            let batch = live.batch(&[vec![&frame]]).unwrap();
            match &batch.columns[column].array.data {
                ArrayData::F32(numbers) => numbers.iter().map(|number| number.abs()).sum(),
                ArrayData::I64(_) => 0.0,
            }
        };
        let grids = ["visible", "boxes_grid", "heat", "light_label"];
        let true_inputs = ["agents", "futures", "occupancy", "lanes_grid", "light"];
        let cases: [(&[&str], Parts); 7] = [
            (&["cameras", "state", "route"], Parts::Inputs),
            (&["agents", "lanes_grid", "light"], Parts::Present),
            (&grids, Parts::Present),
            (&["futures", "occupancy"], Parts::Future),
            (&true_inputs, Parts::Future),
            (&["plan"], Parts::Plan),
            (&["lanes_grid", "plan"], Parts::Plan),
        ];
        for (columns, parts) in cases {
            let (found, live) = found(&data, columns).unwrap();
            assert_eq!(found, parts, "{columns:?}");
            for column in columns {
                let sum = sum_of(column, parts, &live);
                let told = ["agents", "lanes_grid", "light", "futures", "plan"];
                assert!(!told.contains(column) || sum > 0.0, "{column}");
            }
        }
    }

    #[test]
    fn a_column_that_only_a_file_has_is_named_with_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let data = data(folder.path());
        let error = found(&data, &["clock", "plan"]).unwrap_err();
        assert!(error.is_users());
        let text = error.to_string();
        assert!(
            text.starts_with(
                "planner.map reads data.clock, which is not there while episodes are driven: found feature \
                 \"timestamp\", expected what a moment has: observation.images.front, "
            ),
            "{text}"
        );
        let text = found(&data, &["ticks"]).unwrap_err().to_string();
        assert!(text.contains("found a transform of columns"), "{text}");
    }

    #[test]
    fn columns_that_the_task_itself_shows_are_read_too() {
        let task: DrivingConfig = serde_json::from_value(json!({
            "plan": "qp.plan", "target": "data.plan", "agents": "data.agents", "data": "test",
        }))
        .unwrap();
        let agents = PortRef::new("task", "agents");
        let read = readers(&task, &Route::default());
        assert_eq!(read, [("agents".to_owned(), agents)].into());
        // Nothing is drawn, and nothing looked at.
        let blind = DrivingConfig { films: 0, ..task };
        assert!(readers(&blind, &Route::default()).is_empty());
    }
}
