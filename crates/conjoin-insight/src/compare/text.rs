//! The comparison as a table for a terminal and as JSON.

use super::{ArmRow, Comparison, MetricTable};
use crate::columns::aligned;
use crate::metric::Metric;
use crate::number;
use crate::statistics::{Estimate, standard_deviation};

impl Comparison {
    /// A table for a terminal, one block a metric.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for table in &self.metrics {
            out.push_str(&self.block(table));
            out.push('\n');
        }
        out.push_str(&self.note());
        out.push('\n');
        out
    }

    /// The comparison as JSON, for scripts.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "level": self.level,
            "replicates": self.replicates,
            "seeds": self.seeds,
            "items": self.items,
            "metrics": self.metrics,
            "lengths": self.lengths,
        })
    }

    /// How the intervals were made, in a sentence or two.
    pub(crate) fn note(&self) -> String {
        let seeds = match self.seeds.len() {
            1 => "1 seed".to_owned(),
            n => format!("{n} seeds"),
        };
        let tested = self
            .metrics
            .iter()
            .flat_map(|table| &table.arms)
            .any(|r| !r.mcnemar.is_empty());
        let test = match (tested, self.seeds.len()) {
            (false, _) => "",
            (true, 1) => "; p is McNemar's exact test",
            (true, _) => "; p is McNemar's exact test, the weakest of the seeds",
        };
        let caution = if self.seeds.len() < 2 {
            " One seed says nothing about other seeds."
        } else {
            ""
        };
        format!(
            "{seeds}, {} items; {} intervals by percentile bootstrap over seeds and items \
             ({} resamples); differences are paired{test}.{caution}",
            number::count(self.items as u64),
            self.level_text(),
            number::count(self.replicates as u64),
        )
    }

    pub(crate) fn level_text(&self) -> String {
        format!("{} %", number::short(self.level * 100.0))
    }

    fn block(&self, table: &MetricTable) -> String {
        let metric = Metric::of(&table.metric);
        let first = table.arms.first().map_or("", |row| row.arm.as_str());
        let mut rows = vec![vec![
            metric.label.clone(),
            "score".to_owned(),
            format!("{} interval", self.level_text()),
            "over seeds".to_owned(),
            format!("less {first}"),
            format!("{} interval", self.level_text()),
            "p".to_owned(),
        ]];
        rows.extend(table.arms.iter().map(|row| cells(&metric, row)));
        // Columns that no arm fills are left out.
        let kept: Vec<usize> = (0..rows[0].len())
            .filter(|&column| rows[1..].iter().any(|row| !row[column].is_empty()))
            .collect();
        let kept: Vec<Vec<String>> = rows
            .iter()
            .map(|row| kept.iter().map(|&column| row[column].clone()).collect())
            .collect();
        aligned(&kept, &[0])
    }
}

fn cells(metric: &Metric, row: &ArmRow) -> Vec<String> {
    let difference = |write: &dyn Fn(&Estimate) -> String| {
        row.difference.as_ref().map(write).unwrap_or_default()
    };
    vec![
        row.arm.clone(),
        metric.format(row.score.value),
        format!(
            "{} to {}",
            metric.format(row.score.low),
            metric.format(row.score.high)
        ),
        spread(metric, &row.per_seed),
        difference(&|d| metric.format_difference(d.value)),
        difference(&|d| {
            format!(
                "{} to {}",
                metric.format_difference(d.low),
                metric.format_difference(d.high)
            )
        }),
        row.largest_p().map(number::p_value).unwrap_or_default(),
    ]
}

/// Standard deviation over seeds: `± 0.42 pp`.
pub(crate) fn spread(metric: &Metric, per_seed: &[f64]) -> String {
    standard_deviation(per_seed).map_or_else(String::new, |deviation| {
        format!(
            "±{}",
            metric.format_difference(deviation).trim_start_matches('+')
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::compare::{ArmResult, Comparison, Outcomes};
    use crate::statistics::Bootstrap;

    #[test]
    fn the_table_reads_in_columns() {
        let arm = |arm: &str, wrong: usize| ArmResult {
            arm: arm.to_owned(),
            seed: 7,
            metrics: [(
                "wer".to_owned(),
                Outcomes::Errors((0..100).map(|i| (u32::from(i < wrong), 1)).collect()),
            )]
            .into(),
            lengths: Vec::new(),
            scored: String::new(),
        };
        let bootstrap = Bootstrap {
            replicates: 200,
            ..Bootstrap::default()
        };
        let comparison = Comparison::new(&[arm("staged", 40), arm("joined", 25)], &bootstrap);
        let comparison = comparison.unwrap();
        let text = comparison.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("WER "), "{text}");
        assert!(lines[0].contains("less staged"), "{text}");
        assert!(
            !lines[0].contains("over seeds"),
            "one seed has no spread: {text}"
        );
        assert!(
            lines[2].contains("25.00 %") && lines[2].contains("−15.00 pp"),
            "{text}"
        );
        assert!(lines[2].ends_with("< 0.0001"), "{text}");
        assert_eq!(lines[0].chars().count() - 1, lines[0].rfind('p').unwrap());
        assert!(text.contains("One seed says nothing about other seeds."));
        let json = comparison.json();
        assert_eq!(json["metrics"][0]["arms"][1]["score"]["value"], 0.25);
        let back: Comparison = serde_json::from_value(json).unwrap();
        assert_eq!(back, comparison);
    }
}
