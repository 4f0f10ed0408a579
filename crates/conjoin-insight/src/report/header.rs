//! Who, when, how long, how good; and what a person should know first.

use super::Report;
use super::page::Section;
use crate::markup::{Element, el};
use crate::number;
use crate::run_log::RunLog;

/// A score in large type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// `WER, test`.
    pub label: String,
    /// `37.5 %`.
    pub value: String,
    /// `after joint, best of 8 evaluations`; may be empty.
    pub note: String,
    /// The score as the tool of its field prints it, with its signature; such lines of other scores
    /// behind it. May be empty.
    pub printed: Vec<String>,
}

pub(super) fn header(report: &Report) -> Element {
    let log = &report.log;
    let mut facts: Vec<(&str, String)> = Vec::new();
    if !report.date.is_empty() {
        facts.push(("Date", report.date.clone()));
    }
    if !log.name.is_empty() {
        facts.push(("Seed", log.seed.to_string()));
        facts.push(("Device", log.device.clone()));
    }
    if log.seconds() > 0.0 {
        facts.push(("Training time", number::duration(log.seconds())));
    }
    if !log.steps.is_empty() {
        facts.push(("Steps", number::count(log.steps.len() as u64)));
    }
    let weights: usize = weights(log);
    if weights > 0 {
        facts.push(("Trained weights", number::weights(weights)));
    }
    if log.resumed {
        facts.push(("Resumed", "yes".to_owned()));
    }
    let facts = facts.into_iter().map(|(name, value)| {
        el("div")
            .with(el("dt").text(name))
            .with(el("dd").text(value))
    });
    let cards = report.headlines.iter().map(|headline| {
        let card = el("div")
            .set("class", "card")
            .with(el("p").set("class", "label").text(headline.label.as_str()))
            .with(el("p").set("class", "value").text(headline.value.as_str()));
        let lines = std::iter::once((headline.note.as_str(), "note")).chain(
            headline
                .printed
                .iter()
                .map(|line| (line.as_str(), "note printed")),
        );
        let lines = lines.filter(|(line, _)| !line.is_empty());
        card.all(lines.map(|(line, class)| el("p").set("class", class).text(line)))
    });
    let mut header = el("header")
        .with(el("p").set("class", "eyebrow").text("conjoin report"))
        .with(el("h1").text(report.title()))
        .with(el("dl").all(facts));
    if !report.headlines.is_empty() {
        header = header.with(el("div").set("class", "cards").all(cards));
    }
    header
}

/// Weights of all nodes that were trained in some stage.
fn weights(log: &RunLog) -> usize {
    let nodes: std::collections::BTreeMap<&str, usize> = log
        .stages
        .iter()
        .flat_map(|stage| {
            stage
                .trained
                .iter()
                .map(|(name, &count)| (name.as_str(), count))
        })
        .collect();
    nodes.values().sum()
}

pub(super) fn warnings(log: &RunLog) -> Option<Section> {
    let mut texts = log.warnings.clone();
    for stage in &log.stages {
        if let Some(why) = &stage.early {
            texts.push(format!("Stage {} ended early: {why}.", stage.name.as_str()));
        }
    }
    if texts.is_empty() {
        return None;
    }
    let items = texts.into_iter().map(|text| el("li").text(text));
    Some(Section::new("notes", "Notes").with(el("ul").set("class", "warnings").all(items)))
}
