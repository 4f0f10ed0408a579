//! Frames that come more than once in an epoch, or seldom.

use super::support::{config, recorded, refusal};
use conjoin_data::source::Source;
use serde_json::{Value, json};
use std::path::Path;

/// How often each frame of the two episodes comes.
fn times(root: &Path, change: Value) -> [Vec<usize>; 2] {
    let source = config(root, change).open().unwrap();
    let mut times = [vec![0; 4], vec![0; 5]];
    for index in 0..source.len() {
        let key = source.key(index).into_owned();
        assert_eq!(source.sample(index).unwrap().key, key);
        let mut numbers = key.split(' ').filter_map(|word| word.parse().ok());
        let (episode, frame): (usize, usize) = (numbers.next().unwrap(), numbers.next().unwrap());
        times[episode][frame] += 1;
    }
    times
}

#[test]
fn frames_within_the_bounds_come_as_often_as_said() {
    let folder = recorded(2);
    let late = json!({"times": 3, "bounds": [
        {"feature": "state", "above": 2.0},
        {"feature": "state", "index": 1, "below": 0.5},
    ]});
    let first = json!({"times": 2, "bounds": [{"feature": "state", "below": 0.5}]});
    let far = json!({"feature": "light", "index": 3, "above": 8, "below": 9});
    let all = json!({"times": 2, "bounds": [far]});
    assert_eq!(
        times(folder.path(), json!({"oversample": [late, first]})),
        [vec![2, 1, 3, 3], vec![2, 1, 1, 1, 1]]
    );
    // The rule with the most counts, and frames that a stride leaves out stay out.
    assert_eq!(
        times(
            folder.path(),
            json!({"oversample": [late, all], "stride": 2})
        ),
        [vec![2, 0, 3, 0], vec![2, 0, 2, 0, 2]]
    );
    let source = config(folder.path(), json!({"oversample": [first]})).open();
    assert_eq!(
        source.unwrap().notes(),
        [
            "2 of 9 frames come more than once in an epoch (option `source.oversample`), and an epoch has 11 samples"
        ]
    );
}

#[test]
fn of_what_there_is_too_much_each_nth_comes() {
    let folder = recorded(2);
    let late = json!({"every": 3, "bounds": [{"feature": "state", "above": 0.5}]});
    let second = json!({"every": 2, "bounds": [{"feature": "state", "index": 1, "below": 9}]});
    // Counted through all episodes; of two rules the first one.
    let found = times(folder.path(), json!({"undersample": [late, second]}));
    assert_eq!(found, [vec![1, 1, 0, 0], vec![0, 1, 0, 0, 1]]);
    // What comes more often is never left out.
    let more = json!({"times": 2, "bounds": [{"feature": "state", "above": 2.5}]});
    let change = json!({"oversample": [more], "undersample": [late]});
    assert_eq!(
        times(folder.path(), change.clone()),
        [vec![1, 1, 0, 2], vec![1, 0, 1, 2, 2]]
    );
    let source = config(folder.path(), change).open();
    assert_eq!(
        source.unwrap().notes(),
        [
            "3 of 9 frames come more than once in an epoch (option `source.oversample`), 2 of 9 frames do not come \
             (option `source.undersample`), and an epoch has 10 samples"
        ]
    );
    // A rule that holds for no frame is told too.
    let never = json!({"times": 2, "bounds": [{"feature": "state", "above": 99}]});
    let source = config(folder.path(), json!({"oversample": [never]})).open();
    assert_eq!(
        source.unwrap().notes(),
        [
            "0 of 9 frames come more than once in an epoch (option `source.oversample`), and an epoch has 9 samples"
        ]
    );
    assert_eq!(
        refusal(
            folder.path(),
            json!({"undersample": [{"every": 0, "bounds": []}]})
        ),
        "option `undersample[0].every`: found 0, expected at least 1"
    );
}

#[test]
fn one_row_keeps_all_bounds_of_a_row() {
    // The first row's x is the frame's number, its last number 1; all of the second row is 0.
    let folder = recorded(2);
    let rule = |row: Value| {
        let rule = json!({"times": 2, "bounds": [{"feature": "truth.agents", "row": row}]});
        times(folder.path(), json!({"oversample": [rule]}))
    };
    let far = rule(json!([{"index": 1, "above": 1.5}, {"index": 9, "above": 0.5}]));
    assert_eq!(far, [vec![1, 1, 2, 2], vec![1, 1, 2, 2, 2]]);
    // Each holds for some row, but not for the same.
    let split = rule(json!([{"index": 1, "above": 1.5}, {"index": 9, "below": 0.5}]));
    assert_eq!(split, [vec![1; 4], vec![1; 5]]);
    // The second row is looked at too.
    let second = rule(json!([{"index": 0, "below": 0.5}]));
    assert_eq!(second, [vec![2; 4], vec![2; 5]]);
}

#[test]
fn rules_that_do_not_fit_are_named() {
    let folder = recorded(1);
    let refusal = |rule: Value| refusal(folder.path(), json!({"oversample": [rule]}));
    let bound = |bound: Value| refusal(json!({"times": 2, "bounds": [bound]}));
    assert_eq!(
        refusal(json!({"times": 0, "bounds": [{"feature": "state", "above": 1}]})),
        "option `oversample[0].times`: found 0, expected at least 1"
    );
    assert_eq!(
        refusal(json!({"times": 2, "bounds": []})),
        "option `oversample[0].bounds`: found none, expected at least one"
    );
    assert_eq!(
        bound(json!({"feature": "images.front", "above": 1})),
        "option `oversample[0].bounds[0].feature`: found `images.front`, expected a feature of numbers \
         among `truth.agents`, `truth.visible`, `state`, `light`, `timestamp`"
    );
    assert_eq!(
        bound(json!({"feature": "state", "index": 2, "above": 1})),
        "option `oversample[0].bounds[0].index`: found 2, expected a number below 2, the size of `state`"
    );
    assert_eq!(
        bound(json!({"feature": "state"})),
        "option `oversample[0].bounds[0].above`: found nothing, expected `above`, `below` or both"
    );
    assert_eq!(
        bound(json!({"feature": "state", "row": [{"above": 1}]})),
        "option `oversample[0].bounds[0].feature`: found `state`, which is one row, expected a feature of rows"
    );
    assert_eq!(
        bound(json!({"feature": "truth.agents", "above": 1, "row": [{"above": 1}]})),
        "option `oversample[0].bounds[0].row`: found both, expected either it or `index`, `above` and `below`"
    );
    assert_eq!(
        bound(json!({"feature": "truth.agents", "row": [{"above": 1}, {"index": 12, "above": 1}]})),
        "option `oversample[0].bounds[0].row[1].index`: found 12, expected a number below 12, the size of a row \
         of `truth.agents`"
    );
}
