//! The report of a run: one HTML file without scripts and without any request to the outside.
//!
//! A [`Report`] is filled with whatever a run has; a section appears when there is something to
//! show in it.

mod attention;
mod classes;
mod comparison;
mod curves;
mod episodes;
mod header;
mod images;
mod interfaces;
mod lengths;
pub(crate) mod page;
mod runs;
mod scores;
mod sequences;
mod timing;

pub use attention::Attention;
pub use classes::ClassResults;
pub use episodes::EpisodeSample;
pub use header::Headline;
pub use images::ImageSample;
pub use runs::ComparedRun;
pub use scores::StageScores;
pub use sequences::SequenceSample;

use crate::compare::{Comparison, LengthTable};
use crate::graph_drawing::{DrawError, Drawing};
use crate::run_log::RunLog;
use page::{Section, code_block, folded};

/// Why a report cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("image {index}: {message}")]
    Image { index: usize, message: String },
    #[error("the graph: {0}")]
    Graph(#[from] DrawError),
}

/// What a report can show.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Name of the run; that of the log where it is empty.
    pub name: String,
    /// When the run ended, as text.
    pub date: String,
    /// What `metrics.jsonl` holds: curves, interfaces, time, gates, warnings.
    pub log: RunLog,
    /// The scores that matter, in large type.
    pub headlines: Vec<Headline>,
    /// Scores after each stage.
    pub stage_scores: Option<StageScores>,
    /// Arms with intervals.
    pub comparison: Option<Comparison>,
    /// The runs behind the comparison.
    pub runs: Vec<ComparedRun>,
    /// Scores by the length of the source, of this run or of the arms.
    pub lengths: Vec<LengthTable>,
    pub graph: Option<Drawing>,
    /// Where the system looked, for some words.
    pub attention: Vec<Attention>,
    /// Right and wrong predictions of sequences.
    pub sequences: Vec<SequenceSample>,
    /// Right and wrong predictions of classes.
    pub images: Vec<ImageSample>,
    /// Episodes that were driven.
    pub episodes: Vec<EpisodeSample>,
    /// Which class was taken for which.
    pub classes: Option<ClassResults>,
    /// The resolved recipe, as TOML.
    pub recipe: String,
    /// The command that makes this run again.
    pub command: String,
}

impl Report {
    /// The report as one HTML file.
    pub fn html(&self) -> Result<String, ReportError> {
        let graph = match &self.graph {
            Some(drawing) => Some(graph_section(drawing)?),
            None => None,
        };
        let images = images::section(&self.images)?;
        let sections = [
            header::warnings(&self.log),
            self.stage_scores
                .as_ref()
                .and_then(|scores| scores::section(scores, &self.log)),
            self.comparison.as_ref().and_then(comparison::section),
            lengths::section(&self.lengths),
            runs::section(&self.runs),
            graph,
            curves::losses(&self.log),
            curves::evaluations(&self.log),
            sequences::section(&self.sequences),
            attention::section(&self.attention),
            images,
            episodes::section(&self.episodes),
            self.classes.as_ref().and_then(classes::section),
            interfaces::section(&self.log),
            scores::gates(&self.log),
            timing::section(&self.log),
            self.reproduce(),
        ];
        let sections: Vec<Section> = sections.into_iter().flatten().collect();
        Ok(page::page(self.title(), header::header(self), sections))
    }

    fn title(&self) -> &str {
        match (self.name.as_str(), self.log.name.as_str()) {
            ("", "") => "run",
            ("", name) | (name, _) => name,
        }
    }

    fn reproduce(&self) -> Option<Section> {
        if self.recipe.is_empty() && self.command.is_empty() {
            return None;
        }
        let mut section = Section::new("reproduce", "Run it again");
        if !self.command.is_empty() {
            section = section.with(code_block(&self.command));
        }
        if !self.recipe.is_empty() {
            section = section.with(folded("The recipe", code_block(&self.recipe)));
        }
        Some(section)
    }
}

fn graph_section(drawing: &Drawing) -> Result<Section, DrawError> {
    Ok(Section::new("graph", "The graph")
        .lead("Modules with their numbers of weights, and what travels on each wire.")
        .with(page::scroll(drawing.element()?)))
}
