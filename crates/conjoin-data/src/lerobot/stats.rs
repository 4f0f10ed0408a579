//! Statistics of a feature over all frames, as `meta/stats.json` has them.

use serde_json::{Value, json};

/// Sums of one feature: an entry a number of a vector, three (by channel) for images.
#[derive(Debug, Clone)]
pub struct Stats {
    min: Vec<f64>,
    max: Vec<f64>,
    mean: Vec<f64>,
    /// Sum of squared distances from the mean (Welford 1962).
    spread: Vec<f64>,
    count: u64,
    frames: u64,
    image: bool,
}

impl Stats {
    pub fn new(size: usize, image: bool) -> Self {
        Self {
            min: vec![f64::INFINITY; size],
            max: vec![f64::NEG_INFINITY; size],
            mean: vec![0.0; size],
            spread: vec![0.0; size],
            count: 0,
            frames: 0,
            image,
        }
    }

    /// Takes the rows of one frame: each pixel, or all numbers of a vector at once.
    pub fn add_frame<R: IntoIterator<Item = f64>>(&mut self, rows: impl Iterator<Item = R>) {
        self.frames += 1;
        for row in rows {
            self.count += 1;
            for (i, value) in row.into_iter().enumerate() {
                self.min[i] = self.min[i].min(value);
                self.max[i] = self.max[i].max(value);
                let away = value - self.mean[i];
                self.mean[i] += away / self.count as f64;
                self.spread[i] += away * (value - self.mean[i]);
            }
        }
    }

    /// Images have their statistics as `[3, 1, 1]`.
    pub fn to_json(&self) -> Value {
        let std: Vec<f64> = self
            .spread
            .iter()
            .map(|s| (s / self.count.max(1) as f64).sqrt())
            .collect();
        let shaped = |values: &[f64]| {
            if self.image {
                json!(values.iter().map(|v| [[v]]).collect::<Vec<_>>())
            } else {
                json!(values)
            }
        };
        json!({
            "min": shaped(&self.min),
            "max": shaped(&self.max),
            "mean": shaped(&self.mean),
            "std": shaped(&std),
            "count": [self.frames],
        })
    }
}
