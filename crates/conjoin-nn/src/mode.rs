//! What a module needs to know about one pass, and what it leaves behind besides its result.

use crate::rng::Stream;
use burn::module::Param;
use burn::tensor::Tensor;
use conjoin_kernels::dropout::dropout;

/// The next value of a running statistic.
#[derive(Debug, Clone)]
pub struct Statistic {
    pub param: Param<Tensor<1>>,
    pub value: Tensor<1>,
}

/// Training (dropout and batch statistics are on) or evaluation.
#[derive(Debug, Clone)]
pub struct Mode {
    /// `None` in evaluation.
    noise: Option<Stream>,
    draws: u64,
    statistics: Vec<Statistic>,
}

impl Mode {
    /// No randomness, no batch statistics.
    pub fn evaluation() -> Self {
        Self {
            noise: None,
            draws: 0,
            statistics: Vec::new(),
        }
    }

    /// All randomness of the pass follows from `seed`.
    pub fn training(seed: u64) -> Self {
        Self {
            noise: Some(Stream::new(seed)),
            ..Self::evaluation()
        }
    }

    pub fn is_training(&self) -> bool {
        self.noise.is_some()
    }

    /// Inverted dropout in training, nothing otherwise (Srivastava et al. 2014).
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, probability: f64) -> Tensor<D> {
        match self.draw(probability) {
            Some(seed) => dropout(x, probability, seed),
            None => x,
        }
    }

    /// A seed for an operation that drops with this probability itself; `None` where nothing is
    /// dropped.
    pub fn draw(&mut self, probability: f64) -> Option<u64> {
        let noise = self.noise.filter(|_| probability > 0.0)?;
        self.draws += 1;
        Some(noise.bits(self.draws))
    }

    /// Hands over the next value of a running statistic; the module itself stays as it is.
    pub fn record(&mut self, param: &Param<Tensor<1>>, value: Tensor<1>) {
        self.statistics.push(Statistic {
            param: param.clone(),
            value,
        });
    }

    /// New values of running statistics, in the order in which modules met them.
    pub fn into_statistics(self) -> Vec<Statistic> {
        self.statistics
    }
}
