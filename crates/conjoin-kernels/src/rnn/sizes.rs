//! Sizes of a recurrent layer, and the check that its operands have them.

use burn::tensor::{Shape, Tensor};

/// Sizes that every pass needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub batch: usize,
    pub time: usize,
    pub inputs: usize,
    pub hidden: usize,
}

/// Part of the last dimension of a result.
///
/// Burn's slice of an empty tensor leaves the graph, and a loss of nothing else could not go backward.
pub(crate) fn part<const D: usize>(all: Tensor<D>, first: usize, size: usize) -> Tensor<D> {
    let mut dims = all.dims();
    dims[D - 1] = size;
    if dims.contains(&0) {
        // As a shape, because sizes in an array must be above 0.
        return all.sum().reshape([1; D]).expand(Shape::from(dims));
    }
    all.narrow(D - 1, first, size)
}

/// A named operand and its sizes.
pub(crate) type Operand<'a> = (&'a str, Vec<usize>);

/// An operand to check.
pub(crate) fn operand<'a, const D: usize>(name: &'a str, tensor: &Tensor<D>) -> Operand<'a> {
    (name, tensor.dims().to_vec())
}

impl Sizes {
    /// The sizes of an operation with so many gates on `x [B, T, I]` (or `[B, I]`, one step).
    ///
    /// # Panics
    /// If a state is not `[B, H]`, `w_ih` not `[gates H, I]`, `w_hh` not `[gates H, H]`, or a bias not
    /// `[gates H]`.
    #[track_caller]
    pub fn new<const D: usize>(
        name: &str,
        gates: usize,
        x: &Tensor<D>,
        states: &[Operand<'_>],
        weights: [Operand<'_>; 2],
        biases: &[Operand<'_>],
    ) -> Self {
        let dims = x.dims();
        let (batch, inputs) = (dims[0], dims[D - 1]);
        let hidden = states[0].1[1];
        let wide = gates * hidden;
        let [w_ih, w_hh] = &weights;
        let states = states.iter().map(|state| (state, vec![batch, hidden]));
        let weights = [(w_ih, vec![wide, inputs]), (w_hh, vec![wide, hidden])];
        let biases = biases.iter().map(|bias| (bias, vec![wide]));
        let expected = states.chain(weights).chain(biases);
        for ((operand, found), expected) in expected {
            assert!(
                *found == expected,
                "{name}: {operand} is {found:?}, expected {expected:?} for x {dims:?} and {hidden} hidden units"
            );
        }
        Self {
            batch,
            time: if D == 3 { dims[1] } else { 1 },
            inputs,
            hidden,
        }
    }

    /// Checks the rows' lengths.
    ///
    /// # Panics
    /// If there is not one length a row, or one exceeds the time.
    #[track_caller]
    pub fn check_lengths(self, name: &str, lengths: &[usize]) {
        let (batch, time) = (self.batch, self.time);
        assert!(
            lengths.len() == batch,
            "{name}: {} lengths for {batch} rows",
            lengths.len()
        );
        for (row, length) in lengths.iter().enumerate() {
            assert!(
                *length <= time,
                "{name}: row {row} has {length} steps in a tensor of {time}"
            );
        }
    }
}
