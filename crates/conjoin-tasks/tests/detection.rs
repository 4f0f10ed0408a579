//! Detections score as the nuScenes devkit scores them.

use conjoin_tasks::detection::{Detections, RoadUser};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Score, x, y, heading, length, width, velocity x and y, class.
type Row = [f64; 9];

#[derive(Deserialize)]
struct Case {
    predicted: Vec<Vec<Row>>,
    truth: Vec<Vec<Row>>,
    scores: BTreeMap<usize, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    ap: [f64; 4],
    ate: f64,
    ase: f64,
    aoe: f64,
    ave: f64,
}

fn user(row: &Row) -> RoadUser {
    let &[score, x, y, heading, length, width, vx, vy, class] = row;
    RoadUser {
        score,
        place: [x, y],
        heading,
        size: [length, width],
        velocity: [vx, vy],
        class: class as usize,
    }
}

#[test]
fn scores_equal_the_devkit() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/detections.json")).unwrap();
    assert_eq!(cases.len(), 6);
    for (number, case) in cases.iter().enumerate() {
        let mut found = Detections::default();
        for (predicted, truth) in case.predicted.iter().zip(&case.truth) {
            found.add_frame(predicted.iter().map(user), truth.iter().map(user));
        }
        let scores = found.by_class();
        assert!(scores.keys().eq(case.scores.keys()), "{number}");
        let mut precision = 0.0;
        for (class, expected) in &case.scores {
            let scores = scores[class];
            let errors = scores.errors;
            let got = [
                errors.translation,
                errors.scale,
                errors.orientation,
                errors.velocity,
            ];
            let wanted = [expected.ate, expected.ase, expected.aoe, expected.ave];
            let pairs = scores.precision.iter().zip(&expected.ap);
            for (got, wanted) in pairs.chain(got.iter().zip(&wanted)) {
                assert!(
                    (got - wanted).abs() < 1e-9,
                    "case {number}, class {class}: {got} {wanted}"
                );
            }
            precision += scores.mean_precision() / case.scores.len() as f64;
        }
        let mean = found.scores().unwrap();
        assert!((mean.mean_precision() - precision).abs() < 1e-12);
    }
    assert_eq!(Detections::default().scores(), None);
}
