//! Vision modules against PyTorch, forward and every gradient; `golden/vision.py` made the files.

use crate::harness::{Golden, device};
use burn::tensor::Tensor;
use conjoin_nn::sequence::{Pooling, pool};
use conjoin_nn::{ConvDecoder, ConvDecoderOptions, Init, Mode, PatchEmbedding, PatchOptions};

fn init() -> Init {
    Init::new(&device(), 1)
}

#[test]
fn patches_with_and_without_a_class_token() {
    for (name, class_token) in [("patch-embedding", false), ("patch-embedding-class", true)] {
        let golden = Golden::read(name);
        let options = PatchOptions {
            channels: 2,
            patch: 3,
            size: 5,
            class_token,
        };
        let patches = golden.load(PatchEmbedding::new(&init(), &options));
        let image = golden.input::<4>("image");
        let y = patches.forward(image.clone());
        assert_eq!(y.dims()[1], options.positions(6, 9));
        let gradients = golden.output("y", y).backward();
        golden.check_input_gradient("image", &image, &gradients);
        golden.check_gradients(&patches, &gradients);
    }
}

#[test]
fn pooling_of_valid_positions() {
    let golden = Golden::read("pooling");
    let x = golden.input::<3>("x");
    let lengths = golden.lengths();
    let loss = golden.output("mean", pool(x.clone(), &lengths, Pooling::Mean))
        + golden.output("max", pool(x.clone(), &lengths, Pooling::Max));
    golden.check_input_gradient("x", &x, &loss.backward());
}

#[test]
fn decoder_with_and_without_a_skip() {
    let golden = Golden::read("conv-decoder");
    let options = ConvDecoderOptions {
        map: [2, 3, 4],
        widths: vec![6, 5],
        skips: vec![0, 2],
        blocks: 2,
    };
    let decoder = golden.load(ConvDecoder::new(&init(), &options));
    let (map, skip) = (golden.input::<4>("map"), golden.input::<4>("skip"));
    let skips: Vec<Option<Tensor<4>>> = vec![None, Some(skip.clone())];
    let y = decoder.forward(map.clone(), skips, &mut Mode::training(1));
    let gradients = golden.output("y", y).backward();
    golden.check_input_gradient("map", &map, &gradients);
    golden.check_input_gradient("skip", &skip, &gradients);
    golden.check_gradients(&decoder, &gradients);
}
