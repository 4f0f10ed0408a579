//! What the node promises, refuses and finds.

use super::*;
use crate::kinds::shared::testing::{bind, build, inputs, options, refusal};
use crate::value::Value;
use burn::tensor::{Device, Tensor};

fn contracts(future: usize) -> Vec<(&'static str, Contract)> {
    let quantity = |dims: &[usize]| {
        let dims = std::iter::once("B".into()).chain(dims.iter().map(|d| Dim::from(*d)));
        Contract::new(Meaning::Quantity, dims)
    };
    vec![
        ("goals", quantity(&[20, 4])),
        ("state_weights", quantity(&[20, 4])),
        ("control_weights", quantity(&[20, 2])),
        ("margins", quantity(&[3])),
        ("futures", quantity(&[3, future, 4])),
        ("agents", quantity(&[3, AGENT])),
        ("state", quantity(&[4])),
        ("route", quantity(&[5, 2])),
    ]
}

#[test]
fn what_holds_the_plan_is_named() {
    let config: QpPlannerConfig = options("{}");
    let bound = bind(&config, &contracts(30));
    let ports = config.outputs(&bound).unwrap();
    let shapes = ports
        .iter()
        .map(|port| (port.name, port.contract.shape_text()));
    let expected = [
        ("plan", "[B, 20, 4]"),
        ("controls", "[B, 20, 2]"),
        ("duals", "[B, 3]"),
        ("slacks", "[B, 3]"),
        ("fallback", "[B]"),
        ("reason", "[B]"),
    ];
    assert!(shapes.eq(expected.map(|(name, shape)| (name, shape.to_owned()))));
    assert_eq!(ports[0].contract.frame.as_deref(), Some("ego"));
    assert_eq!(ports[3].contract.units.as_deref(), Some("m"));
    assert!(config.flops(&bound, &|_| 1) > 1e5);

    // At 6 m/s, the third of three agents is a car that stands 14 m ahead; the first is not there.
    let device = Device::flex();
    let goals: Vec<f32> = (1..=20)
        .flat_map(|k| [0.6 * k as f32, 0.0, 0.0, 6.0])
        .collect();
    let goals = Tensor::<1>::from_floats(&goals[..], &device).reshape([1, 20, 4]);
    let at = [[14.0, 0.0], [30.0, 12.0], [14.0, 0.0]];
    let (mut agents, mut futures) = (Vec::new(), Vec::new());
    for (present, [x, y]) in [0.2, 1.0, 1.0].into_iter().zip(at) {
        agents.extend([
            present, x, y, 1.0, 0.0, 4.5, 1.8, 0.0, 0.0, 1.0, 0.0, 0.0_f32,
        ]);
        futures.extend([[1.0, x, y, 0.0_f32]; 30].into_iter().flatten());
    }
    let agents = Tensor::<1>::from_floats(&agents[..], &device).reshape([1, 3, AGENT]);
    let futures = Tensor::<1>::from_floats(&futures[..], &device).reshape([1, 3, 30, 4]);
    let route = [[
        [0.0, 0.0],
        [5.0, 0.0],
        [10.0, 0.0],
        [15.0, 0.0],
        [20.0, 0.0],
    ]];
    let given = |state: [f32; 4]| {
        inputs([
            ("goals", Value::from(goals.clone())),
            (
                "state_weights",
                Tensor::<3>::zeros([1, 20, 4], &device).into(),
            ),
            (
                "control_weights",
                Tensor::<3>::zeros([1, 20, 2], &device).into(),
            ),
            ("margins", Tensor::<2>::full([1, 3], 0.5, &device).into()),
            ("futures", futures.clone().into()),
            ("agents", agents.clone().into()),
            ("state", Tensor::<2>::from_floats([state], &device).into()),
            ("route", Tensor::<3>::from_floats(route, &device).into()),
        ])
    };
    let node = build(&config, &bound);
    let mut context = Context::evaluation();
    let out = node
        .forward(&given([6.0, 0.0, 0.0, 0.0]), &mut context)
        .unwrap();
    let duals = out.0["duals"].to_f32();
    assert!(duals[2] > 1.0, "{duals:?}");
    assert_eq!(duals[..2], [0.0, 0.0]);
    assert_eq!(out.0["fallback"].to_f32(), [0.0]);
    let plan = out.0["plan"].to_f32();
    // From rear axle to front bumper 3.65 m, to the car's rear 11.75 m.
    assert!(
        plan[76] + 3.65 < 11.75 && plan[79] < 4.0,
        "{:?}",
        &plan[76..]
    );

    // A wheel turned so far that it cannot be brought back before the vehicle, which can hardly stop speeding
    // up, is too fast for it.
    let config: QpPlannerConfig = options(r#"{"jerk": 0.1, "curvature_rate": 0.001}"#);
    let out = build(&config, &bind(&config, &contracts(30)))
        .forward(&given([10.0, 2.0, 0.7, 0.0]), &mut context)
        .unwrap();
    assert_eq!(out.0["fallback"].to_f32(), [1.0]);
    // A contradiction, in which the rate of the curvature has a part: the fifth limit.
    let reason = out.0["reason"].to_f32()[0] as u8;
    assert_eq!((reason & 3, reason >> 6), (2, 1));
    let plan = out.0["plan"].to_f32();
    assert!(plan.iter().all(|x| x.is_finite()) && plan[79] < 13.9);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |text: &str| {
        let config: QpPlannerConfig = options(text);
        refusal(&config, &bind(&config, &contracts(20)))
    };
    for (text, expected) in [
        (r#"{"jerk": 0}"#, "jerk: expected more than 0, found 0"),
        (
            r#"{"relax": -0.1}"#,
            "relax: expected more than 0, found -0.1",
        ),
        (
            r#"{"acceleration": [1, 2]}"#,
            "acceleration: expected the least, below 0, and the greatest, above 0, found [1, 2]",
        ),
        (
            r#"{"occupancy_margin": -1}"#,
            "occupancy_margin: expected 0 or more, found -1",
        ),
        (
            r#"{"extent": [0, 40, 8, -8]}"#,
            "extent: expected x from, x to, y from, y to, each from below its to, found [0.0, 40.0, 8.0, -8.0]",
        ),
        (
            r#"{"road_margin": -0.5}"#,
            "road_margin: expected 0 or more, found -0.5",
        ),
        (r#"{"circles": 0}"#, "circles: expected 1 to 8, found 0"),
        (
            r#"{"threshold": 2}"#,
            "threshold: expected a number from 0 to 1, found 2",
        ),
        (
            r#"{"centre": 7}"#,
            "centre: expected a place within a length of the rear axle, found 7 m for a vehicle of 4.5 m",
        ),
    ] {
        assert_eq!(refused(text), expected);
    }
    let config = QpPlannerConfig::default();
    assert_eq!(
        refusal(&config, &bind(&config, &contracts(10))),
        "input \"futures\": expected at least as many steps as the 20 of \"goals\", found 10"
    );
    let mut occupied = contracts(20);
    let dims: [Dim; 4] = ["B".into(), 32.into(), 32.into(), 3.into()];
    let grid = Contract::new(Meaning::Quantity, dims).with_frame("ego [-8, 40] x [-24, 24] m");
    occupied.push(("occupancy", grid));
    assert_eq!(
        refusal(&config, &bind(&config, &occupied)),
        "occupancy_times: expected as many as the 3 times of input \"occupancy\", found 4"
    );
    let config: QpPlannerConfig = options(r#"{"occupancy_times": [0, 1, 2]}"#);
    let ports = config.outputs(&bind(&config, &occupied)).unwrap();
    let names: Vec<&str> = ports.iter().map(|port| port.name).collect();
    assert_eq!(names[6..], ["occupancy_dual", "occupancy_slack"]);
    // A road's map has cells of its own, but covers the same ground.
    let map = |frame: &str| {
        let dims: [Dim; 4] = ["B".into(), 64.into(), 48.into(), 1.into()];
        let map = Contract::new(Meaning::Quantity, dims).with_frame(frame);
        let mut contracts = occupied.clone();
        contracts.push(("road", map));
        contracts
    };
    let bound = bind(&config, &map("ego [-8, 40] x [-24, 24] m"));
    let ports = config.outputs(&bound).unwrap();
    let names: Vec<&str> = ports.iter().map(|port| port.name).collect();
    assert_eq!(names[8..], ["road_dual", "road_slack"]);
    assert_eq!(ports[9].contract.units.as_deref(), Some("m"));
    let config = QpPlannerConfig::default();
    let mut elsewhere = contracts(20);
    elsewhere[0].1.frame = Some("map".to_owned());
    assert_eq!(
        refusal(&config, &bind(&config, &elsewhere)),
        "input \"goals\": expected the frame \"ego\", found \"map\""
    );
}
