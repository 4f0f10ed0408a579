//! Ports, refusals and cost of `planning-transformer`.

use super::*;
use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
use crate::value::Value;

type Port = (&'static str, Contract);

fn port(name: &'static str, sizes: &[usize]) -> Port {
    let sizes = sizes.iter().map(|&size| size.into());
    let dims = std::iter::once("B".into()).chain(sizes);
    (name, Contract::new(Meaning::Quantity, dims))
}

fn least() -> Vec<Port> {
    vec![port("state", &[4]), port("route", &[6, 2])]
}

fn all() -> Vec<Port> {
    let more = [
        port("agents", &[5, 12]),
        port("futures", &[5, 8, 4]),
        port("occupancy", &[8, 16, 2]),
        port("map", &[8, 16, 3]),
        port("light", &[5]),
    ];
    least().into_iter().chain(more).collect()
}

fn value(port: &Port) -> (&'static str, Value) {
    let size = |index: usize| port.1.dims[index].size().unwrap();
    let value = match port.1.dims.len() {
        2 => random([2, size(1)]).into(),
        3 => random([2, size(1), size(2)]).into(),
        _ => random([2, size(1), size(2), size(3)]).into(),
    };
    (port.0, value)
}

#[test]
fn goals_weights_and_margins() {
    let config: PlanningTransformerConfig = options(r#"{"steps": 7, "hidden": 16}"#);
    let ports = all();
    let bound = bind(&config, &ports);
    let outputs = config.outputs(&bound).unwrap();
    let shapes: Vec<(&str, String)> = outputs
        .iter()
        .map(|output| (output.name, output.contract.shape_text()))
        .collect();
    let expected = [
        ("goals", "[B, 7, 4]"),
        ("state_weights", "[B, 7, 4]"),
        ("control_weights", "[B, 7, 2]"),
        ("margins", "[B, 5]"),
    ];
    assert_eq!(
        shapes,
        expected.map(|(name, shape)| (name, shape.to_owned()))
    );
    assert_eq!(outputs[0].contract.frame.as_deref(), Some("ego"));
    assert_eq!(outputs[3].contract.units.as_deref(), Some("m"));
    let mut given = inputs([]);
    for (name, value) in ports.iter().map(value) {
        given.insert(name, value);
    }
    let node = build(&config, &bound);
    let found = node.forward(&given, &mut Context::evaluation()).unwrap();
    assert_eq!(found.0["goals"].shape(), [2, 7, 4]);
    assert_eq!(found.0["control_weights"].shape(), [2, 7, 2]);
    assert!(found.0["margins"].to_f32().iter().all(|&gap| gap > 0.0));
}

#[test]
fn several_modes_have_a_port_and_so_has_what_was_taken() {
    let config: PlanningTransformerConfig = options(r#"{"steps": 7, "hidden": 16, "modes": 3}"#);
    let mut ports = all();
    let names = |ports: &[Port]| -> Vec<&'static str> {
        let outputs = config.outputs(&bind(&config, ports)).unwrap();
        outputs.iter().map(|output| output.name).collect()
    };
    assert_eq!(names(&ports)[4..], ["modal"]);
    ports.push(port("target", &[7, 4]));
    assert_eq!(names(&ports)[4..], ["modal", "taken"]);
    let mut given = inputs([]);
    for (name, value) in ports.iter().map(value) {
        given.insert(name, value);
    }
    let bound = bind(&config, &ports);
    let node = build(&config, &bound);
    let found = node.forward(&given, &mut Context::evaluation()).unwrap();
    assert_eq!(found.0["modal"].shape(), [2, 1, 3, 15]);
    assert_eq!(found.0["taken"].shape(), [2, 1, 7, 4]);
    let (target, taken) = (
        Tensor::<3>::clone(&given.tensor("target").unwrap()),
        found.0["taken"].to_f32(),
    );
    let target: Vec<f32> = target.into_data().try_to_vec().unwrap();
    for (from, to) in target.chunks(4).zip(taken.chunks(4)) {
        assert_eq!(to, [1.0, from[0], from[1], from[2]]);
    }
    ports.pop();
    ports.push(port("target", &[9, 4]));
    assert_eq!(
        refusal(&config, &bind(&config, &ports)),
        "input \"target\": expected as many steps as `steps`, 7, found 9"
    );
    // As many numbers as one mode has weights for, and the choice.
    let size = |_: &str| 5;
    let one: PlanningTransformerConfig = options(r#"{"steps": 7, "hidden": 16}"#);
    let more = config.flops(&bound, &size) - one.flops(&bound, &size);
    assert!((more - 2.0 * 7.0 * 16.0 * 6.0).abs() < 1.0, "{more}");
}

#[test]
fn every_other_input_may_be_left_out() {
    let config: PlanningTransformerConfig = options(r#"{"hidden": 16, "layers": 1}"#);
    let size = |_: &str| 0;
    let whole = config.flops(&bind(&config, &all()), &size);
    for left_out in [
        &["futures"][..],
        &["agents", "futures"],
        &["occupancy"],
        &["map"],
        &["occupancy", "map"],
        &["light"],
        &["agents", "futures", "occupancy", "map", "light"],
    ] {
        let mut ports = all();
        ports.retain(|port| !left_out.contains(&port.0));
        let bound = bind(&config, &ports);
        let margins = config.outputs(&bound).unwrap().len() == 4;
        assert_eq!(margins, !left_out.contains(&"agents"));
        assert!(config.flops(&bound, &size) < whole);
        let mut given = inputs([]);
        for (name, value) in ports.iter().map(value) {
            given.insert(name, value);
        }
        let node = build(&config, &bound);
        let found = node.forward(&given, &mut Context::evaluation()).unwrap();
        assert_eq!(found.0["goals"].shape(), [2, 20, 4]);
        assert_eq!(found.0.contains_key("margins"), margins);
    }
}

/// Tokens are the vehicle, three pairs of points and the light; 2 steps, a hidden size of 8, one layer.
#[test]
fn flops_of_a_small_one() {
    let text = r#"{"steps": 2, "hidden": 8, "layers": 1, "heads": 2}"#;
    let config: PlanningTransformerConfig = options(text);
    let ports: Vec<Port> = least().into_iter().chain([port("light", &[5])]).collect();
    let found = config.flops(&bind(&config, &ports), &|_| 0);
    let embed = |input: u32| input * 8 + 8 * 8;
    let tokens = embed(5) + 3 * embed(4) + embed(5);
    let own = 2 * (4 * 8 * 8 + 2 * 8 * 16) + 2 * 2 * 2 * 8;
    let across = 2 * (2 * 8 * 8) + 5 * (2 * 8 * 8) + 2 * 2 * 5 * 8;
    let heads = 2 * 8 * (3 + 4 + 2);
    assert_eq!(found, 2.0 * f64::from(tokens + own + across + heads));
}

#[test]
fn refuses_what_does_not_fit() {
    let refused = |text: &str, ports: Vec<Port>| {
        let config: PlanningTransformerConfig = options(text);
        refusal(&config, &bind(&config, &ports))
    };
    assert_eq!(
        refused(r#"{"patch": 3}"#, all()),
        "patch: expected a divisor of the grid's cells, 8 and 16, found 3"
    );
    assert_eq!(
        refused(r#"{"heads": 7}"#, all()),
        "heads: expected a divisor of hidden = 64, found 7"
    );
    assert_eq!(
        refused(r#"{"state_dropout": 1.5}"#, all()),
        "state_dropout: expected 0 to 1, found 1.5"
    );
    let odd = vec![port("state", &[4]), port("route", &[5, 2])];
    assert_eq!(
        refused("{}", odd),
        "input \"route\": expected an even number of points, found 5"
    );
    let mut orphans = all();
    orphans.retain(|port| port.0 != "agents");
    assert!(
        refused("{}", orphans).starts_with("input \"futures\": expected with input \"agents\"")
    );
    let mut apart = all();
    for (name, frame) in [
        ("occupancy", "ego [0, 8] x [0, 8] m"),
        ("map", "ego [0, 9] x [0, 9] m"),
    ] {
        let port = apart.iter_mut().find(|port| port.0 == name).unwrap();
        port.1.frame = Some(frame.to_owned());
    }
    assert_eq!(
        refused("{}", apart),
        "input \"map\": expected the grid of input \"occupancy\", ego [0, 8] x [0, 8] m, found ego \
         [0, 9] x [0, 9] m"
    );
}
