//! Driven episodes: films of the first ones, and how each one ended.

use super::page::{Section, Table, badge, figure, plain, scroll};
use crate::markup::{Element, el};
use crate::number;
use base64::Engine;

/// One driven episode.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpisodeSample {
    /// Its family of layouts and its seed.
    pub name: String,
    /// How it ended, in words.
    pub ending: String,
    /// Whether the goal was reached without an infraction that counts.
    pub success: bool,
    /// Shares from 0 to 1.
    pub driving_score: f64,
    pub completion: f64,
    /// What was done wrong, in words.
    pub infractions: Vec<String>,
    pub seconds: f64,
    /// Steps on which the safety layer braked, or would have.
    pub interventions: usize,
    /// An animated PNG.
    pub film: Option<Vec<u8>>,
}

pub(super) fn section(episodes: &[EpisodeSample]) -> Option<Section> {
    if episodes.is_empty() {
        return None;
    }
    let films: Vec<Element> = episodes.iter().filter_map(film).collect();
    let mut table = Table::new([
        "Episode",
        "Ended",
        "Driving score",
        "Completion",
        "Seconds",
        "Infractions",
        "Safety layer braked",
    ])
    .text_columns(&[1, 5]);
    for episode in episodes {
        let infractions = match episode.infractions.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        table.row(vec![
            plain(&episode.name),
            badge(&episode.ending, episode.success),
            plain(number::percent(episode.driving_score, 0)),
            plain(number::percent(episode.completion, 0)),
            plain(number::significant(episode.seconds, 3)),
            plain(infractions),
            plain(format!("{} steps", episode.interventions)),
        ]);
    }
    let lead = "Closed loop: the system's plans are driven, and the world answers.";
    let mut section = Section::new("episodes", "Driven episodes").lead(lead);
    if !films.is_empty() {
        section = section.with(el("div").set("class", "films").all(films));
    }
    Some(section.with(scroll(table.build())))
}

fn film(episode: &EpisodeSample) -> Option<Element> {
    let png = base64::engine::general_purpose::STANDARD.encode(episode.film.as_ref()?);
    let picture = el("img")
        .set("src", format!("data:image/png;base64,{png}"))
        .set("alt", format!("the drive of {}", episode.name));
    let caption = format!("{}: {}", episode.name, episode.ending);
    Some(figure(caption, picture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_and_endings_are_shown() {
        assert!(section(&[]).is_none());
        let driven = EpisodeSample {
            name: "curve-3 seed 4".to_owned(),
            ending: "goal".to_owned(),
            success: true,
            driving_score: 0.5,
            completion: 1.0,
            infractions: vec!["red light".to_owned()],
            seconds: 12.3,
            interventions: 4,
            film: Some(b"png".to_vec()),
        };
        let without = EpisodeSample {
            film: None,
            ..driven.clone()
        };
        let html =
            super::super::page::page("t", el("p"), vec![section(&[driven, without]).unwrap()]);
        assert_eq!(html.matches("<img").count(), 1);
        assert_eq!(html.matches("red light").count(), 2);
        assert!(html.contains("data:image/png;base64,cG5n"), "{html}");
        assert!(html.contains("50 %"), "{html}");
    }
}
