//! The sizes that options lead to, images by images, statistics, refusals.

use super::*;
use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};

fn bound(config: &ConvEncoderConfig, height: usize, width: usize) -> Bound {
    let image = Contract::image(height, width, 1, (0.0, 1.0));
    bind(config, &[("image", image)])
}

fn shapes(text: &str) -> Vec<String> {
    let config: ConvEncoderConfig = options(text);
    let bound = bound(&config, 28, 28);
    let outputs = config.outputs(&bound).unwrap();
    outputs.iter().map(|o| o.contract.shape_text()).collect()
}

#[test]
fn contracts_follow_the_options() {
    let defaults: ConvEncoderConfig = options("{}");
    assert_eq!(defaults, ConvEncoderConfig::default());
    let flat = r#"{"stem": 8, "widths": [8, 16, 24], "head": "flatten"}"#;
    assert_eq!(shapes(flat), ["[B, 384]", "[B, 4, 4, 24]"]);
    let pooled = r#"{"widths": [8, 16, 24], "pool": "max"}"#;
    assert_eq!(shapes(pooled), ["[B, 24]", "[B, 3, 3, 24]"]);
    let late = r#"{"widths": [8, 16], "reduce_first": false}"#;
    assert_eq!(shapes(late), ["[B, 16]", "[B, 14, 14, 16]"]);
    let stages = r#"{"stem": 4, "widths": [8, 16], "blocks": 2, "stages": true}"#;
    assert_eq!(
        shapes(stages),
        [
            "[B, 16]",
            "[B, 7, 7, 16]",
            "[B, 28, 28, 4]",
            "[B, 14, 14, 8]"
        ]
    );
    let strided =
        r#"{"stem": 4, "stem_kernel": 7, "stem_stride": 2, "widths": [8], "stages": true}"#;
    assert_eq!(
        shapes(strided),
        ["[B, 8]", "[B, 7, 7, 8]", "[B, 14, 14, 4]"]
    );
}

#[test]
fn values_keep_the_contract() {
    for options in [
        r#""head": "avg""#,
        r#""head": "flatten""#,
        r#""stages": true"#,
        r#""stages": true, "blocks": 3"#,
    ] {
        let text = format!(r#"{{"stem": 4, "widths": [4, 6], {options}}}"#);
        let config: ConvEncoderConfig = crate::kinds::shared::testing::options(&text);
        let bound = bound(&config, 9, 6);
        let given = inputs([("image", random([2, 9, 6, 1]).into())]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        for port in config.outputs(&bound).unwrap() {
            let sizes = port.contract.dims[1..].iter().filter_map(Dim::size);
            let shape = out.0[port.name].shape();
            assert_eq!(shape[1..], sizes.collect::<Vec<_>>()[..]);
        }
    }
}

#[test]
fn the_images_of_a_sample_are_encoded_one_by_one() {
    let config: ConvEncoderConfig = options(r#"{"stem": 4, "widths": [4], "stages": true}"#);
    let views = |dims: &[usize]| {
        let dims = dims.iter().map(|&size| size.into());
        Contract::new(Meaning::Image, std::iter::once("B".into()).chain(dims))
    };
    let several = bind(&config, &[("image", views(&[3, 8, 6, 2]))]);
    let shapes: Vec<String> = config
        .outputs(&several)
        .unwrap()
        .iter()
        .map(|port| port.contract.shape_text())
        .collect();
    assert_eq!(shapes, ["[B, 3, 4]", "[B, 3, 4, 3, 4]", "[B, 3, 8, 6, 4]"]);
    let single = bind(&config, &[("image", views(&[8, 6, 2]))]);
    assert_eq!(
        config.flops(&several, &|_| 1),
        3.0 * config.flops(&single, &|_| 1)
    );
    let node = build(&config, &several);
    let image: Tensor<5> = random([2, 3, 8, 6, 2]);
    let run = |image: Value| {
        let given = inputs([("image", image)]);
        node.forward(&given, &mut Context::evaluation()).unwrap()
    };
    let together = run(image.clone().into());
    let apart = run(image.reshape([6, 8, 6, 2]).into());
    for (port, shape) in [
        ("map", vec![2, 3, 4, 3, 4]),
        ("features", vec![2, 3, 4]),
        ("stage0", vec![2, 3, 8, 6, 4]),
    ] {
        assert_eq!(together.0[port].shape(), shape);
        assert_eq!(together.0[port].to_f32(), apart.0[port].to_f32());
    }
    assert_eq!(
        refusal(
            &config,
            &bind(&config, &[("image", views(&[2, 3, 8, 6, 2]))])
        ),
        "input \"image\": expected [B, H, W, C] or [B, V, H, W, C], found [B, 2, 3, 8, 6, 2]"
    );
}

#[test]
fn a_map_that_keeps_its_size_keeps_its_frame() {
    let frames = |text: &str| -> Vec<Option<String>> {
        let config: ConvEncoderConfig = options(text);
        let map = Contract::image(8, 8, 1, (0.0, 1.0)).with_frame("ground");
        let outputs = config.outputs(&bind(&config, &[("image", map)])).unwrap();
        outputs
            .into_iter()
            .map(|port| port.contract.frame)
            .collect()
    };
    let ground = Some("ground".to_owned());
    let kept = r#"{"widths": [4, 4], "keep_size": true}"#;
    assert_eq!(frames(kept), [None, ground]);
    assert_eq!(frames(r#"{"widths": [4, 4]}"#), [None, None]);
}

#[test]
fn statistics_move_in_training_only() {
    let config: ConvEncoderConfig = options(r#"{"stem": 4, "widths": [4]}"#);
    let node = build(&config, &bound(&config, 8, 8));
    let given = inputs([("image", random([4, 8, 8, 1]).into())]);
    let recorded = |context: &mut Context| {
        node.forward(&given, context).unwrap();
        context.take_running()
    };
    assert!(recorded(&mut Context::evaluation()).is_empty());
    let running = recorded(&mut Context::training(1));
    let mut statistics = 0;
    node.visit(&mut |param| {
        let changed = running.get(&param.id.val());
        assert_eq!(changed.is_some(), param.statistic, "{}", param.path);
        if let Some(changed) = changed {
            statistics += 1;
            assert_ne!(changed.to_f32(), param.value().to_f32());
        }
    });
    // The stem, two convolutions of the block and the projection, mean and variance each.
    assert_eq!(statistics, 8);
}

#[test]
fn flops_of_plain_and_residual_encoders() {
    let flops = |text: &str| {
        let config: ConvEncoderConfig = options(text);
        config.flops(&bound(&config, 28, 28), &|_| 1)
    };
    // Stem at 28x28 from 1 to 4 channels, then two blocks at 14x14: 4 to 6, 6 to 6.
    let (large, small) = (28.0 * 28.0, 14.0 * 14.0);
    let stem = large * 9.0 * 4.0;
    let plain = stem + small * 9.0 * (4.0 * 6.0 + 6.0 * 6.0);
    let common = r#""stem": 4, "widths": [6], "blocks": 2"#;
    assert_eq!(
        flops(&format!(r#"{{{common}, "residual": false}}"#)),
        2.0 * plain
    );
    // Each block has a second convolution, 6 to 6; the first a 1x1 projection, 4 to 6.
    let residual = plain + small * (2.0 * 9.0 * 36.0 + 4.0 * 6.0);
    assert_eq!(flops(&format!("{{{common}}}")), 2.0 * residual);
}

#[test]
fn refuses_what_makes_no_sense() {
    let refused = |text: &str| {
        let config: ConvEncoderConfig = options(text);
        refusal(&config, &bound(&config, 4, 4))
    };
    assert_eq!(
        refused(r#"{"widths": [8, 8, 8], "pool": "max"}"#),
        "widths: expected few enough stages for an image of 4x4, found 3, behind which nothing \
         is left"
    );
    assert_eq!(
        refused(r#"{"widths": [8, 0]}"#),
        "widths: expected at least 1, found 0"
    );
    assert!(refused(r#"{"widths": []}"#).starts_with("number of widths:"));
    assert!(refused(r#"{"dropout": -0.1}"#).starts_with("dropout:"));
    assert_eq!(
        refused(r#"{"stem_kernel": 4}"#),
        "stem_kernel: expected an odd number, found 4"
    );
    assert_eq!(
        refused(r#"{"stem_stride": 0}"#),
        "stem_stride: expected at least 1, found 0"
    );
}
