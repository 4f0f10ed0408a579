//! Lines that are read, and mistakes in them.

use super::*;
use serde_json::json;

fn guard() -> GuardConfig {
    GuardConfig {
        hidden_speed: 1.2,
        ..GuardConfig::default()
    }
}

fn info() -> Info {
    Info {
        features: vec![
            Feature::image("observation.images.front", 1, 2),
            Feature::vector(STATE, 4),
            Feature::vector("observation.route", 4),
            Feature::vector(AGENTS, 24),
            Feature::vector("truth.visible", 2),
        ],
        unread: Vec::new(),
        extra: json!({"columns": {
            "observation.route": {"shape": [2, 2]},
            "truth.visible": {"range": [0, 1]},
        }}),
        episodes: 1,
    }
}

fn form_of(info: &Info) -> Form {
    let needed: BTreeSet<String> = ["observation.route".to_owned()].into();
    Form::new(info, &needed, guard()).unwrap()
}

fn form() -> Form {
    form_of(&info())
}

/// A moment with some keys more, or other ones.
fn line(more: Value) -> String {
    let mut told = json!({STATE: [5.0, 0.5, 0.1, -0.2], "observation.route": [1, 0, 2, 0]});
    if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
        told.extend(more);
    }
    told.to_string()
}

#[test]
fn a_moment_is_read_flat_or_nested() {
    let moment = form().read(&line(json!({}))).unwrap();
    assert_eq!(
        (moment.ego.speed, moment.ego.pose),
        (5.0, EgoState::default().pose)
    );
    assert!((moment.ego.yaw_rate + 0.2).abs() < 1e-6);
    assert!(!moment.reset && moment.around.is_none());
    let route = [1.0, 0.0, 2.0, 0.0];
    assert_eq!(moment.frame.values["observation.route"], route);
    let more = json!({
        "observation.route": [[1, 0], [2, 0]],
        "observation.images.front": [[[0, 1, 2], [3, 4, 255]]],
        "reset": true,
    });
    let moment = form().read(&line(more)).unwrap();
    assert!(moment.reset);
    assert_eq!(moment.frame.values["observation.route"], route);
    let image = &moment.frame.images["observation.images.front"];
    assert_eq!((image.width, image.height), (2, 1));
    assert_eq!(image.rgb, [0, 1, 2, 3, 4, 255]);
}

#[test]
fn the_safety_layer_has_its_own_inputs_or_the_agents() {
    let mut agents = [0.0; 24];
    agents[..9].copy_from_slice(&[1.0, 12.0, 0.0, 1.0, 0.0, 4.0, 2.0, 5.0, 0.0]);
    let told = json!({AGENTS: agents.to_vec()});
    let around = form().read(&line(told)).unwrap().around.unwrap();
    assert!(!around.detected.is_empty());
    assert!(around.detected.iter().all(|d| d.velocity == [5.0, 0.0]));
    let thing = json!({"position": [8, 1], "velocity": [0, 2], "size": [2, 2], "heading": 0});
    let told = json!({AGENTS: agents.to_vec(), SAFETY: {"detected": [thing]}});
    let around = form().read(&line(told)).unwrap().around.unwrap();
    assert!(around.detected.iter().all(|d| d.velocity == [0.0, 2.0]));
    let told = json!({SAFETY: {"detected": []}});
    assert_eq!(
        form().read(&line(told)).unwrap().around,
        Some(Around::default())
    );
}

#[test]
fn occupied_cells_that_no_agent_explains_stand_for_the_safety_layer() {
    let mut info = info();
    info.features.push(Feature::vector(OCCUPANCY, 4 * 4 * 2));
    let mut config = EnvConfig::default();
    config.observation.cells = [4, 4];
    config.observation.extent = [0.0, 40.0, -20.0, 20.0];
    // The time that is now need not come first.
    config.observation.occupancy_times = vec![1.0, 0.0];
    info.extra["config"] = json!(config);
    let mut agents = [0.0; 24];
    agents[..9].copy_from_slice(&[1.0, 12.0, 2.0, 1.0, 0.0, 4.0, 2.0, 5.0, 0.0]);
    let mut cells = [0.0; 32];
    // Now the cell of the agent and one of nothing that is known; later another one.
    (cells[2 * 6 + 1], cells[2 * 13 + 1], cells[2 * 3]) = (1.0, 1.0, 1.0);
    let points = |form: &Form, told: Value| {
        let around = form.read(&line(told)).unwrap().around;
        let points = |around: Around| {
            let points = around.occlusions.iter();
            points
                .map(|edge| (edge.position, edge.speed))
                .collect::<Vec<_>>()
        };
        around.map(points)
    };
    let with = form_of(&info);
    let told = json!({AGENTS: agents.to_vec(), OCCUPANCY: cells.to_vec()});
    assert_eq!(points(&with, told.clone()), Some(vec![([35.0, -5.0], 0.0)]));
    // Its own sensors are enough for the layer; occupancy alone does not say what moves.
    let mut sensed = told.clone();
    sensed[SAFETY] = json!({"detected": []});
    assert_eq!(points(&with, sensed), Some(Vec::new()));
    assert_eq!(points(&with, json!({OCCUPANCY: cells.to_vec()})), None);
    // Cells of which the recording does not say what they cover are nowhere.
    info.extra = Value::Null;
    assert_eq!(points(&form_of(&info), told), Some(Vec::new()));
}

#[test]
fn mistakes_name_the_key_and_what_was_found() {
    let refusal = |line: &str| form().read(line).unwrap_err();
    let told = |more: Value| refusal(&line(more)).to_string();
    assert!(refusal("{").is_an_inputs());
    assert!(
        refusal("")
            .to_string()
            .ends_with("expected a JSON object of named features")
    );
    assert_eq!(
        refusal("[1]").to_string(),
        "line: found an array of 1, expected a JSON object of named features"
    );
    assert_eq!(
        refusal(&json!({STATE: [5, 0, 0, 0]}).to_string()).to_string(),
        "key `observation.route`: found nothing, expected numbers in shape [2, 2], nested or flat"
    );
    assert_eq!(
        told(json!({STATE: [5, 0, 0]})),
        "key `observation.state`: found an array of 3, expected numbers in shape [4], nested or \
         flat"
    );
    assert_eq!(
        told(json!({"observation.route": [[1, 0, 2], [0]]})),
        "key `observation.route`: found an array of 3, expected numbers in shape [2, 2], nested \
         or flat"
    );
    assert!(told(json!({"observation.route": [1, 0, 2, "0"]})).contains("found an array of 4"));
    assert!(told(json!({"observation.route": [1, 0, 2, 1e300]})).contains("found inf"));
    assert_eq!(
        told(json!({"truth.visible": [1, 2]})),
        "key `truth.visible`: found 2, expected numbers from 0 to 1 in shape [2], nested or flat"
    );
    let found = told(json!({"observation.stat": []}));
    assert!(
        found.starts_with("key `observation.stat`: found a name that is not known, expected one")
    );
    assert!(found.ends_with("truth.visible, reset, time, safety"));
    assert_eq!(
        told(json!({"reset": 1})),
        "key `reset`: found 1, expected true or false"
    );
    assert!(told(json!({SAFETY: {"seen": []}})).starts_with("key `safety`: found an object"));
    let found = told(json!({SAFETY: {"detected": [{"position": [1, 2]}]}}));
    assert!(found.starts_with("key `safety.detected[0]`: found missing field"));
    let thing = json!({"position": [8, 1], "velocity": [0, 2], "size": [-2, 2], "heading": 0});
    let found = told(json!({SAFETY: {"detected": [thing]}}));
    assert_eq!(
        found,
        "key `safety.detected[0]`: found size [-2.0, 2.0], expected 0 or more"
    );
}

#[test]
fn a_recording_without_the_vehicles_state_has_no_form() {
    let info = Info {
        features: vec![Feature::vector(AGENTS, 12)],
        unread: Vec::new(),
        extra: Value::Null,
        episodes: 1,
    };
    assert!(Form::new(&info, &BTreeSet::new(), guard()).is_none());
}

#[test]
fn edges_come_out_at_their_speed_or_the_tasks() {
    let edges = json!([{"position": [9, 2]}, {"position": [8, -2], "speed": 0}]);
    let told = json!({SAFETY: {"detected": [], "edges": edges}});
    let around = form().read(&line(told)).unwrap().around.unwrap();
    let found: Vec<_> = (around.occlusions.iter())
        .map(|edge| (edge.position, edge.speed))
        .collect();
    assert_eq!(found, [([9.0, 2.0], 1.2), ([8.0, -2.0], 0.0)]);
    let refused = |safety: Value| {
        form()
            .read(&line(json!({SAFETY: safety})))
            .unwrap_err()
            .to_string()
    };
    let expected = "key `safety`: found an object, expected an object with \"detected\", and perhaps \
                    \"edges\", that hold arrays";
    assert_eq!(refused(json!({"edges": []})), expected);
    assert_eq!(refused(json!({"detected": [], "edges": 1})), expected);
    assert_eq!(refused(json!({"detected": [], "seen": []})), expected);
    let found = refused(json!({"detected": [], "edges": [{"position": [9, 2], "speed": -1}]}));
    assert_eq!(
        found,
        "key `safety.edges[0]`: found speed -1, expected 0 or more"
    );
    let found = refused(json!({"detected": [], "edges": [{"at": [9, 2]}]}));
    assert!(
        found.starts_with("key `safety.edges[0]`: found unknown field `at`"),
        "{found}"
    );
}

#[test]
fn a_moment_may_say_when_it_was_measured() {
    let time = |told: Value| form().read(&line(told)).map(|moment| moment.time);
    assert_eq!(time(json!({})).unwrap(), None);
    assert_eq!(time(json!({"time": 12.5})).unwrap(), Some(12.5));
    let error = time(json!({"time": "now"})).unwrap_err().to_string();
    assert_eq!(
        error,
        "key `time`: found text, expected a number of seconds"
    );
}
