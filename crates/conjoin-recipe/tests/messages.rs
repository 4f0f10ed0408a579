//! The forms in which mistakes are told, and kinds of node from outside.

use conjoin_graph::{
    Bound, InputPort, Meaning, Node, NodeConfig, NodeError, NodeExtension, OutputPort, Scope, Want,
};
use conjoin_recipe::{Severity, check, list};
use schemars::JsonSchema;
use serde::Deserialize;

const SMALL: &str = include_str!("small.toml");

/// Passes features on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GateConfig {
    /// How far the gate is open at first.
    openness: f64,
}

impl NodeConfig for GateConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let dims = [Want::Any("B"), Want::Any("T"), Want::Known("D")];
        vec![InputPort::new(
            "features",
            "what passes",
            &[Meaning::Features],
            &dims,
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let contract = inputs.contract("features").cloned();
        let contract = contract.ok_or_else(|| NodeError::MissingInput("features".to_owned()))?;
        Ok(vec![OutputPort::new(
            "features",
            "what came through",
            contract,
        )])
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Err(NodeError::Options(format!(
            "not built in this test: {}",
            self.openness
        )))
    }

    fn flops(&self, _: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        0.0
    }
}

fn gate() -> [NodeExtension; 1] {
    [NodeExtension::new::<GateConfig>(
        "gate",
        "Lets a share of the features through.",
    )]
}

fn with_gate(options: &str) -> String {
    SMALL
        .replace(
            "[nodes.output]",
            &format!(
                "[nodes.gate]\nkind = \"gate\"\n{options}\nin = {{ features = \
                 \"attention.attended\" }}\n\n[nodes.output]"
            ),
        )
        .replace(
            "features = \"attention.attended\", classes",
            "features = \"gate.features\", classes",
        )
        .replace(
            "\"attention\", \"output\"]",
            "\"attention\", \"gate\", \"output\"]",
        )
}

#[test]
fn outside_kinds_are_checked_like_built_in_ones() {
    let checked = check(&with_gate("openness = 0.5"), "r.toml", &[], &gate(), None).unwrap();
    assert!(
        checked
            .plan
            .nodes
            .iter()
            .any(|node| node.config.name() == "gate")
    );
    let told = |options: &str| {
        check(&with_gate(options), "r.toml", &[], &gate(), None)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told("openess = 1"),
        "r.toml:46:1: unknown key \"openess\" in node \"gate\" (did you mean \"openness\"?)\n"
    );
    assert_eq!(
        told("openness = \"wide\"\ncolour = 3"),
        "r.toml:46:12: \"openness\" of node \"gate\": found \"wide\", expected a number (openness: How \
         far the gate is open at first)\n\
         r.toml:47:1: unknown key \"colour\" in node \"gate\" (keys: openness)\n"
    );
    assert_eq!(
        told(""),
        "r.toml:44:8: missing key \"openness\" in node \"gate\" (openness: How far the gate is open \
         at first)\n"
    );
    let unknown = check(&with_gate("openness = 1"), "r.toml", &[], &[], None).unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("unknown kind of node \"gate\""),
        "{unknown}"
    );
}

#[test]
fn outside_kinds_are_listed() {
    let groups = list::all(&gate());
    let nodes = groups.iter().find(|group| group.name == "nodes").unwrap();
    let kind = nodes.kinds.iter().find(|kind| kind.name == "gate").unwrap();
    assert_eq!(kind.options[0].name, "openness");
    assert!(kind.options[0].required);
}

#[test]
fn reports_carry_everything_a_script_wants() {
    let text = SMALL.replace("hidden = 16", "hiden = 16");
    let found = check(&text, "r.toml", &[], &[], None).unwrap_err();
    let json = serde_json::to_value(found.reports()).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({
            "file": "r.toml",
            "line": 27,
            "column": 1,
            "severity": "error",
            "code": "unknown-key",
            "message": "unknown key \"hiden\" in node \"encoder\"",
            "help": "did you mean \"hidden\"?",
        })
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn drawings_show_the_line_and_the_other_place() {
    let text = SMALL.replace(
        "\"attention\", \"output\"]\n",
        "\"attention\", \"output\"]\nfreeze = [\"decoder\"]\n",
    );
    let found = check(&text, "r.toml", &[], &[], None).unwrap_err();
    let drawn = found.draw(false, 120);
    assert!(drawn.contains("freeze = [\"decoder\"]"), "{drawn}");
    assert!(drawn.contains("listed here already"), "{drawn}");
    assert!(drawn.contains("r.toml:66:11"), "{drawn}");
    assert!(!drawn.contains('\u{1b}'), "no colour was asked for");
    assert!(found.draw(true, 120).contains('\u{1b}'));
}

#[test]
fn warnings_do_not_keep_a_recipe_from_running() {
    let text = SMALL.replace(
        "[objectives.spell]",
        "[nodes.spare]\nkind = \"linear\"\nsize = 4\nin = { features = \"encoder.final\" }\n\n\
         [objectives.spell]",
    );
    let checked = check(&text, "r.toml", &[], &[], None).unwrap();
    let warnings: Vec<_> = checked.warnings.iter().collect();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].severity, Severity::Warning);
    assert!(
        checked
            .warnings
            .to_string()
            .contains("warning: node \"spare\"")
    );
}

#[test]
fn overrides_keep_comments_and_make_tables() {
    let text = SMALL
        .replace("epochs = 2\n", "epochs = 2 # two passes\n")
        .replace("seed = 1", "seed = 1 # lucky");
    let sets = [
        "stages.joint.epochs=3",
        "stages.1.evaluate.data=test",
        "stages.joint.optimiser=sgd",
        "stages.joint.optimiser.momentum=0.9",
        "stages.joint.train.0=letters",
        "seed = 5",
    ]
    .map(str::to_owned);
    let checked = check(&text, "r.toml", &sets, &[], None).unwrap();
    assert!(
        checked.resolved.contains("epochs = 3 # two passes"),
        "{}",
        checked.resolved
    );
    assert!(
        checked.resolved.contains("seed = 5 # lucky"),
        "{}",
        checked.resolved
    );
    let again = check(&checked.resolved, "r.toml", &[], &[], None).unwrap();
    let joint =
        |checked: &conjoin_recipe::Checked| checked.plan.stage("joint").unwrap().config.clone();
    assert_eq!(joint(&again), joint(&checked));
    assert_eq!(joint(&checked).optimiser.kind(), "sgd");
    assert_eq!(joint(&checked).evaluate.unwrap().data, "test");
}
