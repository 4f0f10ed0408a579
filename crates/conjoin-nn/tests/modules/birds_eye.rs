//! The bird's-eye view against PyTorch, forward and every gradient; `golden/birds_eye.py` made the files.

use crate::harness::{Golden, device};
use burn::tensor::Tensor;
use conjoin_nn::{
    BoxOptions, Camera, Depths, Grid, GridHead, GridHeadOptions, Init, Mode, ViewToBev,
    ViewToBevOptions, decode_boxes,
};

const GRID: Grid = Grid {
    cells: [9, 8],
    extent: [-4.0, 20.0, -12.0, 10.0],
};

fn init() -> Init {
    Init::new(&device(), 1)
}

fn rows<const R: usize, const C: usize>(numbers: &[f64]) -> [[f64; C]; R] {
    std::array::from_fn(|r| std::array::from_fn(|c| numbers[r * C + c]))
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

#[test]
fn unprojection_equals_grid_sample() {
    unprojection(&Golden::read("view-to-bev"), 1, None);
    unprojection(&Golden::read("view-to-bev-moments"), 3, None);
    let depths = Depths {
        bins: 7,
        nearest: 2.0,
        farthest: 17.0,
    };
    unprojection(&Golden::read("view-to-bev-depths"), 1, Some(depths));
    unprojection(&Golden::read("view-to-bev-moments-depths"), 3, Some(depths));
}

fn unprojection(golden: &Golden, moments: usize, depths: Option<Depths>) {
    let intrinsics = rows(&numbers(&golden.input::<2>("intrinsics")));
    let extrinsics = numbers(&golden.input::<3>("extrinsics"));
    let camera = |ego_to_camera: &[f64]| Camera {
        intrinsics,
        ego_to_camera: rows(ego_to_camera),
        width: 40,
        height: 24,
    };
    let options = ViewToBevOptions {
        cameras: extrinsics.chunks(12).map(camera).collect(),
        moments,
        features: [6, 10, 4],
        grid: GRID,
        heights: vec![0.0, 0.8, 2.0],
        size: 5,
        depths,
    };
    let lift = golden.load(ViewToBev::new(&init(), &options));
    let features = golden.input::<5>("features");
    let poses = (moments > 1).then(|| golden.input::<3>("poses"));
    let view = lift.forward(features.clone(), poses);
    assert_eq!(view.depths.is_some(), depths.is_some());
    let mut loss = golden.output("map", view.map);
    if let Some(depths) = view.depths {
        loss = loss + golden.output("depths", depths);
    }
    let gradients = loss.backward();
    golden.check_input_gradient("features", &features, &gradients);
    golden.check_gradients(&lift, &gradients);
}

#[test]
fn heads_on_grids() {
    for (name, state) in [("grid-head", 0), ("grid-head-state", 4)] {
        let golden = Golden::read(name);
        let options = GridHeadOptions {
            input: 3,
            state,
            hidden: 6,
            channels: 2,
            prior: 0.5,
        };
        let head = golden.load(GridHead::new(&init(), options));
        let features = golden.input::<4>("features");
        let state = (state > 0).then(|| golden.input::<2>("state"));
        let values = head.forward(features.clone(), state.clone(), &mut Mode::training(1));
        let gradients = golden.output("values", values).backward();
        golden.check_input_gradient("features", &features, &gradients);
        if let Some(state) = state {
            golden.check_input_gradient("state", &state, &gradients);
        }
        golden.check_gradients(&head, &gradients);
    }
}

#[test]
fn a_head_begins_with_its_prior() {
    let options = GridHeadOptions {
        input: 3,
        state: 2,
        hidden: 4,
        channels: 2,
        prior: 0.1,
    };
    let head = GridHead::new(&init(), options);
    let features = Tensor::zeros([1, 3, 3, 3], &device());
    let state = Tensor::ones([1, 2], &device());
    for value in numbers(&head.forward(features, Some(state), &mut Mode::evaluation())) {
        assert!((1.0 / (1.0 + (-value).exp()) - 0.1).abs() < 1e-6);
    }
}

#[test]
fn boxes_are_read_off_as_centernet_does() {
    let golden = Golden::read("boxes");
    let options = BoxOptions {
        grid: GRID,
        boxes: 6,
        threshold: 0.3,
        temperature: 0.5,
    };
    let (heat, values) = (golden.input::<4>("heat"), golden.input::<4>("values"));
    let found = decode_boxes(heat.clone(), values.clone(), &options);
    let gradients = golden.output("boxes", found).backward();
    golden.check_input_gradient("heat", &heat, &gradients);
    golden.check_input_gradient("values", &values, &gradients);
}
