//! From a finished run to the parts of its report.

use crate::error::CliError;
use crate::progress::scores_text;
use crate::{drawing, outcomes};
use conjoin_data::{Field, Source};
use conjoin_graph::Graph;
use conjoin_insight::report::{
    Attention, ClassResults, EpisodeSample, Headline, ImageSample, SequenceSample, StageScores,
};
use conjoin_insight::{Metric, Report, RunLog, by_length};
use conjoin_recipe::Checked;
use conjoin_tasks::error_rate::ItemErrors;
use conjoin_tasks::{ClassOutput, EpisodeOutput, Outputs, Scored, SequenceOutput, TextOutput};
use conjoin_train::Plan;
use conjoin_world::driving::score::closed_loop::{Ending, Infraction};
use std::path::Path;

/// Samples of a kind that a report shows.
const SHOWN: usize = 24;

/// Heat maps that a report shows.
const MAPS: usize = 6;

/// What a report is made of.
pub(crate) struct Parts<'a> {
    pub checked: &'a Checked,
    pub plan: &'a Plan,
    pub graph: &'a Graph,
    pub scored: &'a Scored,
    /// The data set that was scored.
    pub source: &'a dyn Source,
    pub log: RunLog,
    pub command: String,
}

/// The report of one run.
pub(crate) fn of_run(parts: Parts<'_>) -> Report {
    let data = parts.checked.task.data().to_owned();
    let mut report = Report {
        name: parts.plan.name.clone(),
        date: date(),
        headlines: vec![headline(&parts, &data)],
        stage_scores: Some(StageScores {
            stages: parts.log.stage_scores(&data),
            data,
        }),
        graph: Some(drawing::draw(parts.plan, parts.graph)),
        lengths: by_length(&[outcomes::of(
            &parts.plan.name,
            parts.plan.seed,
            parts.scored,
        )]),
        log: parts.log,
        recipe: parts.checked.resolved.clone(),
        command: parts.command,
        ..Report::default()
    };
    match &parts.scored.outputs {
        Outputs::Sequences(outputs) => {
            report.attention = attention(&outputs.iter().collect::<Vec<_>>());
            report.sequences = chosen(outputs.iter().map(sequence).collect());
        }
        Outputs::Texts(outputs) => {
            let tokens: Vec<&SequenceOutput> = outputs.iter().map(|o| &o.sequence).collect();
            report.attention = attention(&tokens);
            report.sequences = chosen(outputs.iter().map(text).collect());
        }
        Outputs::Episodes(episodes) => {
            report.episodes = episodes.iter().map(episode).collect();
        }
        Outputs::Classes { names, items } => {
            report.images = images(names, items, parts.source);
            report.classes = Some(confusion(names, items));
        }
    }
    report
}

pub(crate) fn write(report: &Report, path: &Path) -> Result<(), CliError> {
    let html = report
        .html()
        .map_err(|error| CliError::failed(error.to_string()))?;
    std::fs::write(path, html).map_err(|error| CliError::unwritable(path, &error))
}

/// Today in UTC, such as `2026-11-22 09:30 UTC`.
pub(crate) fn date() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

fn headline(parts: &Parts<'_>, data: &str) -> Headline {
    let name = parts.checked.task.metrics().first().copied();
    let name = name.unwrap_or("score");
    let value = parts.scored.scores.get(name).copied().unwrap_or(f64::NAN);
    let last = parts.plan.stages.last();
    let rest = parts
        .scored
        .scores
        .iter()
        .filter(|(other, _)| other.as_str() != name)
        .map(|(name, value)| (name.clone(), *value))
        .collect();
    Headline {
        label: format!("{} on {data}", Metric::of(name).title()),
        value: Metric::of(name).format(value),
        note: format!(
            "after {}; {}; {} items",
            last.map_or("no stage", |stage| stage.config.name.as_str()),
            scores_text(&rest),
            parts.scored.items.len(),
        ),
        printed: (parts.scored.printed.iter())
            .map(|printed| printed.line.clone())
            .collect(),
    }
}

/// Every k-th of the items, so that the choice is spread over the data set and always the same.
fn spread<T>(items: Vec<T>, count: usize) -> Vec<T> {
    let step = items.len().div_ceil(count.max(1)).max(1);
    items.into_iter().step_by(step).take(count).collect()
}

/// Symbols of a source whose heat map shows something and fits.
const EASY: std::ops::RangeInclusive<usize> = 7..=14;

/// Heat maps of sources of an easy length; where there is none of it, of those nearest to the median
/// length.
fn attention(outputs: &[&SequenceOutput]) -> Vec<Attention> {
    let attended = outputs.iter().copied().filter(|o| !o.alignment.is_empty());
    let attended: Vec<&SequenceOutput> = attended.collect();
    let easy = |output: &&SequenceOutput| EASY.contains(&output.source.len());
    let mut fitting: Vec<&SequenceOutput> = attended.iter().copied().filter(easy).collect();
    if fitting.is_empty() {
        let mut lengths: Vec<usize> = attended.iter().map(|o| o.source.len()).collect();
        lengths.sort_unstable();
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        fitting = attended;
        fitting.sort_by_key(|output| output.source.len().abs_diff(median)); // stable
        fitting.truncate(MAPS);
    }
    spread(fitting, MAPS)
        .into_iter()
        .map(|output| {
            let SequenceOutput { key, source, .. } = output;
            attention_map(key, source, &output.output, &output.alignment)
        })
        .collect()
}

/// Where one output's attention went. A row more than there are symbols is that of the end.
pub(crate) fn attention_map(
    title: &str,
    source: &[String],
    output: &[String],
    alignment: &[Vec<f32>],
) -> Attention {
    let mut said = output.to_vec();
    said.resize(alignment.len(), "<eos>".to_owned());
    let row = |weights: &Vec<f32>| {
        let valid = weights.iter().take(source.len());
        valid.map(|&w| f64::from(w)).collect()
    };
    Attention {
        title: title.to_owned(),
        inputs: source.to_vec(),
        outputs: said,
        weights: alignment.iter().map(row).collect(),
    }
}

/// A token sequence next to its nearest reference.
fn sequence(output: &SequenceOutput) -> SequenceSample {
    sample(
        &output.key,
        output.output.clone(),
        output.references.iter().cloned(),
    )
}

/// A text next to its nearest reference, word by word; text without spaces character by character.
fn text(output: &TextOutput) -> SequenceSample {
    let words = |text: &String| -> Vec<String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.len() > 1 || text.is_ascii() {
            return words;
        }
        text.chars().map(String::from).collect()
    };
    let references = output.references.iter().map(words);
    sample(&output.sequence.key, words(&output.output), references)
}

fn sample(
    input: &str,
    predicted: Vec<String>,
    references: impl Iterator<Item = Vec<String>>,
) -> SequenceSample {
    let errors = |reference: &Vec<String>| {
        ItemErrors::best(std::slice::from_ref(reference), &predicted).errors
    };
    SequenceSample {
        input: input.to_owned(),
        reference: references.min_by_key(errors).unwrap_or_default(),
        predicted,
    }
}

/// A driven episode in words.
fn episode(output: &EpisodeOutput) -> EpisodeSample {
    let score = &output.score;
    EpisodeSample {
        name: output.key.clone(),
        ending: match score.ending {
            Ending::Goal => "goal",
            Ending::Collision { at_fault: true } => "collision, at fault",
            Ending::Collision { at_fault: false } => "collision, not at fault",
            Ending::LeftRoad => "left the road",
            Ending::TimeLimit => "out of time",
        }
        .to_owned(),
        success: score.success,
        driving_score: score.driving_score,
        completion: score.completion,
        infractions: (score.infractions.iter())
            .map(|infraction| match infraction {
                Infraction::PedestrianCollision => "hit a pedestrian",
                Infraction::VehicleCollision => "hit a vehicle",
                Infraction::StaticCollision => "hit an obstacle",
                Infraction::RedLight => "red light",
                Infraction::OffRoad => "off the road",
            })
            .map(str::to_owned)
            .collect(),
        seconds: score.seconds,
        interventions: output.interventions.braking() as usize,
        film: output.film.clone(),
    }
}

/// As many wrong outputs as right ones.
fn chosen(samples: Vec<SequenceSample>) -> Vec<SequenceSample> {
    let (right, wrong): (Vec<_>, Vec<_>) = samples
        .into_iter()
        .partition(|sample| sample.predicted == sample.reference);
    let mut shown = spread(wrong, SHOWN / 2);
    shown.extend(spread(right, SHOWN / 2));
    shown
}

/// As many wrong images as right ones; samples that cannot be read again are left out.
fn images(names: &[String], items: &[ClassOutput], source: &dyn Source) -> Vec<ImageSample> {
    let (right, wrong): (Vec<&ClassOutput>, Vec<&ClassOutput>) =
        items.iter().partition(|item| item.predicted == item.target);
    let mut shown = spread(wrong, SHOWN);
    shown.extend(spread(right, SHOWN));
    shown
        .into_iter()
        .filter_map(|item| {
            let sample = source.sample(item.index).ok()?;
            let (shape, data) = sample.fields.values().find_map(|field| match field {
                Field::Dense { shape, data } if shape.len() == 3 => Some((shape, data)),
                _ => None,
            })?;
            Some(ImageSample {
                size: (shape[1] as u32, shape[0] as u32),
                channels: shape[2],
                pixels: data
                    .iter()
                    .map(|x| (x.clamp(0.0, 1.0) * 255.0).round() as u8)
                    .collect(),
                truth: names.get(item.target).cloned().unwrap_or_default(),
                probabilities: names
                    .iter()
                    .cloned()
                    .zip(item.probabilities.iter().map(|&p| f64::from(p)))
                    .collect(),
            })
        })
        .collect()
}

fn confusion(names: &[String], items: &[ClassOutput]) -> ClassResults {
    let mut counts = vec![vec![0; names.len()]; names.len()];
    for item in items {
        counts[item.target][item.predicted] += 1;
    }
    ClassResults {
        classes: names.to_vec(),
        confusion: counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(length: usize) -> SequenceOutput {
        SequenceOutput {
            key: length.to_string(),
            source: vec!["x".to_owned(); length],
            output: vec!["y".to_owned()],
            references: Vec::new(),
            log_probability: 0.0,
            alignment: vec![vec![1.0 / length as f32; length]],
        }
    }

    fn mapped(lengths: &[usize]) -> Vec<String> {
        let outputs: Vec<SequenceOutput> = lengths.iter().map(|&length| output(length)).collect();
        let maps = attention(&outputs.iter().collect::<Vec<_>>());
        maps.into_iter().map(|map| map.title).collect()
    }

    #[test]
    fn heat_maps_are_of_easy_lengths_or_near_the_median() {
        assert_eq!(mapped(&[3, 9, 40, 12]), ["9", "12"]);
        let long = [60, 20, 31, 90, 30, 33, 28, 4, 29];
        assert_eq!(mapped(&long), ["30", "31", "29", "28", "33", "20"]);
        assert_eq!(mapped(&[2]), ["2"]);
        let mut none = output(9);
        none.alignment.clear();
        assert!(attention(&[&none]).is_empty());
    }
}
