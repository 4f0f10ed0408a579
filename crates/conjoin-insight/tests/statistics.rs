//! Statistics against SciPy and NumPy (`golden/make.py`).

use conjoin_insight::Bootstrap;
use conjoin_insight::Estimate;
use conjoin_insight::statistics::{
    Design, Items, StatisticsError, mcnemar, mean, quantile, score, standard_deviation,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    first: Vec<Vec<(u32, u32)>>,
    second: Vec<Vec<(u32, u32)>>,
    values: Vec<f64>,
    mean: f64,
    standard_deviation: f64,
    quantiles: Vec<(f64, f64)>,
    mean_interval: (f64, f64),
    ratio: f64,
    ratio_interval: (f64, f64),
    difference: f64,
    difference_interval: (f64, f64),
    crossed_interval: (f64, f64),
    nested_interval: (f64, f64),
    mcnemar: Vec<(usize, usize, f64)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/statistics.json")).unwrap()
}

fn seeds(arm: &[Vec<(u32, u32)>]) -> Vec<Items> {
    arm.iter().map(|seed| Items::ratios(seed)).collect()
}

fn bootstrap(design: Design) -> Bootstrap {
    Bootstrap {
        replicates: 40_000,
        design,
        ..Bootstrap::default()
    }
}

/// Both intervals are random; at these numbers of resamples their ends stray by less than two per
/// cent of the width, which is about five standard errors.
fn assert_close(found: Result<Estimate, StatisticsError>, value: f64, expected: (f64, f64)) {
    let found = found.unwrap();
    let width = expected.1 - expected.0;
    assert!(
        (found.value - value).abs() < 1e-12,
        "{found:?} against {value}"
    );
    assert!(
        (found.low - expected.0).abs() < 0.02 * width,
        "{found:?} against {expected:?}"
    );
    assert!(
        (found.high - expected.1).abs() < 0.02 * width,
        "{found:?} against {expected:?}"
    );
}

#[test]
fn moments_and_quantiles_equal_numpy() {
    let golden = golden();
    assert!((mean(&golden.values).unwrap() - golden.mean).abs() < 1e-12);
    let deviation = standard_deviation(&golden.values).unwrap();
    assert!((deviation - golden.standard_deviation).abs() < 1e-12);
    let mut ascending = golden.values.clone();
    ascending.sort_by(f64::total_cmp);
    for (share, expected) in golden.quantiles {
        assert!(
            (quantile(&ascending, share) - expected).abs() < 1e-12,
            "at {share}"
        );
    }
}

#[test]
fn intervals_of_one_seed_equal_scipy() {
    let golden = golden();
    let bootstrap = bootstrap(Design::Crossed);
    let values = [Items::values(&golden.values)];
    assert_close(bootstrap.score(&values), golden.mean, golden.mean_interval);
    let first = seeds(&golden.first[..1]);
    assert_close(bootstrap.score(&first), golden.ratio, golden.ratio_interval);
    let second = seeds(&golden.second[..1]);
    assert_close(
        bootstrap.difference(&first, &second),
        golden.difference,
        golden.difference_interval,
    );
}

#[test]
fn intervals_over_seeds_and_items_equal_numpy() {
    let golden = golden();
    let first = seeds(&golden.first);
    let value = score(&first).unwrap();
    assert_close(
        bootstrap(Design::Crossed).score(&first),
        value,
        golden.crossed_interval,
    );
    assert_close(
        bootstrap(Design::Nested).score(&first),
        value,
        golden.nested_interval,
    );
}

#[test]
fn mcnemar_equals_the_binomial_test() {
    for (only_first, only_second, expected) in golden().mcnemar {
        let mut first = vec![true; only_first];
        first.extend(vec![false; only_second]);
        let second: Vec<bool> = first.iter().map(|right| !right).collect();
        let p = mcnemar(&first, &second).unwrap().p;
        let close = (p - expected).abs() <= 1e-10 * expected;
        assert!(
            close,
            "{only_first} against {only_second}: {p} instead of {expected}"
        );
    }
}
