//! The diagnosis as tables for a terminal.

use super::gates::{GateReport, GateVerdict};
use super::gradients::{GradientReport, ModuleCell};
use super::oracle::{OracleReport, OracleRow};
use super::probes::ProbeReport;
use super::{Diagnosis, Effect};
use crate::columns::aligned;
use crate::metric::Metric;
use crate::number;

impl Diagnosis {
    /// What was found in sentences, then a table a part.
    pub fn text(&self) -> String {
        let mut out = format!("{}, step {}, {}\n", self.name, self.step, self.scored());
        for finding in self.findings() {
            out.push_str("- ");
            out.push_str(&finding);
            out.push('\n');
        }
        let parts = [
            self.oracle.as_ref().map(|part| self.oracle(part)),
            self.probes.as_ref().map(|part| self.probes(part)),
            self.gradients.as_ref().map(gradients),
            self.gates.as_ref().map(gates),
        ];
        for part in parts.into_iter().flatten() {
            out.push('\n');
            out.push_str(&part);
        }
        out
    }

    /// `test, 2,048 of 6,199 items: WER 31.20 %, PER 7.50 %`.
    fn scored(&self) -> String {
        let scores: Vec<String> = self
            .scores
            .iter()
            .map(|one| {
                let metric = Metric::of(&one.metric);
                format!("{} {}", metric.label, metric.format(one.score.value))
            })
            .collect();
        format!("{}: {}", self.items_text(), scores.join(", "))
    }

    /// `test, 2,048 of 6,199 items`.
    pub(super) fn items_text(&self) -> String {
        let count = |items: usize| number::count(items as u64);
        if self.items == self.items_in_data {
            return format!("{}, all {} items", self.data, count(self.items));
        }
        let (items, all) = (count(self.items), count(self.items_in_data));
        format!("{}, {items} of {all} items", self.data)
    }

    /// How the intervals were made.
    pub(super) fn note(&self) -> String {
        format!(
            "{} intervals by percentile bootstrap over items ({} resamples), paired by item.",
            self.level_text(),
            number::count(self.replicates as u64)
        )
    }

    fn oracle(&self, report: &OracleReport) -> String {
        let mut out = "Oracle: the truth in place of each interface\n".to_owned();
        if report.rows.is_empty() {
            out.push_str(&report.nothing());
            out.push('\n');
        } else {
            let ranked = report.ranked();
            out.push_str(&oracle_table("alone", &ranked, |row| &row.alone));
            if report.rows.len() > 1 {
                let all: Vec<&OracleRow> = report.rows.iter().collect();
                out.push('\n');
                out.push_str(&oracle_table("with all before it", &all, |row| {
                    &row.together
                }));
            }
            out.push_str(&self.note());
            out.push('\n');
            for one in &report.untold {
                let (to, from) = (&one.wire.to, &one.wire.from);
                let why = one.why.as_ref().map(|why| format!(": {why}"));
                let why = why.unwrap_or_default();
                out.push_str(&["No ground truth: ", to, " (from ", from, ")", &why].concat());
                out.push('\n');
            }
        }
        if !report.untold.is_empty() {
            out.push_str("A column that holds the truth is named in [oracle] of the recipe.\n");
        }
        out
    }

    fn probes(&self, report: &ProbeReport) -> String {
        let metric = self.scores.first().map(|one| Metric::of(&one.metric));
        let label = metric.map_or_else(String::new, |metric| metric.label);
        let mut rows = vec![vec!["interface".to_owned(), "from".to_owned()]];
        rows[0].extend(report.probes.iter().cloned());
        rows[0].push("verdict".to_owned());
        for row in &report.rows {
            let mut cells = vec![row.wire.to.clone(), row.wire.from.clone()];
            let effects = row.cells.iter().map(|cell| cell.effects.first());
            cells.extend(effects.map(|effect| effect.map_or_else(String::new, change_text)));
            cells.push(row.verdict.word().to_owned());
            rows.push(cells);
        }
        format!(
            "Shortcuts: change of {label} when an interface carries zeros, another sample's value, \
             noise\n{}{}\n",
            aligned(&rows, &[0, 1, report.probes.len() + 2]),
            self.note()
        )
    }
}

fn oracle_table(
    what: &str,
    rows: &[&OracleRow],
    effects: impl Fn(&OracleRow) -> &Vec<Effect>,
) -> String {
    let mut table = vec![vec![
        format!("interface, {what}"),
        "from".to_owned(),
        "truth".to_owned(),
    ]];
    if let Some(row) = rows.first() {
        for effect in effects(row) {
            let metric = Metric::of(&effect.metric);
            table[0].extend([metric.label, "change".to_owned()]);
        }
    }
    for row in rows {
        let mut cells = vec![
            row.wire.to.clone(),
            row.wire.from.clone(),
            row.truth.clone(),
        ];
        for effect in effects(row) {
            let metric = Metric::of(&effect.metric);
            cells.extend([metric.format(effect.value), change_text(effect)]);
        }
        table.push(cells);
    }
    aligned(&table, &[0, 1, 2])
}

/// `−12.50 pp (−14.1 to −10.9)`.
fn change_text(effect: &Effect) -> String {
    let metric = Metric::of(&effect.metric);
    let end = |value: f64| metric.format_difference(value).replace(" pp", "");
    format!(
        "{} ({} to {})",
        metric.format_difference(effect.change.value),
        end(effect.change.low),
        end(effect.change.high)
    )
}

fn gradients(report: &GradientReport) -> String {
    let mut rows = vec![vec!["module".to_owned()]];
    let losses = report.losses.iter();
    rows[0].extend(losses.map(|loss| format!("{} ({})", loss.objective, loss.stage)));
    for (index, module) in report.modules.iter().enumerate() {
        let mut cells = vec![module.clone()];
        cells.extend(
            report
                .losses
                .iter()
                .map(|loss| match loss.cells.get(index) {
                    Some(ModuleCell::Norm(norm)) => norm.text(),
                    Some(ModuleCell::Nothing(why)) => format!("- {why}"),
                    None => String::new(),
                }),
        );
        rows.push(cells);
    }
    let mut out = format!(
        "Gradients: norm of each weighted loss's gradient at each module, over batches\n{}",
        aligned(&rows, &[0])
    );
    if report.cosines.is_empty() {
        out.push_str("No module is moved by two losses, so that there are no cosines.\n");
        return out;
    }
    let mut rows = vec![["module", "losses", "cosine"].map(str::to_owned).to_vec()];
    rows.extend(report.cosines.iter().map(|row| {
        vec![
            row.module.clone(),
            format!("{}, {}", row.first, row.second),
            row.cosine.text(),
        ]
    }));
    out.push('\n');
    out.push_str(&aligned(&rows, &[0, 1]));
    out
}

fn gates(report: &GateReport) -> String {
    let head = [
        "stage",
        "loss",
        "measured on",
        "then",
        "now",
        "change",
        "verdict",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.rows.iter().map(|row| {
        let change = row.change.map_or_else(String::new, |change| {
            let number = |value: f64| {
                let sign = if value > 0.0 { "+" } else { "" };
                format!("{sign}{}", number::significant(value, 3))
            };
            format!(
                "{} ({} to {})",
                number(change.value),
                number(change.low),
                number(change.high)
            )
        });
        vec![
            row.stage.clone(),
            row.objective.clone(),
            format!("{}, {} batches", row.data, row.batches),
            row.then
                .map_or_else(String::new, |then| number::significant(then, 4)),
            number::significant(row.now, 4),
            change,
            match &row.verdict {
                GateVerdict::Unknown(why) => format!("unknown: {why}"),
                verdict => verdict.word().to_owned(),
            },
        ]
    }));
    format!(
        "Gates: each stage's own loss at its end and now; intervals over batches\n{}",
        aligned(&rows, &[0, 1, 2, 6])
    )
}
