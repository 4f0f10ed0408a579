//! Arms that are alike and not, and what is said of them.

use super::*;

fn result(arm: &str, seed: u64, flags: &[bool]) -> ArmResult {
    ArmResult {
        arm: arm.to_owned(),
        seed,
        metrics: [("accuracy".to_owned(), Outcomes::Correct(flags.to_vec()))].into(),
        lengths: Vec::new(),
        scored: String::new(),
    }
}

fn quick() -> Bootstrap {
    Bootstrap {
        replicates: 300,
        ..Bootstrap::default()
    }
}

#[test]
fn arms_are_compared_with_the_first() {
    let weak: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
    let strong: Vec<bool> = (0..200).map(|i| i % 4 != 1).collect();
    let results = [
        result("staged", 1, &weak),
        result("joined", 2, &strong),
        result("staged", 2, &weak),
        result("joined", 1, &strong),
    ];
    let comparison = Comparison::new(&results, &quick()).unwrap();
    assert_eq!(comparison.seeds, [1, 2]);
    assert_eq!(comparison.items, 200);
    let rows = &comparison.metrics[0].arms;
    assert_eq!(
        (rows[0].arm.as_str(), rows[1].arm.as_str()),
        ("staged", "joined")
    );
    assert_eq!(rows[0].difference, None);
    let difference = rows[1].difference.unwrap();
    assert!((difference.value - 0.25).abs() < 1e-12);
    assert!(
        difference.low > 0.15 && difference.high < 0.35,
        "{difference:?}"
    );
    assert_eq!(rows[1].mcnemar.len(), 2);
    assert_eq!(rows[1].mcnemar[0].only_second, 50);
    assert!(rows[1].largest_p().unwrap() < 1e-12);
}

#[test]
fn word_errors_are_tested_and_phoneme_errors_are_not() {
    let word = Outcomes::Errors(vec![(0, 1), (1, 1)]);
    assert_eq!(word.flags(), Some(vec![true, false]));
    assert_eq!(Outcomes::Errors(vec![(0, 1), (2, 5)]).flags(), None);
}

#[test]
fn unlike_arms_are_named() {
    let flags = [true, false];
    let twice = [result("a", 1, &flags), result("a", 1, &flags)];
    assert!(matches!(
        Comparison::new(&twice, &quick()),
        Err(CompareError::Twice { .. })
    ));
    let seeds = [result("a", 1, &flags), result("b", 2, &flags)];
    assert!(matches!(
        Comparison::new(&seeds, &quick()),
        Err(CompareError::Seeds { .. })
    ));
    let items = [result("a", 1, &flags), result("b", 1, &flags[..1])];
    assert!(matches!(
        Comparison::new(&items, &quick()),
        Err(CompareError::Statistics { .. })
    ));
    let mut moved = result("b", 1, &flags);
    moved.scored = "elsewhere".to_owned();
    assert!(matches!(
        Comparison::new(&[result("a", 1, &flags), moved], &quick()),
        Err(CompareError::Scored { .. })
    ));
    let mut other = result("b", 1, &flags);
    other
        .metrics
        .insert("wer".to_owned(), Outcomes::Correct(flags.to_vec()));
    let metrics = [result("a", 1, &flags), other];
    assert!(matches!(
        Comparison::new(&metrics, &quick()),
        Err(CompareError::Metrics { .. })
    ));
    assert_eq!(Comparison::new(&[], &quick()), Err(CompareError::NoArm));
}

#[test]
fn ratios_are_of_sums_and_what_is_blank_is_left_out() {
    let arm = |arm: &str, infractions: f64, scored: bool| {
        let mut result = result(arm, 1, &[true, false, true]);
        let km = vec![(infractions, 0.2), (0.0, 0.1), (1.0, 0.1)];
        result
            .metrics
            .insert("per_km".to_owned(), Outcomes::Ratios(km));
        let shares = vec![(0.0, 0.0), (0.5, 1.0), (0.0, 0.0)];
        let shares = if scored { shares } else { vec![(0.0, 0.0); 3] };
        result
            .metrics
            .insert("pdms".to_owned(), Outcomes::Ratios(shares));
        result
    };
    let found = Comparison::new(&[arm("a", 3.0, true), arm("b", 1.0, true)], &quick()).unwrap();
    let metrics: Vec<&str> = found
        .metrics
        .iter()
        .map(|table| table.metric.as_str())
        .collect();
    assert_eq!(metrics, ["accuracy", "pdms", "per_km"]);
    let rows = &found.metrics[2].arms;
    assert!((rows[0].score.value - 10.0).abs() < 1e-9 && (rows[1].score.value - 5.0).abs() < 1e-9);
    assert!((rows[1].difference.unwrap().value + 5.0).abs() < 1e-9);
    assert_eq!(found.metrics[1].arms[1].score.value, 0.5);
    // One arm without a score of its own: the metric is left out for all.
    let found = Comparison::new(&[arm("a", 3.0, true), arm("b", 1.0, false)], &quick()).unwrap();
    assert_eq!(found.metrics.len(), 2);
    assert_eq!(found.items, 3);
}
