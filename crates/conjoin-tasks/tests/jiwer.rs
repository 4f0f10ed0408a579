//! Error rates equal jiwer's on 200 cases.

use conjoin_tasks::error_rate::{ErrorRate, ItemErrors};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    per: f64,
    wer: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    reference: Vec<String>,
    hypothesis: Vec<String>,
    per: f64,
}

#[test]
fn rates_equal_jiwer_on_200_cases() {
    let golden: Golden = serde_json::from_str(include_str!("golden/rates.json")).unwrap();
    assert_eq!(golden.cases.len(), 200);
    let mut total = ErrorRate::default();
    for case in &golden.cases {
        let item = ItemErrors::best(std::slice::from_ref(&case.reference), &case.hypothesis);
        let single: ErrorRate = [item].into_iter().collect();
        assert!(
            (single.token_error_rate() - case.per).abs() < 1e-12,
            "{:?} {:?}",
            case.reference,
            case.hypothesis
        );
        total.add(item);
    }
    assert!((total.token_error_rate() - golden.per).abs() < 1e-12);
    assert!((total.item_error_rate() - golden.wer).abs() < 1e-12);
}
