//! Where the time went: forward passes by module, and everything else by kind of work.

use super::page::{Section, Table, figure, muted, plain, strong};
use crate::chart::{Part, StackedBars, StackedRow};
use crate::number;
use crate::run_log::{RunLog, TimingRecord};

/// Kinds of work besides forward passes, with their colours.
const KINDS: [(&str, usize); 5] = [
    ("backward", 1),
    ("optimiser", 2),
    ("data", 5),
    ("evaluation", 4),
    ("checkpoint", 7),
];

pub(super) fn section(log: &RunLog) -> Option<Section> {
    let rows: Vec<StackedRow> = log
        .timings
        .iter()
        .map(|timing| StackedRow {
            label: timing.stage.clone(),
            parts: parts(timing),
        })
        .collect();
    let chart = StackedBars {
        title: "Time by module and kind of work".to_owned(),
        rows: rows.clone(),
        width: 1040.0,
    };
    let lead = "Blue parts are forward passes, one shade a module; a backward pass runs through \
                all modules at once and is timed as a whole.";
    Some(
        Section::new("time", "Time by module")
            .lead(lead)
            .with(figure("Seconds of each stage", chart.svg()?).set("class", "wide"))
            .with(table(&rows).build()),
    )
}

fn parts(timing: &TimingRecord) -> Vec<Part> {
    // Neighbours must differ in shade, so shades alternate.
    let forward = timing
        .forward
        .iter()
        .enumerate()
        .map(|(index, (node, &value))| Part {
            name: node.clone(),
            value,
            colour: 0,
            shade: [1.0, 0.72, 0.86][index % 3],
        });
    let values = [
        timing.backward,
        timing.optimiser,
        timing.data,
        timing.evaluation,
        timing.checkpoint,
    ];
    let others = KINDS
        .iter()
        .zip(values)
        .map(|(&(name, colour), value)| Part {
            name: name.to_owned(),
            value,
            colour,
            shade: 0.9,
        });
    forward.chain(others).collect()
}

/// One row a module or kind of work, one column a stage.
fn table(rows: &[StackedRow]) -> Table {
    let mut names: Vec<(String, bool)> = Vec::new();
    for part in rows.iter().flat_map(|row| &row.parts) {
        let forward = part.colour == 0;
        if !names
            .iter()
            .any(|(name, kind)| *name == part.name && *kind == forward)
        {
            // Modules come before the other kinds of work, in all stages.
            let place = names.iter().position(|(_, kind)| !kind).filter(|_| forward);
            names.insert(place.unwrap_or(names.len()), (part.name.clone(), forward));
        }
    }
    let mut head = vec!["Work".to_owned()];
    head.extend(rows.iter().map(|row| row.label.clone()));
    let mut table = Table::new(head);
    for (name, forward) in &names {
        let title = if *forward {
            format!("forward: {name}")
        } else {
            name.clone()
        };
        let mut cells = vec![plain(title)];
        for row in rows {
            let whole: f64 = row.parts.iter().map(|part| part.value).sum();
            let part = row
                .parts
                .iter()
                .find(|p| p.name == *name && (p.colour == 0) == *forward);
            cells.push(match part {
                Some(part) if part.value > 0.0 && whole > 0.0 => plain(format!(
                    "{} · {}",
                    number::duration(part.value),
                    share(part.value / whole)
                )),
                _ => muted("–"),
            });
        }
        table.row(cells);
    }
    let mut total = vec![strong("all")];
    total.extend(rows.iter().map(|row| {
        strong(number::duration(
            row.parts.iter().map(|part| part.value).sum(),
        ))
    }));
    table.row(total);
    table
}

/// A share in whole per cent; what took time is never nothing.
fn share(share: f64) -> String {
    if share < 0.005 {
        "< 1 %".to_owned()
    } else {
        number::percent(share, 0)
    }
}
