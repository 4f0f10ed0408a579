//! Losses equal PyTorch's, value and gradient (`golden/losses.py`).

use burn::tensor::{Device, Int, Tensor, TensorData};
use conjoin_graph::value::{Payload, Value};
use conjoin_train::LossConfig;
use serde_json::Value as Json;

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

fn shape(json: &Json) -> Vec<usize> {
    numbers(json).into_iter().map(|x| x as usize).collect()
}

fn floats<const D: usize>(values: &Json, shape: &[usize], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = numbers(values).into_iter().map(|x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, shape.to_vec()), device)
}

fn integers(values: &Json, shape: &[usize], device: &Device) -> Payload {
    let values: Vec<i64> = numbers(values).into_iter().map(|x| x as i64).collect();
    let flat = Tensor::<1, Int>::from_data(
        TensorData::new(values, [shape.iter().product::<usize>()]),
        device,
    );
    match *shape {
        [_] => flat.into(),
        [a, b] => flat.reshape([a, b]).into(),
        _ => panic!("rank {}", shape.len()),
    }
}

#[test]
fn values_and_gradients_equal_pytorchs() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("../golden/losses.json")).unwrap();
    assert_eq!(cases.len(), 28);
    let device = Device::flex().autodiff();
    for case in cases {
        let config: LossConfig = serde_json::from_value(case["loss"].clone()).unwrap();
        let shape_p = shape(&case["prediction_shape"]);
        let shape_t = shape(&case["target_shape"]);
        let lengths = case.get("lengths").map(|l| shape(l).into());
        macro_rules! check {
            ($rank:literal) => {{
                let p = floats::<$rank>(&case["prediction"], &shape_p, &device).require_grad();
                let target = match config {
                    LossConfig::CrossEntropy(_) => integers(&case["target"], &shape_t, &device),
                    _ => floats::<$rank>(&case["target"], &shape_t, &device).into(),
                };
                let target = Value::with_lengths(target, lengths);
                let loss = config.evaluate(&p.clone().into(), &target).unwrap();
                let gradients = loss.mean.backward();
                let gradient = p.grad(&gradients).unwrap();
                (loss, gradient.to_data().iter::<f64>().collect::<Vec<_>>())
            }};
        }
        let (loss, gradient) = match shape_p.len() {
            2 => check!(2),
            3 => check!(3),
            4 => check!(4),
            other => panic!("rank {other}"),
        };
        let name = case["name"].as_str().unwrap();
        let expected = case["value"].as_f64().unwrap();
        let found: f64 = loss.mean.into_data().iter::<f64>().next().unwrap();
        assert!(
            (found - expected).abs() < 1e-5,
            "{name}: {found} {expected}"
        );
        let count: f64 = loss.count.into_data().iter::<f64>().next().unwrap();
        assert_eq!(count, case["count"].as_f64().unwrap(), "{name}");
        for (found, expected) in gradient.iter().zip(numbers(&case["gradient"])) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{name}: {found} {expected}"
            );
        }
    }
}

#[test]
fn values_that_do_not_fit_are_named() {
    let device = Device::flex();
    let config: LossConfig = serde_json::from_str(r#"{"kind": "mse"}"#).unwrap();
    let value = |shape: [usize; 2]| Value::from(Tensor::<2>::zeros(shape, &device));
    let error = config.evaluate(&value([2, 3]), &value([2, 4])).unwrap_err();
    assert_eq!(
        error,
        "the loss wants two float values of one shape, found prediction [2, 3] of floats and target \
         [2, 4] of floats"
    );
    let config: LossConfig = serde_json::from_str(r#"{"kind": "cross-entropy"}"#).unwrap();
    let labels = Value::from(Tensor::<1, Int>::zeros([3], &device));
    assert!(config.evaluate(&value([2, 3]), &labels).is_err());
    assert!(config.evaluate(&value([3, 4]), &labels).is_ok());
}

#[test]
fn ways_and_plans_of_wrong_shapes_are_refused() {
    let device = Device::flex();
    let read = |text| -> LossConfig { serde_json::from_str(text).unwrap() };
    let ways = |width| Value::from(Tensor::<4>::zeros([2, 3, 2, width], &device));
    let futures = Value::from(Tensor::<4>::zeros([2, 3, 5, 4], &device));
    let multi_modal = read(r#"{"kind": "multi-modal"}"#);
    assert!(multi_modal.evaluate(&ways(11), &futures).is_ok());
    assert_eq!(
        multi_modal.evaluate(&ways(10), &futures).unwrap_err(),
        "the loss wants ways [B, N, M, 1 + 2 F] and futures [B, N, F, 4], found prediction \
         [2, 3, 2, 10] of floats and target [2, 3, 5, 4] of floats"
    );
    let plan = |steps| Value::from(Tensor::<3>::zeros([2, steps, 4], &device));
    let loss = read(r#"{"kind": "plan"}"#);
    assert!(loss.evaluate(&plan(5), &plan(5)).is_ok());
    assert!(loss.evaluate(&plan(5), &plan(4)).is_err());
}

#[test]
fn agents_of_unknown_future_have_neither_loss_nor_gradient() {
    let device = Device::flex().autodiff();
    let config: LossConfig = serde_json::from_str(r#"{"kind": "multi-modal"}"#).unwrap();
    let ways = Tensor::<4>::ones([2, 3, 2, 11], &device).require_grad();
    // What is not known may be anything.
    let futures = Tensor::<4>::full([2, 3, 5, 3], f32::NAN, &device);
    let known = Tensor::<4>::zeros([2, 3, 5, 1], &device);
    let futures = Tensor::cat(vec![known, futures], 3);
    let loss = config
        .evaluate(&ways.clone().into(), &futures.into())
        .unwrap();
    assert_eq!(loss.mean.to_data().iter::<f32>().next(), Some(0.0));
    assert_eq!(loss.count.to_data().iter::<f32>().next(), Some(0.0));
    let gradient = ways.grad(&loss.mean.backward()).unwrap();
    assert!(gradient.to_data().iter::<f32>().all(|g| g == 0.0));
}

#[test]
fn a_batch_that_counts_nothing_has_loss_zero() {
    let device = Device::flex().autodiff();
    let config: LossConfig = serde_json::from_str(r#"{"kind": "cross-entropy"}"#).unwrap();
    let logits = Tensor::<2>::ones([2, 3], &device).require_grad();
    let ignored = Tensor::<1, Int>::from_data([-100, -100], &device);
    let loss = config
        .evaluate(&logits.clone().into(), &ignored.into())
        .unwrap();
    assert_eq!(loss.mean.to_data().iter::<f32>().next(), Some(0.0));
    assert_eq!(loss.count.to_data().iter::<f32>().next(), Some(0.0));
    let gradients = loss.mean.backward();
    let gradient = logits.grad(&gradients).unwrap();
    assert!(gradient.to_data().iter::<f32>().all(|g| g == 0.0));
}
