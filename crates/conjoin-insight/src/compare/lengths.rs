//! Scores by the length of what was read: a model that squeezes its source into one vector shows here
//! (Cho, van Merriënboer, Bahdanau, Bengio 2014, figure 4; Bahdanau, Cho, Bengio 2015, figure 2).

use super::{ArmResult, Outcomes};
use crate::statistics::mean;
use serde::{Deserialize, Serialize};

/// Groups at most, and items a group has at least.
const GROUPS: u32 = 8;
const FEWEST: usize = 20;

/// One metric by length, of every arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthTable {
    pub metric: String,
    pub groups: Vec<LengthGroup>,
    /// Every arm with its score in each group, on average over its seeds; absent where there is
    /// nothing to score.
    pub arms: Vec<(String, Vec<Option<f64>>)>,
}

/// Items whose sources are about as long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthGroup {
    /// The shortest and the longest length in it.
    pub from: u32,
    pub to: u32,
    pub items: usize,
    pub mean: f64,
}

impl LengthGroup {
    /// `11–20`, or one number.
    pub fn label(&self) -> String {
        if self.from == self.to {
            self.from.to_string()
        } else {
            format!("{}–{}", self.from, self.to)
        }
    }
}

/// All metrics by length; nothing where the items have no lengths, or there is one group alone.
pub fn by_length(results: &[ArmResult]) -> Vec<LengthTable> {
    let Some(first) = results.first() else {
        return Vec::new();
    };
    let members = group(&first.lengths);
    if members.len() < 2 {
        return Vec::new();
    }
    let mut arms: Vec<&str> = Vec::new();
    for result in results {
        if !arms.contains(&result.arm.as_str()) {
            arms.push(&result.arm);
        }
    }
    let groups: Vec<LengthGroup> = members
        .iter()
        .map(|m| describe(m, &first.lengths))
        .collect();
    let table = |metric: &String| LengthTable {
        metric: metric.clone(),
        groups: groups.clone(),
        arms: arms
            .iter()
            .map(|&arm| {
                let seeds = results.iter().filter(|result| result.arm == arm);
                let outcomes: Vec<&Outcomes> = seeds
                    .filter_map(|result| result.metrics.get(metric))
                    .collect();
                (arm.to_owned(), scores(&outcomes, &members))
            })
            .collect(),
    };
    first.metrics.keys().map(table).collect()
}

/// Mean over seeds of the score in each group.
fn scores(seeds: &[&Outcomes], members: &[Vec<usize>]) -> Vec<Option<f64>> {
    let items: Vec<_> = seeds.iter().map(|outcomes| outcomes.items()).collect();
    members
        .iter()
        .map(|group| {
            let scores: Option<Vec<f64>> = items
                .iter()
                .map(|seed| seed.score_of(group.iter().copied()))
                .collect();
            mean(&scores?)
        })
        .collect()
}

/// Items by length, in steps of a round number such that nine tenths of the items fill the groups;
/// the last group takes what is longer, and a group with few items joins the one below.
fn group(lengths: &[u32]) -> Vec<Vec<usize>> {
    let mut ascending = lengths.to_vec();
    ascending.sort_unstable();
    let Some(&long) = ascending.get(ascending.len() * 9 / 10) else {
        return Vec::new();
    };
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500]
        .into_iter()
        .find(|step| long <= step * (GROUPS - 1))
        .unwrap_or(1000);
    let mut groups = vec![Vec::new(); GROUPS as usize];
    for (item, &length) in lengths.iter().enumerate() {
        let place = length.saturating_sub(1) / step;
        groups[place.min(GROUPS - 1) as usize].push(item);
    }
    let mut joined: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        match joined.last_mut() {
            Some(below) if group.len() < FEWEST || below.len() < FEWEST => below.extend(group),
            _ => joined.push(group),
        }
    }
    joined.retain(|group| !group.is_empty());
    joined
}

fn describe(group: &[usize], lengths: &[u32]) -> LengthGroup {
    let each = || group.iter().map(|&item| lengths[item]);
    let sum: f64 = each().map(f64::from).sum();
    LengthGroup {
        from: each().min().unwrap_or(0),
        to: each().max().unwrap_or(0),
        items: group.len(),
        mean: sum / group.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str, lengths: &[u32], wrong: impl Fn(u32) -> bool) -> ArmResult {
        let correct = lengths.iter().map(|&length| !wrong(length)).collect();
        ArmResult {
            arm: name.to_owned(),
            seed: 1,
            metrics: [("accuracy".to_owned(), Outcomes::Correct(correct))].into(),
            lengths: lengths.to_vec(),
            scored: String::new(),
        }
    }

    #[test]
    fn what_fails_on_long_items_is_seen_there() {
        let lengths: Vec<u32> = (0..700).map(|i| i % 70 + 1).collect();
        let tables = by_length(&[
            arm("short", &lengths, |length| length > 40),
            arm("all", &lengths, |_| false),
        ]);
        assert_eq!(tables.len(), 1);
        let table = &tables[0];
        let labels: Vec<String> = table.groups.iter().map(LengthGroup::label).collect();
        assert_eq!(
            labels,
            ["1–10", "11–20", "21–30", "31–40", "41–50", "51–60", "61–70"]
        );
        assert_eq!(table.groups.iter().map(|g| g.items).sum::<usize>(), 700);
        let (name, scores) = &table.arms[0];
        assert_eq!(name, "short");
        assert_eq!(scores[..4], [Some(1.0); 4]);
        assert_eq!(scores[4..], [Some(0.0); 3]);
        assert_eq!(table.arms[1].1, [Some(1.0); 7]);
    }

    #[test]
    fn few_items_join_their_neighbours() {
        let mut lengths = vec![3; 100];
        lengths.extend([4, 5, 9, 90]);
        assert_eq!(
            group(&lengths).iter().map(Vec::len).collect::<Vec<_>>(),
            [104]
        );
        assert!(by_length(&[arm("a", &lengths, |_| false)]).is_empty());
        assert!(by_length(&[arm("a", &[], |_| false)]).is_empty());
        assert!(by_length(&[]).is_empty());
    }
}
