//! Learning-rate factors equal those of torch.optim.lr_scheduler and transformers (`golden/schedules.py`).

use conjoin_train::ScheduleConfig;
use serde_json::Value;

#[test]
fn factors_equal_the_references() {
    let text = include_str!("../golden/schedules.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let mut config = case.as_object().unwrap().clone();
        let total = config.remove("total").unwrap().as_u64().unwrap();
        let factors = config.remove("factors").unwrap();
        let schedule: ScheduleConfig = serde_json::from_value(Value::Object(config)).unwrap();
        for (step, expected) in (0..).zip(factors.as_array().unwrap()) {
            let (found, expected) = (schedule.factor(step, total), expected.as_f64().unwrap());
            assert!(
                (found - expected).abs() < 1e-9,
                "{schedule:?}, step {step}: {found} instead of {expected}"
            );
        }
    }
}
