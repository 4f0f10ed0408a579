//! What the values at each interface looked like.

use super::page::{Section, Table, code, folded, meter, muted, plain};
use crate::chart::{line, picture, rect};
use crate::markup::{Element, el};
use crate::number;
use crate::run_log::{InterfaceRecord, RunLog};

pub(super) fn section(log: &RunLog) -> Option<Section> {
    let mut stages: Vec<&str> = Vec::new();
    for record in &log.interfaces {
        if !stages.contains(&record.stage.as_str()) {
            stages.push(&record.stage);
        }
    }
    let (last, earlier) = stages.split_last()?;
    let table = |stage: &str| stage_table(&latest(log, stage)).build();
    let mut section = Section::new("interfaces", "Interfaces")
        .lead(format!(
            "Values at each port on one batch at the end of stage {last}. The bar spans the \
             smallest and the largest value, the thick part one standard deviation around the \
             mean, the tick zero."
        ))
        .with(table(last));
    for stage in earlier.iter().rev() {
        section = section.with(folded(format!("At the end of stage {stage}"), table(stage)));
    }
    Some(section)
}

/// The last measurement of every port in a stage, in the order of first appearance.
fn latest<'a>(log: &'a RunLog, stage: &str) -> Vec<&'a InterfaceRecord> {
    let mut out: Vec<&InterfaceRecord> = Vec::new();
    for record in log.interfaces.iter().filter(|record| record.stage == stage) {
        match out.iter_mut().find(|known| known.port == record.port) {
            Some(known) => *known = record,
            None => out.push(record),
        }
    }
    out
}

fn stage_table(records: &[&InterfaceRecord]) -> Table {
    let head = ["Port", "Shape", "Mean", "Std", "Min", "Max", "", "Zeros"];
    let mut table = Table::new(head).text_columns(&[1, 6, 7]);
    for record in records {
        let shape: Vec<String> = record.shape.iter().map(ToString::to_string).collect();
        let value = |value: f64| plain(number::significant(value, 3));
        table.row(vec![
            code(record.port.as_str()),
            muted(shape.join("\u{a0}×\u{a0}")),
            value(record.mean),
            value(record.std),
            value(record.min),
            value(record.max),
            spread(record).unwrap_or_else(|| muted("not finite")),
            meter(record.zeros, number::percent(record.zeros, 1)),
        ]);
    }
    table
}

/// Smallest to largest value, one deviation around the mean, and zero, on a scale of its own.
fn spread(record: &InterfaceRecord) -> Option<Element> {
    let reach = record.min.abs().max(record.max.abs());
    let known = [record.mean, record.std, record.min, record.max];
    if known.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let (width, height) = (120.0, 18.0);
    let middle = height / 2.0;
    let scale = if reach > 0.0 {
        (width / 2.0 - 4.0) / reach
    } else {
        0.0
    };
    let x = |value: f64| width / 2.0 + value.clamp(-reach, reach) * scale;
    let from = x((record.mean - record.std).max(record.min));
    let to = x((record.mean + record.std).min(record.max));
    let bar = |from: f64, to: f64, height: f64, opacity: f64| {
        rect(from, middle - height / 2.0, (to - from).max(2.0), height)
            .set("rx", height / 2.0)
            .set("fill", "var(--accent)")
            .set("fill-opacity", opacity)
    };
    let words = format!(
        "{} to {}",
        number::significant(record.min, 3),
        number::significant(record.max, 3)
    );
    Some(
        picture(width, height, "range")
            .with(el("title").text(words))
            .with(line(0.0, middle, width, middle, "grid"))
            .with(bar(x(record.min), x(record.max), 4.0, 0.4))
            .with(bar(from, to, 10.0, 0.9))
            .with(line(width / 2.0, 1.0, width / 2.0, height - 1.0, "whisker")),
    )
}
