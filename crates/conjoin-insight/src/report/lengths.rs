//! Scores by the length of what was read.

use super::page::{Section, Table, figure, grid, plain};
use crate::chart::{LineChart, Series};
use crate::compare::LengthTable;
use crate::metric::Metric;
use crate::number;

pub(super) fn section(tables: &[LengthTable]) -> Option<Section> {
    if tables.is_empty() {
        return None;
    }
    let charts = tables.iter().filter_map(|table| {
        let metric = Metric::of(&table.metric);
        let title = format!("{} by length", metric.label);
        Some(figure(title, chart(table, &metric).svg()?))
    });
    let section = Section::new("lengths", "By length of the source")
        .lead("Items of the test data by the number of words or symbols that were read.")
        .with(grid(charts));
    Some(section.with(rows(tables).build()))
}

/// A point a group, at its mean length.
fn chart(table: &LengthTable, metric: &Metric) -> LineChart {
    let series = table
        .arms
        .iter()
        .enumerate()
        .map(|(colour, (arm, scores))| {
            let groups = table.groups.iter().zip(scores);
            Series {
                name: arm.clone(),
                pieces: vec![
                    groups
                        .filter_map(|(group, score)| Some((group.mean, (*score)?)))
                        .collect(),
                ],
                marks: Vec::new(),
                colour,
            }
        });
    LineChart {
        title: format!("{} by length of the source", metric.label),
        x_label: "length of the source".to_owned(),
        series: series.collect(),
        bands: Vec::new(),
        log: false,
        percent: metric.percent,
        smoothing: None,
        size: (510.0, 280.0),
    }
}

/// A row a group, a column a metric of an arm.
fn rows(tables: &[LengthTable]) -> Table {
    let mut head = vec!["Length".to_owned(), "Items".to_owned()];
    for table in tables {
        let label = Metric::of(&table.metric).label;
        let alone = table.arms.len() == 1;
        head.extend(table.arms.iter().map(|(arm, _)| {
            if alone {
                label.clone()
            } else {
                format!("{label} of {arm}")
            }
        }));
    }
    let mut out = Table::new(head);
    let groups = tables.first().map(|table| table.groups.as_slice());
    for (place, group) in groups.unwrap_or_default().iter().enumerate() {
        let mut cells = vec![
            plain(group.label()),
            plain(number::count(group.items as u64)),
        ];
        for table in tables {
            let metric = Metric::of(&table.metric);
            cells.extend(table.arms.iter().map(|(_, scores)| {
                let score = scores.get(place).copied().flatten();
                plain(score.map_or_else(|| "–".to_owned(), |score| metric.format(score)))
            }));
        }
        out.row(cells);
    }
    out
}
