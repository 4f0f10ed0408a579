//! Drivers compared: the same episodes driven closed loop, as a row a family and as plain results an
//! episode, from which paired tests are made.

use super::drive::{Driver, drive};
use super::guard::Interventions;
use super::map::Family;
use super::scene::EpisodeId;
use super::score::SubScores;
use super::score::closed_loop::{Ending, EpisodeScore, Infraction};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// One episode of one driver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeResult {
    pub episode: EpisodeId,
    pub score: EpisodeScore,
    /// What the safety layer did, where there was one.
    pub interventions: Option<Interventions>,
}

/// Means over episodes; shares lie between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The family, or `all`.
    pub name: String,
    pub episodes: usize,
    pub completion: f64,
    pub success: f64,
    pub driving_score: f64,
    /// Share of episodes that ended in a collision that was the ego's fault, and in one that was not.
    pub at_fault: f64,
    pub hit: f64,
    /// Share of episodes that ran out of time.
    pub late: f64,
    /// All infractions, and each kind, by the kilometres of all episodes together.
    pub infractions_per_km: f64,
    pub per_km: BTreeMap<Infraction, f64>,
    /// NAVSIM's sub-scores, over the episodes that have them.
    pub pdm: Option<SubScores>,
    /// Seconds driven an episode.
    pub seconds: f64,
    /// Share of steps on which the safety layer braked, and times it took over by kilometre.
    pub braked: Option<f64>,
    pub takeovers_per_km: Option<f64>,
    /// What the safety layer did, by cause.
    pub layer: Option<Interventions>,
}

impl Row {
    /// Sums up episodes.
    pub fn of<'a>(name: &str, results: impl Iterator<Item = &'a EpisodeResult>) -> Self {
        let results: Vec<&EpisodeResult> = results.collect();
        let count = results.len().max(1) as f64;
        let mean = |f: &dyn Fn(&EpisodeScore) -> f64| {
            results.iter().map(|r| f(&r.score)).sum::<f64>() / count
        };
        let share = |f: &dyn Fn(&EpisodeScore) -> bool| mean(&|score| f64::from(f(score)));
        let km = (mean(&|score| score.metres) * count / 1000.0).max(1e-3);
        let mut per_km = BTreeMap::new();
        for infraction in results.iter().flat_map(|r| &r.score.infractions) {
            *per_km.entry(*infraction).or_insert(0.0) += 1.0 / km;
        }
        let pdm: Vec<SubScores> = results.iter().filter_map(|r| r.score.pdm).collect();
        let layers = results.iter().filter_map(|r| r.interventions);
        let layer = layers.reduce(Interventions::and);
        Self {
            name: name.to_owned(),
            episodes: results.len(),
            completion: mean(&|score| score.completion),
            success: share(&|score| score.success),
            driving_score: mean(&|score| score.driving_score),
            at_fault: share(&|score| score.ending == Ending::Collision { at_fault: true }),
            hit: share(&|score| score.ending == Ending::Collision { at_fault: false }),
            late: share(&|score| score.ending == Ending::TimeLimit),
            // Plain addition: the sum of nothing would be -0.
            infractions_per_km: per_km.values().fold(0.0, |sum, each| sum + each),
            per_km,
            pdm: super::drive::mean(&pdm),
            seconds: mean(&|score| score.seconds),
            braked: layer.map(|layer| layer.share()),
            takeovers_per_km: layer.map(|layer| layer.times as f64 / km),
            layer,
        }
    }
}

/// A driver's results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// A row a family, and `all` as the last one.
    pub rows: Vec<Row>,
    /// In the order of the episodes that were asked for.
    pub results: Vec<EpisodeResult>,
}

impl Table {
    /// Sums up results of episodes, however they were driven.
    pub fn of(results: Vec<EpisodeResult>) -> Self {
        let mut families: Vec<Family> = results.iter().map(|r| r.episode.family).collect();
        families.sort();
        families.dedup();
        let mut rows: Vec<Row> = families
            .into_iter()
            .map(|family| {
                let own = results.iter().filter(|r| r.episode.family == family);
                Row::of(&family.to_string(), own)
            })
            .collect();
        rows.push(Row::of("all", results.iter()));
        Self { rows, results }
    }

    /// The row over all episodes.
    pub fn all(&self) -> Option<&Row> {
        self.rows.last()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "family        episodes  completion  success  score  at fault   hit  late  per km     NC    DAC     EP    TTC      C   PDMS  braked"
        )?;
        for row in &self.rows {
            write!(
                f,
                "{:<13} {:>8} {:>11.3} {:>7.1}% {:>6.3} {:>8.1}% {:>4.0}% {:>4.0}% {:>7.2}",
                row.name,
                row.episodes,
                row.completion,
                100.0 * row.success,
                row.driving_score,
                100.0 * row.at_fault,
                100.0 * row.hit,
                100.0 * row.late,
                row.infractions_per_km,
            )?;
            match row.pdm {
                Some(p) => {
                    for value in [p.nc, p.dac, p.ep, p.ttc, p.c, p.pdms] {
                        write!(f, " {value:>6.3}")?;
                    }
                }
                None => write!(f, "{}", "      -".repeat(6))?,
            }
            match row.braked {
                Some(share) => writeln!(f, " {:>6.2}%", 100.0 * share)?,
                None => writeln!(f, "       -")?,
            }
        }
        Ok(())
    }
}

/// Lets a driver drive episodes, several at a time, each with a driver made for it; with `stretches`,
/// NAVSIM's sub-scores too.
pub fn table<D: Driver>(
    episodes: &[EpisodeId],
    stretches: bool,
    driver: impl Fn(EpisodeId) -> D + Sync,
) -> Table {
    let results = episodes
        .par_iter()
        .map(|&episode| {
            let mut driver = driver(episode);
            EpisodeResult {
                episode,
                score: drive(episode, &mut driver, stretches),
                interventions: driver.interventions(),
            }
        })
        .collect();
    Table::of(results)
}

/// The first episodes of each of some families.
pub fn episodes(families: impl Iterator<Item = Family>, each: u64) -> Vec<EpisodeId> {
    families
        .flat_map(|family| (0..each).map(move |seed| EpisodeId { family, seed }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::baseline::{constant_velocity, follow_lane};
    use crate::driving::guard::{Guard, GuardConfig, Guarded};
    use crate::driving::map::Split;

    #[test]
    fn baselines_are_driven_and_summed_up() {
        let episodes = episodes(Family::of(Split::HeldOut), 2);
        let follow = table(&episodes, true, |_| follow_lane);
        let blind = table(&episodes, false, |_| constant_velocity);
        assert_eq!((follow.rows.len(), follow.results.len()), (6, 10));
        let order: Vec<EpisodeId> = follow.results.iter().map(|r| r.episode).collect();
        assert_eq!(order, episodes);
        let (a, b) = (follow.all().unwrap(), blind.all().unwrap());
        assert!(a.completion > b.completion && a.success >= b.success);
        assert!(a.driving_score <= a.completion && a.driving_score > 0.3);
        let pdm = a.pdm.unwrap();
        assert!(pdm.pdms > 0.3 && pdm.pdms <= 1.0 && b.pdm.is_none());
        let sum: f64 = follow.results.iter().map(|r| r.score.completion).sum();
        assert!((a.completion - sum / 10.0).abs() < 1e-12);
        assert!(b.infractions_per_km > 0.0 && b.braked.is_none());
        assert_eq!(follow.to_string().lines().count(), 7);
    }

    #[test]
    fn with_the_layer_a_blind_driver_hits_less() {
        let episodes = episodes(Family::of(Split::HeldOut), 3);
        let blind = table(&episodes, false, |_| constant_velocity);
        let guarded = table(&episodes, false, |_| Guarded {
            driver: constant_velocity,
            guard: Guard::new(GuardConfig::default()),
        });
        let (a, b) = (blind.all().unwrap(), guarded.all().unwrap());
        assert!(b.at_fault < a.at_fault, "{} {}", b.at_fault, a.at_fault);
        assert!(b.braked.unwrap() > 0.0 && b.takeovers_per_km.unwrap() > 0.0);
    }
}
