//! The gate table: each module's own loss at the end of its own stage, and now.

use super::list;
use crate::number;
use crate::statistics::{Bootstrap, Estimate, Items, StatisticsError};
use serde::{Deserialize, Serialize};

/// A batch's loss times what it counts, and how much that is.
pub type Sums = Vec<(f64, f64)>;

/// One objective of one stage as it was measured: each batch's loss times what it counts, and how
/// much that is.
#[derive(Debug, Clone, PartialEq)]
pub struct GateInput {
    pub stage: String,
    pub objective: String,
    pub modules: Vec<String>,
    pub data: String,
    pub now: Sums,
    /// The step and the batches at the end of the stage; an error says why there are none, and
    /// nothing that those are the present weights.
    pub then: Option<Result<(u64, Sums), String>>,
}

/// All objectives of all stages, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    pub rows: Vec<GateRow>,
}

/// One objective then and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    pub stage: String,
    pub objective: String,
    /// Modules that the stage trained.
    pub modules: Vec<String>,
    /// What it was measured on, and how many batches of it.
    pub data: String,
    pub batches: usize,
    /// Global step of the stage's end.
    pub step: Option<u64>,
    pub then: Option<f64>,
    pub now: f64,
    /// The loss now less that then, paired by batch.
    pub change: Option<Estimate>,
    pub verdict: GateVerdict,
}

/// What became of a module's own loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateVerdict {
    /// It rose beyond its interval.
    Worse,
    /// It fell beyond its interval.
    Better,
    /// Its change is within the interval.
    Kept,
    /// The present weights are those of the stage's end.
    Last,
    /// It cannot be compared, in words.
    Unknown(String),
}

impl GateVerdict {
    pub fn word(&self) -> &str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Kept => "kept",
            Self::Last => "last stage",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl GateReport {
    /// Compares each objective then and now, with intervals over batches.
    ///
    /// # Errors
    /// There is no batch, or a loss is not finite.
    pub fn new(inputs: Vec<GateInput>, bootstrap: &Bootstrap) -> Result<Self, StatisticsError> {
        let row = |input: GateInput| {
            let now = [Items::sums(&input.now)];
            let score = now[0].score().ok_or(StatisticsError::Empty)?;
            let (step, then, change, verdict) = match input.then {
                None => (None, None, None, GateVerdict::Last),
                Some(Err(why)) => (None, None, None, GateVerdict::Unknown(why)),
                Some(Ok((step, then))) => {
                    let then = [Items::sums(&then)];
                    let change = bootstrap.difference(&then, &now)?;
                    (Some(step), then[0].score(), Some(change), verdict(&change))
                }
            };
            Ok(GateRow {
                stage: input.stage,
                objective: input.objective,
                modules: input.modules,
                data: input.data,
                batches: input.now.len(),
                step,
                then,
                now: score,
                change,
                verdict,
            })
        };
        let rows = inputs.into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows })
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let rows = self.rows.iter();
        rows.filter_map(|row| match &row.verdict {
            GateVerdict::Worse => Some(format!(
                "Since stage {} its loss {} rose from {} to {}: what {} apart got worse.",
                row.stage,
                row.objective,
                number::significant(row.then?, 4),
                number::significant(row.now, 4),
                match row.modules.as_slice() {
                    [one] => format!("{one} does"),
                    many => format!("{} do", list(many)),
                }
            )),
            GateVerdict::Unknown(why) => {
                Some(format!("Stage {} cannot be compared: {why}.", row.stage))
            }
            GateVerdict::Better | GateVerdict::Kept | GateVerdict::Last => None,
        })
        .collect()
    }
}

fn verdict(change: &Estimate) -> GateVerdict {
    if change.low > 0.0 {
        GateVerdict::Worse
    } else if change.high < 0.0 {
        GateVerdict::Better
    } else {
        GateVerdict::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(loss: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        (0..20)
            .map(|batch| {
                let count = 10.0 + batch as f64;
                (loss(batch) * count, count)
            })
            .collect()
    }

    #[test]
    fn a_loss_that_rose_is_told() {
        let ripple = |batch: usize| 1.0 + (batch as f64).sin() * 0.3;
        let input = |stage: &str, then| GateInput {
            stage: stage.to_owned(),
            objective: "letters".to_owned(),
            modules: vec!["encoder".to_owned()],
            data: "valid".to_owned(),
            now: sums(ripple),
            then,
        };
        let report = GateReport::new(
            vec![
                input("lost", Some(Ok((7, sums(|b| ripple(b) - 0.1))))),
                input("won", Some(Ok((7, sums(|b| ripple(b) + 0.1))))),
                input("kept", Some(Ok((7, sums(|b| 2.0 - ripple(b)))))),
                input("last", None),
                input("gone", Some(Err("no checkpoint".to_owned()))),
            ],
            &Bootstrap {
                replicates: 300,
                ..Bootstrap::default()
            },
        )
        .unwrap();
        let words: Vec<&str> = report.rows.iter().map(|row| row.verdict.word()).collect();
        assert_eq!(words, ["worse", "better", "kept", "last stage", "unknown"]);
        let change = report.rows[0].change.unwrap();
        assert!((change.value - 0.1).abs() < 1e-12 && (change.low - 0.1).abs() < 1e-9);
        let said = report.findings();
        assert!(said[0].contains("its loss letters rose from"), "{said:?}");
        assert!(
            said[1].contains("Stage gone cannot be compared: no checkpoint."),
            "{said:?}"
        );
        assert_eq!(said.len(), 2);
    }
}
