//! Arms side by side, with intervals.

use super::page::{Section, Table, figure, grid, muted, plain, strong};
use crate::chart::{Bar, BarChart};
use crate::compare::{Comparison, MetricTable, spread};
use crate::metric::Metric;
use crate::number;

pub(super) fn section(comparison: &Comparison) -> Option<Section> {
    if comparison.metrics.is_empty() {
        return None;
    }
    let charts = comparison.metrics.iter().filter_map(|table| {
        let metric = Metric::of(&table.metric);
        let direction = if metric.higher_is_better {
            "higher is better"
        } else {
            "lower is better"
        };
        Some(figure(
            format!("{}, {direction}", metric.label),
            bars(table, &metric).svg()?,
        ))
    });
    let mut section = Section::new("comparison", "Comparison of arms")
        .lead(comparison.note())
        .with(grid(charts));
    for metric in &comparison.metrics {
        section = section.with(table(comparison, metric).build());
    }
    Some(section)
}

fn bars(table: &MetricTable, metric: &Metric) -> BarChart {
    BarChart {
        title: format!("{} of each arm", metric.label),
        bars: table
            .arms
            .iter()
            .enumerate()
            .map(|(index, row)| Bar {
                label: row.arm.clone(),
                value: row.score.value,
                interval: Some((row.score.low, row.score.high)),
                text: metric.format(row.score.value),
                colour: index,
            })
            .collect(),
        percent: metric.percent,
        width: 505.0,
    }
}

fn table(comparison: &Comparison, table: &MetricTable) -> Table {
    let metric = Metric::of(&table.metric);
    let first = table.arms.first().map_or("", |row| row.arm.as_str());
    let best = table
        .arms
        .iter()
        .map(|row| row.score.value)
        .reduce(|a, b| if metric.better(b, a) { b } else { a });
    let interval = format!("{} interval", comparison.level_text());
    let several = comparison.seeds.len() > 1;
    let tested = table.arms.iter().any(|row| !row.mcnemar.is_empty());
    let mut head = vec![metric.label.clone(), "Score".to_owned(), interval.clone()];
    head.extend(several.then(|| "Over seeds".to_owned()));
    head.extend([format!("Less {first}"), interval]);
    head.extend(tested.then(|| "McNemar p".to_owned()));
    let mut out = Table::new(head);
    for row in &table.arms {
        let value = metric.format(row.score.value);
        let range = |low: String, high: String| format!("{low} to {high}");
        let mut cells = vec![
            plain(row.arm.as_str()),
            if Some(row.score.value) == best {
                strong(value)
            } else {
                plain(value)
            },
            plain(range(
                metric.format(row.score.low),
                metric.format(row.score.high),
            )),
        ];
        cells.extend(several.then(|| plain(spread(&metric, &row.per_seed))));
        match &row.difference {
            Some(d) => {
                let low = metric.format_difference(d.low);
                cells.push(plain(metric.format_difference(d.value)));
                cells.push(plain(range(low, metric.format_difference(d.high))));
            }
            None => cells.extend([muted("–"), muted("–")]),
        }
        if tested {
            cells.push(
                row.largest_p()
                    .map_or_else(|| muted("–"), |p| plain(number::p_value(p))),
            );
        }
        out.row(cells);
    }
    out
}
