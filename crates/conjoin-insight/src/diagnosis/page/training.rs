//! What training does to the modules: gradients, and losses then and now.

use crate::chart::{HeatMap, Tint};
use crate::diagnosis::gates::{GateReport, GateVerdict};
use crate::diagnosis::gradients::{GradientReport, ModuleCell};
use crate::markup::{Element, el};
use crate::number;
use crate::report::page::{Section, Table, badge, code, folded, muted, plain, scroll, strong};

pub(super) fn gradient_section(report: &GradientReport) -> Section {
    let mut section = Section::new("gradients", "Gradient table").lead(
        "Norm of the gradient of each weighted loss at all weights of a module: mean over batches \
         and standard deviation. A colour is as strong as the norm against the largest of its row; \
         grey text says why nothing arrives.",
    );
    if let Some(map) = norms(report) {
        section = section.with(scroll(map));
    }
    let mut head = vec!["Module".to_owned()];
    head.extend(report.losses.iter().map(|loss| loss.objective.clone()));
    let mut table = Table::new(head);
    for (index, module) in report.modules.iter().enumerate() {
        let mut cells = vec![code(module.as_str())];
        cells.extend(
            report
                .losses
                .iter()
                .map(|loss| match loss.cells.get(index) {
                    Some(ModuleCell::Norm(norm)) => plain(norm.text()),
                    Some(ModuleCell::Nothing(why)) => muted(why.as_str()),
                    None => muted("–"),
                }),
        );
        table.row(cells);
    }
    let mut losses =
        Table::new(["Loss", "Stage", "Data", "Weight", "Value", "Batches"]).text_columns(&[1, 2]);
    for loss in &report.losses {
        losses.row(vec![
            code(loss.objective.as_str()),
            plain(loss.stage.as_str()),
            plain(loss.data.as_str()),
            plain(number::short(loss.weight)),
            loss.loss
                .map_or_else(|| muted("–"), |loss| plain(loss.text())),
            plain(loss.loss.map_or(0, |loss| loss.batches).to_string()),
        ]);
    }
    section = section
        .with(table.build())
        .with(folded("The losses", losses.build()));
    if report.cosines.is_empty() {
        return section.lead("No module is moved by two losses, so that there are no cosines.");
    }
    let mut table = Table::new(["Module", "Losses", "Cosine", ""]).text_columns(&[1, 3]);
    for row in &report.cosines {
        let against = row.is_conflict();
        table.row(vec![
            code(row.module.as_str()),
            plain(format!("{}, {}", row.first, row.second)),
            plain(row.cosine.text()),
            if against {
                badge("conflict", false)
            } else {
                plain("")
            },
        ]);
    }
    section
        .with(el("h3").text("Where two losses meet"))
        .with(table.build())
}

/// Losses by modules as a heat map; none with fewer than two losses, whose table says it all.
fn norms(report: &GradientReport) -> Option<Element> {
    if report.losses.len() < 2 {
        return None;
    }
    let norm = |cell: &ModuleCell| match cell {
        ModuleCell::Norm(norm) => norm.mean,
        ModuleCell::Nothing(_) => 0.0,
    };
    let values = report.losses.iter().map(|loss| {
        let largest = loss
            .cells
            .iter()
            .map(norm)
            .fold(f64::MIN_POSITIVE, f64::max);
        loss.cells.iter().map(|cell| norm(cell) / largest).collect()
    });
    let texts = report.losses.iter().map(|loss| {
        let text = |cell: &ModuleCell| match cell {
            ModuleCell::Norm(norm) => number::significant(norm.mean, 2),
            ModuleCell::Nothing(_) => String::new(),
        };
        loss.cells.iter().map(text).collect()
    });
    let map = HeatMap {
        title: "Gradient norms of losses at modules".to_owned(),
        rows: report
            .losses
            .iter()
            .map(|loss| loss.objective.clone())
            .collect(),
        row_title: String::new(),
        columns: report.modules.clone(),
        column_title: String::new(),
        values: values.collect(),
        texts: texts.collect(),
        written: true,
        tint: Tint::Plain,
        cell: 52.0,
    };
    map.svg()
}

pub(super) fn gate_section(report: &GateReport) -> Section {
    let mut table = Table::new([
        "Stage",
        "Modules",
        "Loss",
        "Measured on",
        "Then",
        "Now",
        "Change",
        "Verdict",
    ])
    .text_columns(&[1, 2, 3, 7]);
    for row in &report.rows {
        let number = |value: f64| {
            let sign = if value > 0.0 { "+" } else { "" };
            format!("{sign}{}", number::significant(value, 3))
        };
        let change = row.change.map_or_else(
            || muted("–"),
            |change| {
                let interval = format!("{} to {}", number(change.low), number(change.high));
                el("span")
                    .set("class", "change")
                    .with(plain(number(change.value)))
                    .with(el("small").set("class", "muted").text(interval))
            },
        );
        table.row(vec![
            strong(row.stage.as_str()),
            muted(row.modules.join(", ")),
            code(row.objective.as_str()),
            plain(format!("{}, {} batches", row.data, row.batches)),
            row.then
                .map_or_else(|| muted("–"), |then| plain(number::significant(then, 4))),
            plain(number::significant(row.now, 4)),
            change,
            match &row.verdict {
                GateVerdict::Worse => badge("worse", false),
                GateVerdict::Better => badge("better", true),
                GateVerdict::Kept => badge("kept", true),
                GateVerdict::Last => muted("last stage"),
                GateVerdict::Unknown(why) => muted(why.as_str()),
            },
        ]);
    }
    Section::new("gates", "Gate table")
        .lead(
            "Each stage's own loss through its own route, on the weights at the stage's end and on \
             those of now: what a module still does by itself. Intervals are over batches, paired.",
        )
        .with(table.build())
}
