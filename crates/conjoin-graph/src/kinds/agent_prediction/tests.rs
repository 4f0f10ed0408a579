//! Ports, refusals and cost of `agent-prediction`.

use super::*;
use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
use conjoin_data::Contract;

fn quantity(dims: &[conjoin_data::Dim]) -> Contract {
    Contract::new(Meaning::Quantity, dims.iter().cloned())
}

fn agents() -> (&'static str, Contract) {
    ("agents", quantity(&["B".into(), 5.into(), 12.into()]))
}

fn map(frame: Option<&str>) -> (&'static str, Contract) {
    let dims = ["B".into(), 8.into(), 8.into(), 3.into()];
    let mut contract = Contract::new(Meaning::Features, dims);
    contract.frame = frame.map(str::to_owned);
    ("map", contract)
}

#[test]
fn ways_and_futures_of_each_agent() {
    let config: AgentPredictionConfig = options(r#"{"steps": 7, "hidden": 16}"#);
    let state = ("state", quantity(&["B".into(), 4.into()]));
    let wired = [agents(), map(Some("ego [-8, 40] x [-24, 24] m")), state];
    let bound = bind(&config, &wired);
    let outputs = config.outputs(&bound).unwrap();
    assert_eq!(outputs[0].name, "modal");
    assert_eq!(outputs[0].contract.shape_text(), "[B, 5, 3, 15]");
    assert_eq!(outputs[1].name, "likely");
    assert_eq!(outputs[1].contract.shape_text(), "[B, 5, 7, 4]");
    assert_eq!(outputs[1].contract.units, None);
    assert_eq!(outputs[1].contract.frame.as_deref(), Some("ego"));
    let given = inputs([
        ("agents", random([2, 5, 12]).into()),
        ("map", random([2, 8, 8, 3]).into()),
        ("state", random([2, 4]).into()),
    ]);
    let node = build(&config, &bound);
    let found = node.forward(&given, &mut Context::evaluation()).unwrap();
    assert_eq!(found.0["modal"].shape(), [2, 5, 3, 15]);
    assert_eq!(found.0["likely"].shape(), [2, 5, 7, 4]);
    let alone = bind(&config, &[agents()]);
    let size = |_: &str| 0;
    assert!(config.flops(&bound, &size) > config.flops(&alone, &size));
    let given = inputs([("agents", random([2, 5, 12]).into())]);
    let node = build(&config, &alone);
    let found = node.forward(&given, &mut Context::evaluation()).unwrap();
    assert_eq!(found.0["likely"].shape(), [2, 5, 7, 4]);
}

/// 3 agents, a hidden size of 8, one layer, one way of one step.
#[test]
fn flops_of_a_small_one() {
    let text = r#"{"modes": 1, "steps": 1, "hidden": 8, "layers": 1, "heads": 2}"#;
    let config: AgentPredictionConfig = options(text);
    let agents = ("agents", quantity(&["B".into(), "N".into(), 12.into()]));
    let found = config.flops(&bind(&config, &[agents]), &|_| 3);
    let maps = (14 * 8 + 8 * 8) + (8 * 8 + 8 * 3);
    let layer = 4 * 8 * 8 + 2 * 8 * 16;
    let pairs = 2 * 3 * 3 * 8;
    assert_eq!(found, 2.0 * f64::from(3 * (maps + layer) + pairs));
}

#[test]
fn refuses_options_that_do_not_fit() {
    let refused = |text: &str, frame: Option<&str>| {
        let config: AgentPredictionConfig = options(text);
        refusal(&config, &bind(&config, &[agents(), map(frame)]))
    };
    assert_eq!(
        refused(r#"{"hidden": 30}"#, None),
        "heads: expected a divisor of hidden = 30, found 4"
    );
    assert_eq!(
        refused(r#"{"modes": 0}"#, None),
        "modes: expected at least 1, found 0"
    );
    assert_eq!(
        refused(
            r#"{"extent": [0, 32, -16, 16]}"#,
            Some("ego [-8, 40] x [-24, 24] m")
        ),
        "extent: expected that of input \"map\", ego [-8, 40] x [-24, 24] m, found ego [0, 32] x \
         [-16, 16] m"
    );
    assert_eq!(
        refused(r#"{"extent": [0, 0, -16, 16]}"#, None),
        "extent: expected [x from, x to, y from, y to], each from below its to, found [0.0, 0.0, \
         -16.0, 16.0]"
    );
    assert!(refused(r#"{"dropout": 1.0}"#, None).starts_with("dropout:"));
}
