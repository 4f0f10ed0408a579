//! Node kind `view-to-bev`: features of views `[B, V, H, W, C]` to a map of the ground `[B, X, Y, D]`, those of earlier
//! moments `[B, F V, H, W, C]` among them where the vehicle's poses `[B, F, 3]` are wired.

use super::calibration::{self, CameraConfig};
use super::grid::{check_grid, default_cells, default_extent};
use super::shared::{at_least_one, init, known, optional};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use conjoin_data::{Contract, Meaning, grid_frame};
use conjoin_nn::{Camera, Depths, Grid, ViewToBev, ViewToBevOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Looks from every cell, at some heights, into the cameras, takes the mean of the features of those that
/// see the place, and maps them to `size` channels (Harley et al. 2023, "Simple-BEV"). The cameras'
/// calibration is that of a recording, or stands in the recipe. Of earlier moments, all views of the earliest first, it
/// looks from where the cell lay in the frame of the vehicle then; what stands still has the same features in all of
/// them, which come behind each other. With `depths`, of what each position of a view shows it is learned how far it lies,
/// and the features go to the cells there (Philion and Fidler 2020, "Lift, Splat, Shoot").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViewToBevConfig {
    /// Channels of the map.
    pub size: usize,
    /// Cells along x (ahead) and y (to the left).
    #[serde(default = "default_cells")]
    pub cells: [usize; 2],
    /// Metres of the ego frame that the cells cover: x from, x to, y from, y to.
    #[serde(default = "default_extent")]
    pub extent: [f64; 4],
    /// Metres above the ground at which a cell looks into the cameras.
    #[serde(default = "default_heights")]
    pub heights: Vec<f64>,
    /// Depths over which each position of a view has a distribution, output `depths`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depths: Option<DepthsConfig>,
    /// Folder of a recording, whose `meta/info.json` holds the calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<PathBuf>,
    /// The calibration of each camera by name, in place of a recording.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cameras: BTreeMap<String, CameraConfig>,
    /// Names of the cameras in the order of the views.
    #[serde(default = "default_views")]
    pub views: Vec<String>,
}

/// Evenly spaced depths along a camera's optical axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthsConfig {
    /// How many, at least 2.
    pub bins: usize,
    /// m
    pub nearest: f64,
    /// m
    pub farthest: f64,
}

impl DepthsConfig {
    fn depths(self) -> Result<Depths, NodeError> {
        let Self {
            bins,
            nearest,
            farthest,
        } = self;
        let is_range = nearest >= 0.0 && farthest > nearest && farthest.is_finite();
        if bins < 2 || !is_range {
            return Err(NodeError::Options(format!(
                "depths: expected at least 2 bins from nearest to a farthest above it, metres, found {bins} from \
                 {nearest:?} to {farthest:?}"
            )));
        }
        Ok(Depths {
            bins,
            nearest,
            farthest,
        })
    }
}

fn default_heights() -> Vec<f64> {
    vec![0.0, 1.0]
}

fn default_views() -> Vec<String> {
    ["front", "left", "right"].map(str::to_owned).to_vec()
}

impl ViewToBevConfig {
    fn grid(&self) -> Grid {
        Grid {
            cells: self.cells,
            extent: self.extent,
        }
    }

    fn calibration(&self) -> Result<Vec<Camera>, NodeError> {
        match (&self.recording, self.cameras.is_empty()) {
            (Some(recording), true) => calibration::recorded(recording, &self.views),
            (None, false) => calibration::given(&self.cameras, &self.views),
            (None, true) => Err(NodeError::Options(
                "the cameras' calibration: expected option recording or option cameras, found neither"
                    .to_owned(),
            )),
            (Some(_), false) => Err(NodeError::Options(
                "cameras: expected either option recording or option cameras, found both".to_owned(),
            )),
        }
    }

    /// The module's options, checked.
    fn options(&self, inputs: &Bound) -> Result<ViewToBevOptions, NodeError> {
        at_least_one("size", self.size)?;
        check_grid(self.grid())?;
        at_least_one("number of heights", self.heights.len())?;
        if let Some(height) = self.heights.iter().find(|height| !height.is_finite()) {
            return Err(NodeError::Options(format!(
                "heights: expected metres above the ground, found {height}"
            )));
        }
        let (views, moments) = (known(inputs, "V")?, inputs.size("F").unwrap_or(1));
        if views != moments * self.views.len() {
            let of = match moments {
                1 => String::new(),
                moments => format!(" at each of {moments} moments"),
            };
            return Err(NodeError::Options(format!(
                "views: expected a name for each of the {views} views of input \"features\", found {}{of}",
                self.views.len()
            )));
        }
        Ok(ViewToBevOptions {
            cameras: self.calibration()?,
            moments,
            features: [
                known(inputs, "H")?,
                known(inputs, "W")?,
                known(inputs, "C")?,
            ],
            grid: self.grid(),
            heights: self.heights.clone(),
            size: self.size,
            depths: self.depths.map(DepthsConfig::depths).transpose()?,
        })
    }
}

#[derive(Module, Debug)]
struct ViewToBevNode {
    lift: ViewToBev,
}

impl NodeConfig for ViewToBevConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::new(
                "features",
                "features of each camera's view",
                &[Meaning::Features],
                &[
                    Want::Any("B"),
                    Want::Known("V"),
                    Want::Known("H"),
                    Want::Known("W"),
                    Want::Known("C"),
                ],
            ),
            InputPort::new(
                "poses",
                "the vehicle's at each moment, now last: x, y (m), heading (rad) in a frame fixed to the ground",
                &[Meaning::Quantity],
                &[Want::Any("B"), Want::Known("F"), Want::Exactly(3)],
            )
            .optional_part(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        if options.unprojection().terms() == 0 {
            return Err(NodeError::Options(
                "extent: expected ground that a camera sees, found none".to_owned(),
            ));
        }
        let [x, y] = self.cells;
        let dims = [inputs.dim("B"), x.into(), y.into(), self.size.into()];
        let contract = Contract::new(Meaning::Features, dims).with_frame(grid_frame(self.extent));
        let about = "features of each cell of the ground";
        let mut ports = vec![OutputPort::new("map", about, contract)];
        if let Some(depths) = options.depths {
            let views = ["B", "V", "H", "W"].map(|name| inputs.dim(name));
            let dims = views.into_iter().chain([depths.bins.into()]);
            let about = "how likely what a position of a view shows lies at each depth";
            let contract = Contract::new(Meaning::Weights, dims);
            ports.push(OutputPort::new("depths", about, contract));
        }
        Ok(ports)
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let lift = ViewToBev::new(&init(scope).child("lift"), &self.options(inputs)?);
        Ok(Box::new(ViewToBevNode { lift }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        self.options(inputs).map_or(0.0, |options| options.flops())
    }

    /// A map has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for ViewToBevNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let (features, poses) = (inputs.tensor("features")?, optional(inputs, "poses")?);
        let view = self.lift.forward(features, poses);
        let outputs = Outputs::one("map", view.map);
        Ok(match view.depths {
            Some(depths) => outputs.and("depths", depths),
            None => outputs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{
        assert_close, bind, build, inputs, options, random, refusal,
    };
    use crate::value::Value;
    use burn::tensor::{Device, Tensor};

    const CAMERAS: &str = r#""views": ["ahead"], "cameras": {"ahead": {
        "intrinsics": [[20, 0, 16], [0, 20, 8], [0, 0, 1]],
        "ego_to_camera": [[0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, 0]],
        "width": 32, "height": 16
    }}"#;

    fn views(views: usize) -> Contract {
        let sizes = [views, 4, 8, 3].map(Into::into);
        Contract::new(Meaning::Features, std::iter::once("B".into()).chain(sizes))
    }

    #[test]
    fn the_map_lies_on_the_grid() {
        let text = format!(
            r#"{{"size": 5, "cells": [6, 4], "extent": [0, 12.5, -4, 4], "heights": [0], {CAMERAS}}}"#
        );
        let config: ViewToBevConfig = options(&text);
        let bound = bind(&config, &[("features", views(1))]);
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, 6, 4, 5]");
        assert_eq!(contract.frame.as_deref(), Some("ego [0, 12.5] x [-4, 4] m"));
        assert!(config.flops(&bound, &|_| 1) > 2.0 * 24.0 * 15.0);
        let given = inputs([("features", random([2, 1, 4, 8, 3]).into())]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        assert_eq!(out.0["map"].shape(), [2, 6, 4, 5]);
        let kept = serde_json::to_string(&config).unwrap();
        assert_eq!(options::<ViewToBevConfig>(&kept), config);
    }

    fn poses(moments: usize) -> Contract {
        Contract::new(Meaning::Quantity, ["B".into(), moments.into(), 3.into()])
    }

    #[test]
    fn earlier_views_are_read_from_where_the_vehicle_was() {
        let text = format!(
            r#"{{"size": 5, "cells": [6, 4], "extent": [0, 12.5, -4, 4], "heights": [0], {CAMERAS}}}"#
        );
        let config: ViewToBevConfig = options(&text);
        let bound = bind(&config, &[("features", views(2)), ("poses", poses(2))]);
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, 6, 4, 5]");
        let (node, features) = (build(&config, &bound), random([1, 2, 4, 8, 3]));
        let map = |poses: [[f32; 3]; 2]| -> Value {
            let poses = Tensor::<3>::from_data([poses], &Device::flex());
            let given = inputs([
                ("features", features.clone().into()),
                ("poses", poses.into()),
            ]);
            let out = node.forward(&given, &mut Context::evaluation()).unwrap();
            out.0["map"].clone()
        };
        // Where the ground's frame lies says nothing: 2 m ahead is 2 m ahead.
        let moved = map([[-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]);
        let quarter = std::f32::consts::FRAC_PI_2;
        assert_close(&moved, &map([[30.0, 5.0, quarter], [30.0, 7.0, quarter]]));
        let stood = map([[30.0, 5.0, 1.0]; 2]);
        let far = moved.to_f32().into_iter().zip(stood.to_f32());
        assert!(far.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) > 0.01);
    }

    #[test]
    fn what_a_position_shows_goes_to_where_it_lies() {
        let text = |more: &str| {
            format!(
                r#"{{"size": 5, "cells": [6, 4], "extent": [0, 12.5, -4, 4], "heights": [0], {more} {CAMERAS}}}"#
            )
        };
        let depths = r#""depths": {"bins": 6, "nearest": 1, "farthest": 12},"#;
        let config: ViewToBevConfig = options(&text(depths));
        let bound = bind(&config, &[("features", views(1))]);
        let ports = config.outputs(&bound).unwrap();
        assert_eq!(ports[1].contract.shape_text(), "[B, 1, 4, 8, 6]");
        assert_eq!(ports[1].contract.meaning, Meaning::Weights);
        let given = inputs([("features", random([2, 1, 4, 8, 3]).into())]);
        let forward = |config: &ViewToBevConfig| {
            let node = build(config, &bound);
            node.forward(&given, &mut Context::evaluation()).unwrap()
        };
        let found = forward(&config);
        assert_eq!(found.0["map"].shape(), [2, 6, 4, 5]);
        assert_eq!(found.0["depths"].shape(), [2, 1, 4, 8, 6]);
        for shares in found.0["depths"].to_f32().chunks(6) {
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let without = forward(&options(&text("")));
        assert!(!without.0.contains_key("depths"));
        assert_ne!(found.0["map"].to_f32(), without.0["map"].to_f32());
        for wrong in [
            r#""depths": {"bins": 1, "nearest": 1, "farthest": 12},"#,
            r#""depths": {"bins": 6, "nearest": 12, "farthest": 12},"#,
            r#""depths": {"bins": 6, "nearest": -1, "farthest": 12},"#,
        ] {
            let refused = refusal(&options::<ViewToBevConfig>(&text(wrong)), &bound);
            assert!(
                refused.starts_with("depths: expected at least 2 bins from"),
                "{refused}"
            );
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let refused = |text: &str| {
            let config: ViewToBevConfig = options(&format!("{{{text}}}"));
            refusal(&config, &bind(&config, &[("features", views(1))]))
        };
        let with = |text: &str| refused(&format!("{text}, {CAMERAS}"));
        assert!(with(r#""size": 0"#).starts_with("size: expected at least 1"));
        assert_eq!(
            with(r#""size": 1, "cells": [0, 3]"#),
            "cells: expected at least 1 along x and y, found [0, 3]"
        );
        assert_eq!(
            with(r#""size": 1, "extent": [3, 3, 0, 1]"#),
            "extent: expected x from, x to, y from, y to in metres, each from below its to, found \
             [3.0, 3.0, 0.0, 1.0]"
        );
        assert!(with(r#""size": 1, "heights": []"#).starts_with("number of heights:"));
        assert_eq!(
            with(r#""size": 1, "extent": [-9, -3, 0, 1]"#),
            "extent: expected ground that a camera sees, found none"
        );
        assert_eq!(
            with(r#""size": 1, "recording": "somewhere""#),
            "cameras: expected either option recording or option cameras, found both"
        );
        assert_eq!(
            refused(r#""size": 1, "views": ["ahead"]"#),
            "the cameras' calibration: expected option recording or option cameras, found neither"
        );
        let config: ViewToBevConfig = options(&format!(r#"{{"size": 1, {CAMERAS}}}"#));
        assert_eq!(
            refusal(
                &config,
                &bind(&config, &[("features", views(3)), ("poses", poses(2))])
            ),
            "views: expected a name for each of the 3 views of input \"features\", found 1 at each of 2 moments"
        );
        assert_eq!(
            refused(r#""size": 1, "recording": "somewhere""#),
            "views: expected a name for each of the 1 views of input \"features\", found 3"
        );
        assert!(
            refused(r#""size": 1, "recording": "nowhere", "views": ["a"]"#).starts_with(
                "recording: expected a recording with its file \"nowhere/meta/info.json\""
            )
        );
    }
}
