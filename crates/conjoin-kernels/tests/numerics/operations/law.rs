//! What holds for every differentiable operation, whatever it computes.
//!
//! A [`Law`] is an operation on leaves that a [`Pass`] makes, run fused or by Burn's operations. It says that
//! both give the same outputs and gradients, also for inputs and gradients of outputs that do not lie in one
//! run of memory; that the public function gives them in double precision, too, which it leaves to Burn's
//! operations; that the number of threads and the tracking of gradients change no bit; and that nothing in
//! gives nothing out.

use crate::support::tracked::device;
use crate::support::{close, random, same_bits, values};
use burn::tensor::{DType, Gradients, Tensor};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;

/// Few cases, the same in every run: a kink (of ReLU, of a maximum) may lie between two ways of rounding.
pub fn few() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::default()
    }
}

/// How the numbers of an input lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum View {
    /// One after another.
    Whole,
    /// Axes in the opposite order; so is the gradient of the output.
    Turned,
    /// Within a larger tensor.
    Cut,
}

/// The gradient of a leaf.
type OfLeaf = Box<dyn Fn(&Gradients) -> Option<Vec<f32>>>;

/// One run of an operation: it makes the operation's leaves and takes its outputs.
pub struct Pass {
    /// Whether the public function runs, which is the fused operation; Burn's otherwise.
    pub fused: bool,
    /// Whether the numbers are in double precision, so that the public function must run Burn's operations.
    pub double: bool,
    view: View,
    tracked: bool,
    leaves: Vec<OfLeaf>,
    made: u64,
    outputs: Vec<(Vec<usize>, Vec<f32>)>,
    loss: Option<Tensor<1>>,
}

/// What a run gave.
struct Results {
    outputs: Vec<(Vec<usize>, Vec<f32>)>,
    gradients: Vec<Vec<f32>>,
}

impl Pass {
    fn new(fused: bool, view: View, tracked: bool) -> Self {
        Self {
            fused,
            double: false,
            view,
            tracked,
            leaves: Vec::new(),
            made: 0,
            outputs: Vec::new(),
            loss: None,
        }
    }

    /// Numbers between -1 and 1, whose gradient is compared.
    pub fn leaf<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let leaf: Tensor<D> = self.stored(shape);
        if !self.tracked {
            return self.seen(leaf, shape);
        }
        let leaf = leaf.require_grad();
        let own = leaf.clone();
        self.leaves
            .push(Box::new(move |gradients| own.grad(gradients).map(single)));
        self.seen(leaf, shape)
    }

    /// Numbers between -1 and 1 that need no gradient.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let stored = self.stored(shape);
        self.seen(stored, shape)
    }

    /// The tensor that a view is taken of.
    fn stored<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.made += 1;
        let mut stored = shape;
        match self.view {
            View::Whole => {}
            View::Turned => stored.reverse(),
            View::Cut => {
                stored[0] += 2;
                stored[D - 1] += 1;
            }
        }
        let mut tensor = random(stored, self.made, &device());
        if self.double {
            tensor = tensor.cast(DType::F64).detach();
        }
        if self.tracked { tensor } else { tensor.inner() }
    }

    fn seen<const D: usize>(&self, stored: Tensor<D>, shape: [usize; D]) -> Tensor<D> {
        match self.view {
            View::Whole => stored,
            View::Turned => turned(stored),
            View::Cut => {
                let inside = stored.narrow(0, 1, shape[0]);
                if D == 1 {
                    inside
                } else {
                    inside.narrow(D - 1, 1, shape[D - 1])
                }
            }
        }
    }

    /// Takes an output that carries a gradient.
    pub fn give<const D: usize>(&mut self, y: Tensor<D>) {
        self.show(y.clone());
        if !self.tracked {
            return;
        }
        let y = if self.view == View::Turned {
            turned(y)
        } else {
            y
        };
        let probe: Tensor<D> = random(y.dims(), 100 + self.outputs.len() as u64, &device());
        let probe = probe.cast(y.dtype());
        let loss = (y * probe).sum();
        self.loss = Some(match self.loss.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
    }

    /// Takes an output that carries none.
    pub fn show<const D: usize>(&mut self, y: Tensor<D>) {
        let expected = if self.double { DType::F64 } else { DType::F32 };
        assert_eq!(y.dtype(), expected, "the precision of an output");
        self.outputs.push((y.dims().to_vec(), single(y)));
    }

    fn results(self) -> Results {
        let gradients = self.loss.map(|loss| {
            let gradients = loss.backward();
            let of = |leaf: &OfLeaf| leaf(&gradients).expect("a gradient of every leaf");
            self.leaves.iter().map(of).collect()
        });
        Results {
            outputs: self.outputs,
            gradients: gradients.unwrap_or_default(),
        }
    }
}

/// Numbers in single precision.
fn single<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    values(x.cast(DType::F32))
}

fn turned<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let axes: [isize; D] = std::array::from_fn(|axis| (D - 1 - axis) as isize);
    x.permute(axes)
}

/// An operation of which all this holds.
pub struct Law {
    name: String,
    tolerance: f32,
    run: Box<dyn Fn(&mut Pass) + Send + Sync>,
}

impl Law {
    /// The name says operation and sizes.
    pub fn new(name: String, run: impl Fn(&mut Pass) + Send + Sync + 'static) -> Self {
        Self {
            name,
            tolerance: 2e-5,
            run: Box::new(run),
        }
    }

    /// With another tolerance, relative to the largest number, or to 1.
    pub fn within(self, tolerance: f32) -> Self {
        Self { tolerance, ..self }
    }

    fn results(&self, fused: bool, view: View, tracked: bool) -> Results {
        self.run(Pass::new(fused, view, tracked))
    }

    fn run(&self, mut pass: Pass) -> Results {
        (self.run)(&mut pass);
        pass.results()
    }

    /// The same as Burn's operations, for every view, any number of threads, tracked or not, and as the
    /// public function where it leaves the work to them.
    pub fn holds(&self) {
        for view in [View::Whole, View::Turned, View::Cut] {
            let found = self.results(true, view, true);
            let expected = self.results(false, view, true);
            self.compare(&format!("{view:?}"), &found, &expected, |name, a, b| {
                close(name, a, b, self.tolerance);
            });
        }
        let found = self.results(true, View::Whole, true);
        let left_to_burn = self.run(Pass {
            double: true,
            ..Pass::new(true, View::Whole, true)
        });
        self.compare("left to Burn", &found, &left_to_burn, |name, a, b| {
            close(name, a, b, self.tolerance);
        });
        let [one, three] =
            [&POOLS.0, &POOLS.1].map(|pool| pool.install(|| self.results(true, View::Whole, true)));
        self.compare("threads", &one, &three, same_bits);
        let untracked = self.results(true, View::Whole, false);
        for ((_, one), (_, untracked)) in one.outputs.iter().zip(&untracked.outputs) {
            same_bits(&format!("{}, untracked", self.name), one, untracked);
        }
    }

    /// Of an empty batch: outputs of these sizes, numbers throughout, and gradients of 0.
    pub fn holds_for_nothing(&self, sizes: &[&[usize]]) {
        for view in [View::Whole, View::Turned] {
            let found = self.results(true, view, true);
            let dims: Vec<&[usize]> = found.outputs.iter().map(|(dims, _)| &dims[..]).collect();
            assert_eq!(dims, sizes, "{}", self.name);
            let outputs = found.outputs.iter().flat_map(|(_, values)| values);
            assert!(outputs.into_iter().all(|y| y.is_finite()), "{}", self.name);
            let all_zero = found.gradients.iter().flatten().all(|dx| *dx == 0.0);
            assert!(all_zero, "{}: a gradient of nothing", self.name);
        }
        let untracked = self.results(true, View::Whole, false);
        assert_eq!(untracked.outputs.len(), sizes.len());
    }

    fn compare(
        &self,
        how: &str,
        found: &Results,
        expected: &Results,
        compare: impl Fn(&str, &[f32], &[f32]),
    ) {
        let name = &self.name;
        assert_eq!(found.outputs.len(), expected.outputs.len());
        for (i, (found, expected)) in found.outputs.iter().zip(&expected.outputs).enumerate() {
            assert_eq!(found.0, expected.0, "{name}, {how}: sizes of output {i}");
            compare(&format!("{name}, {how}: output {i}"), &found.1, &expected.1);
        }
        assert_eq!(found.gradients.len(), expected.gradients.len());
        for (i, (found, expected)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
            compare(
                &format!("{name}, {how}: gradient of leaf {i}"),
                found,
                expected,
            );
        }
    }
}

/// One thread, and three.
static POOLS: LazyLock<(ThreadPool, ThreadPool)> = LazyLock::new(|| {
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    (pool(1).expect("a pool"), pool(3).expect("three threads"))
});

#[test]
#[should_panic(expected = "a wrong gradient, Whole: gradient of leaf 0[0]")]
fn a_wrong_gradient_is_found() {
    let law = Law::new("a wrong gradient".into(), |pass| {
        let x = pass.leaf([2, 3]);
        // The same output; the gradient of one of the two factors is lost.
        let factor = if pass.fused {
            x.clone().detach()
        } else {
            x.clone()
        };
        pass.give(x * factor);
    });
    law.holds();
}

#[test]
#[should_panic(expected = "an order of the axes, Turned: output 0[1]")]
fn a_view_that_is_read_as_it_lies_is_found() {
    let law = Law::new("an order of the axes".into(), |pass| {
        let x = pass.leaf([2, 3]);
        let as_it_lies = pass.fused && pass.view == View::Turned;
        let x = if as_it_lies {
            turned(x).reshape([2, 3])
        } else {
            x
        };
        pass.give(x);
    });
    law.holds();
}

#[test]
#[should_panic(expected = "arguments in another order, left to Burn: output 0[0]")]
fn a_fallback_that_swaps_arguments_is_found() {
    let law = Law::new("arguments in another order".into(), |pass| {
        let (x, y) = (pass.leaf([2, 3]), pass.leaf([2, 3]));
        // The branch of a public function that leaves the work to Burn.
        pass.give(if pass.double { y - x } else { x - y });
    });
    law.holds();
}
