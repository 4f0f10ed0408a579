//! The diagnosis as one self-contained HTML file, in the style of the report.

mod training;

use super::oracle::{OracleReport, OracleRow};
use super::probes::{ProbeReport, ProbeVerdict};
use super::{Diagnosis, Effect};
use crate::chart::{Bar, BarChart};
use crate::markup::{Element, el};
use crate::metric::Metric;
use crate::number;
use crate::report::page::{
    self, Section, Table, badge, code, code_block, figure, folded, grid, muted, plain, strong,
};
use training::{gate_section, gradient_section};

impl Diagnosis {
    /// The diagnosis as one HTML file.
    pub fn html(&self) -> String {
        let sections = [
            self.found(),
            self.oracle.as_ref().map(|part| self.oracle_section(part)),
            self.probes.as_ref().map(|part| self.probe_section(part)),
            self.gradients.as_ref().map(gradient_section),
            self.gates.as_ref().map(gate_section),
            self.again(),
        ];
        let sections = sections.into_iter().flatten().collect();
        page::page(
            &format!("{}: diagnosis", self.name),
            self.header(),
            sections,
        )
    }

    fn header(&self) -> Element {
        let facts = [
            ("Date", self.date.clone()),
            ("Run", self.run.clone()),
            ("Step", number::count(self.step)),
            ("Scored on", self.items_text()),
        ];
        let facts = facts.into_iter().map(|(name, value)| {
            el("div")
                .with(el("dt").text(name))
                .with(el("dd").text(value))
        });
        let cards = self.scores.iter().map(|one| {
            let metric = Metric::of(&one.metric);
            let interval = format!(
                "{} interval {} to {}",
                self.level_text(),
                metric.format(one.score.low),
                metric.format(one.score.high)
            );
            el("div")
                .set("class", "card")
                .with(el("p").set("class", "label").text(metric.label.as_str()))
                .with(
                    el("p")
                        .set("class", "value")
                        .text(metric.format(one.score.value)),
                )
                .with(el("p").set("class", "note").text(interval))
        });
        el("header")
            .with(el("p").set("class", "eyebrow").text("conjoin diagnosis"))
            .with(el("h1").text(self.name.as_str()))
            .with(el("dl").all(facts))
            .with(el("div").set("class", "cards").all(cards))
    }

    fn found(&self) -> Option<Section> {
        let findings = self.findings();
        if findings.is_empty() {
            return None;
        }
        let items = findings.into_iter().map(|text| el("li").text(text));
        let list = el("ul").set("class", "warnings").all(items);
        Some(Section::new("findings", "What was found").with(list))
    }

    fn again(&self) -> Option<Section> {
        (!self.command.is_empty())
            .then(|| Section::new("again", "Run it again").with(code_block(&self.command)))
    }

    fn oracle_section(&self, report: &OracleReport) -> Section {
        let mut section = Section::new("oracle", "Oracle report");
        if report.rows.is_empty() {
            section = section.lead(report.nothing());
        } else {
            section = section.lead(format!(
                "The system with the truth in place of an interface: alone, by gain; and together \
                 with all interfaces before it. {}",
                self.note()
            ));
            let ranked = report.ranked();
            let all: Vec<&OracleRow> = report.rows.iter().collect();
            let width = if all.len() > 1 { 505.0 } else { 1040.0 };
            let mut charts = vec![gains(
                "Gain of each interface alone",
                width,
                &ranked,
                |row| &row.alone,
            )];
            if all.len() > 1 {
                let title = "Gain with all before it";
                charts.push(gains(title, width, &all, |row| &row.together));
            }
            section = section
                .with(grid(charts.into_iter().flatten()))
                .with(oracle_table("Interface, alone", &ranked, |row| &row.alone));
            if all.len() > 1 {
                let title = "Interface, with all before it";
                section = section.with(oracle_table(title, &all, |row| &row.together));
            }
        }
        if report.untold.is_empty() {
            return section;
        }
        let items = report.untold.iter().map(|one| {
            let item = el("li")
                .with(code(one.wire.to.as_str()))
                .with(muted(format!(" from {}", one.wire.from)));
            match &one.why {
                Some(why) => item.with(plain(format!(": {why}"))),
                None => item,
            }
        });
        section
            .with(el("h3").text("Without a ground truth"))
            .with(el("ul").all(items))
            .lead("A column that holds the truth is named in [oracle] of the recipe.")
    }

    fn probe_section(&self, report: &ProbeReport) -> Section {
        let metric = self.scores.first().map(|one| Metric::of(&one.metric));
        let label = metric.map_or_else(String::new, |metric| metric.label);
        let mut head = vec!["Interface".to_owned(), "From".to_owned()];
        head.extend(report.probes.iter().cloned());
        head.push("Verdict".to_owned());
        let mut table = Table::new(head).text_columns(&[1, report.probes.len() + 2]);
        for row in &report.rows {
            let mut cells = vec![code(row.wire.to.as_str()), muted(row.wire.from.as_str())];
            cells.extend(row.cells.iter().map(|cell| match cell.effects.first() {
                Some(effect) => change(effect),
                None => muted("–"),
            }));
            cells.push(match row.verdict {
                ProbeVerdict::Used => badge(row.verdict.word(), true),
                ProbeVerdict::Untouched | ProbeVerdict::Ignored | ProbeVerdict::Harmful => {
                    badge(row.verdict.word(), false)
                }
            });
            table.row(cells);
        }
        Section::new("shortcuts", "Shortcut probe")
            .lead(format!(
                "Change of {label} when an interface carries zeros, another sample's value, or \
                 noise of its mean and deviation; in place of tokens one symbol, another sample's \
                 tokens, random ones. What changes nothing is not read. Each interval stands by itself. {}",
                self.note()
            ))
            .with(table.build())
            .with(folded("All metrics", probe_details(report)))
    }
}

fn probe_details(report: &ProbeReport) -> Element {
    let metrics: Vec<String> = report
        .rows
        .iter()
        .flat_map(|row| &row.cells)
        .next()
        .map(|cell| {
            cell.effects
                .iter()
                .map(|e| Metric::of(&e.metric).label)
                .collect()
        })
        .unwrap_or_default();
    let mut head = ["Interface", "Probe", "Items changed"]
        .map(str::to_owned)
        .to_vec();
    head.extend(metrics);
    let mut table = Table::new(head).text_columns(&[1]);
    for row in &report.rows {
        for cell in &row.cells {
            let mut cells = vec![
                code(row.wire.to.as_str()),
                plain(cell.probe.as_str()),
                plain(number::count(cell.changed as u64)),
            ];
            cells.extend(cell.effects.iter().map(change));
            table.row(cells);
        }
    }
    table.build()
}

/// Categorical colours of gains, of losses, and of what may be chance.
const BLUE: usize = 0;
const RED: usize = 6;
const GREY: usize = 7;

/// Gains of the headline metric as bars, positive for the better.
fn gains(
    title: &str,
    width: f64,
    rows: &[&OracleRow],
    effects: impl Fn(&OracleRow) -> &Vec<Effect>,
) -> Option<Element> {
    let metric = Metric::of(&effects(rows.first()?).first()?.metric);
    let bars = rows.iter().filter_map(|row| {
        let effect = effects(row).first()?;
        let (low, high) = (effect.change.low, effect.change.high);
        let (low, high) = if metric.higher_is_better {
            (low, high)
        } else {
            (-high, -low)
        };
        Some(Bar {
            label: row.wire.to.clone(),
            value: effect.gain(),
            interval: Some((low, high)),
            text: metric.format_difference(effect.gain()),
            colour: match (effect.is_seen(), effect.gain() < 0.0) {
                (false, _) => GREY,
                (true, true) => RED,
                (true, false) => BLUE,
            },
        })
    });
    let chart = BarChart {
        title: format!("{title}: {}", metric.label),
        bars: bars.collect(),
        percent: metric.percent,
        width,
    };
    let caption = format!("{title}, in {}", metric.label);
    Some(figure(caption, chart.svg()?))
}

fn oracle_table(
    title: &str,
    rows: &[&OracleRow],
    effects: impl Fn(&OracleRow) -> &Vec<Effect>,
) -> Element {
    let mut head = [title, "From", "Truth", "Named by"]
        .map(str::to_owned)
        .to_vec();
    if let Some(row) = rows.first() {
        for effect in effects(row) {
            head.extend([Metric::of(&effect.metric).label, "Change".to_owned()]);
        }
    }
    let mut table = Table::new(head).text_columns(&[1, 2, 3]);
    for row in rows {
        let mut cells = vec![
            code(row.wire.to.as_str()),
            muted(row.wire.from.as_str()),
            code(row.truth.as_str()),
            muted(row.told_by.as_str()),
        ];
        for effect in effects(row) {
            let metric = Metric::of(&effect.metric);
            cells.extend([strong(metric.format(effect.value)), change(effect)]);
        }
        table.row(cells);
    }
    table.build()
}

/// A change with its interval below; muted where it may be chance.
fn change(effect: &Effect) -> Element {
    let metric = Metric::of(&effect.metric);
    let text = metric.format_difference(effect.change.value);
    let interval = format!(
        "{} to {}",
        metric
            .format_difference(effect.change.low)
            .replace(" pp", ""),
        metric
            .format_difference(effect.change.high)
            .replace(" pp", "")
    );
    let value = if effect.is_seen() {
        plain(text)
    } else {
        muted(text)
    };
    el("span")
        .set("class", "change")
        .with(value)
        .with(el("small").set("class", "muted").text(interval))
}
