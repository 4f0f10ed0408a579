//! Measures a stage on the machine at hand: its steps through the real loop, or forward passes alone.

mod inference;
mod machine;
mod sizes;
mod training;

pub(crate) use inference::inference;
pub(crate) use training::training;

use burn::tensor::Device;
use conjoin_recipe::summary::{scaled, write_table};
use conjoin_train::{Plan, StagePlan};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is measured.
pub(crate) struct Request {
    /// With one stage.
    pub plan: Arc<Plan>,
    /// Without autodiff.
    pub device: Device,
    /// Steps that do not count.
    pub warm_up: u64,
    /// Steps that do, at least 1.
    pub steps: u64,
}

impl Request {
    fn stage(&self) -> &StagePlan {
        &self.plan.stages[0]
    }
}

/// Where the time goes. Times are seconds a step.
#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    stage: String,
    mode: Mode,
    steps: u64,
    samples: f64,
    /// Sizes of the dimensions that vary, padding included: means over the batches.
    sizes: BTreeMap<String, usize>,
    seconds: Spread,
    nodes: Vec<NodeProfile>,
    /// Training only; the time of a forward pass is in `nodes`.
    phases: Option<Phases>,
    /// Floating-point operations of a step. Backward counts twice the forward pass of trained nodes.
    flops: f64,
    /// Operations a second of a large matrix product on this machine.
    peak: f64,
    /// Most resident memory of this process so far, in bytes, where the system tells.
    memory: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Training,
    Inference,
}

#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        Self {
            median: f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2)),
            min: at(0),
            max: at(values.len().saturating_sub(1)),
        }
    }
}

/// A node's forward pass.
#[derive(Debug, Serialize)]
struct NodeProfile {
    node: String,
    seconds: f64,
    /// Of the forward pass, for all samples of a step.
    flops: f64,
}

#[derive(Debug, Serialize)]
struct Phases {
    backward: f64,
    optimiser: f64,
    /// Waiting for the loader.
    data: f64,
}

/// The nodes of a stage in the order in which they run.
fn nodes(
    request: &Request,
    seconds: &BTreeMap<String, f64>,
    sizes: &sizes::Sizes,
) -> Vec<NodeProfile> {
    let stage = request.stage();
    stage
        .route
        .nodes()
        .map(|name| NodeProfile {
            node: name.to_owned(),
            seconds: seconds.get(name).copied().unwrap_or(0.0),
            flops: sizes.flops(&request.plan, stage, name),
        })
        .collect()
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.mode {
            Mode::Training => "training",
            Mode::Inference => "inference",
        };
        let sizes: Vec<String> = self
            .sizes
            .iter()
            .map(|(s, n)| format!("{s} = {n}"))
            .collect();
        let sizes = if sizes.is_empty() {
            String::new()
        } else {
            format!(", {}", sizes.join(", "))
        };
        writeln!(
            f,
            "stage {}, {what}: {} steps of {:.1} samples{sizes}\n",
            self.stage, self.steps, self.samples
        )?;
        let head = ["", "ms a step", "share", "FLOPs", "GFLOP/s", "of peak"];
        let mut rows = vec![head.map(str::to_owned)];
        let total = self.seconds.median;
        let mut row = |name: &str, seconds: f64, flops: Option<f64>| {
            let rate = flops.map(|flops| flops / seconds.max(1e-12));
            rows.push([
                name.to_owned(),
                format!("{:.2}", 1e3 * seconds),
                format!("{:.0} %", 1e2 * seconds / total.max(1e-12)),
                flops.map_or(String::new(), |n| scaled(n).trim_end().to_owned()),
                rate.map_or(String::new(), |rate| format!("{:.1}", rate / 1e9)),
                rate.map_or(String::new(), |rate| {
                    format!("{:.0} %", 1e2 * rate / self.peak)
                }),
            ]);
        };
        for node in &self.nodes {
            let flops = (node.flops > 0.0).then_some(node.flops);
            row(&format!("{} forward", node.node), node.seconds, flops);
        }
        if let Some(phases) = &self.phases {
            let forward: f64 = self.nodes.iter().map(|node| node.flops).sum();
            row("backward", phases.backward, Some(self.flops - forward));
            row("optimiser", phases.optimiser, None);
            row("waiting for data", phases.data, None);
        }
        row("step (median)", total, Some(self.flops));
        write_table(f, &rows, &[1, 2, 3, 4, 5])?;
        writeln!(
            f,
            "\nsteps took {:.2} to {:.2} ms; {:.1} samples/s",
            1e3 * self.seconds.min,
            1e3 * self.seconds.max,
            self.samples / total.max(1e-12)
        )?;
        writeln!(
            f,
            "peak: {:.0} GFLOP/s, a large matrix product just before",
            self.peak / 1e9
        )?;
        match self.memory {
            Some(bytes) => writeln!(f, "memory: {}B at most", scaled(bytes as f64)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(vec![5.0, 1.0, 2.0]).median, 2.0);
    }
}
