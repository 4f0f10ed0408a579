//! Beam search: the most probable sequences among those that a fixed number of prefixes leads to.
//!
//! Ranking and stopping are those of Hugging Face's `generate` (`golden/beam.py` compares), with the
//! normalisers and the coverage penalty of Wu et al. 2016 as options.

use super::guard::Guard;
use super::prefix::Tree;
use super::{
    DecodeError, DecoderSetup, EarlyStopping, Hypothesis, SearchConfig, Session, StepOutput,
};
use burn::tensor::Device;
use conjoin_graph::{Graph, Route, Value};
use std::collections::BTreeMap;

/// How wide and by what a beam search ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamConfig {
    /// Prefixes kept a row; at least 1.
    pub width: usize,
    /// A finished hypothesis is ranked by its log-probability divided by what
    /// `search.length_normaliser` makes of its length, the end symbol counted, and this.
    pub length_penalty: f64,
    pub search: SearchConfig,
}

impl BeamConfig {
    fn rank(&self, log_probability: f64, length: usize) -> f64 {
        let normaliser = self.search.length_normaliser;
        log_probability / normaliser.divisor(length, self.length_penalty)
    }

    /// The rank of a hypothesis whose attention adds up to `coverage`, of which `valid` positions
    /// count: `+ beta * sum_i log(min(sum_j a_ij, 1))`.
    fn score(&self, log_probability: f64, length: usize, coverage: &[f32], valid: usize) -> f64 {
        let rank = self.rank(log_probability, length);
        if self.search.coverage_penalty == 0.0 {
            return rank;
        }
        // A position that got nothing at all costs much, but does not make all scores equal.
        let covered = |&sum: &f32| f64::from(sum.clamp(f32::MIN_POSITIVE, 1.0)).ln();
        let covered: f64 = coverage.iter().take(valid).map(covered).sum();
        rank + self.search.coverage_penalty * covered
    }
}

/// A prefix that may still be extended.
struct Live {
    prefix: Option<usize>,
    log_probability: f64,
    /// Attention to each position of the source, summed; empty where nobody asks.
    coverage: Vec<f32>,
}

/// The prefixes and finished hypotheses of one row of the batch.
struct Row {
    tree: Tree,
    live: Vec<Live>,
    /// Best first; behind them, in a closed row, prefixes that never ended.
    finished: Vec<Finished>,
    /// Valid positions of the source, for the coverage penalty.
    valid: usize,
}

#[derive(Clone, Copy)]
struct Finished {
    score: f64,
    log_probability: f64,
    prefix: Option<usize>,
    /// Whether it ends with the end symbol.
    ended: bool,
}

/// A continuation: rank by probability, from which live prefix, with which token.
#[derive(Clone, Copy)]
struct Candidate {
    log_probability: f64,
    parent: usize,
    token: i64,
}

/// Decodes every row of a batch; returns for each row its hypotheses, best first (at most
/// `width`, at least one). Where too few ended, the best of those that did not stand behind them.
///
/// # Errors
/// The graph fails.
pub fn beam_search(
    graph: &Graph,
    route: &Route,
    columns: &BTreeMap<String, Value>,
    rows: usize,
    setup: &DecoderSetup,
    config: &BeamConfig,
    device: &Device,
) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut session = Session::begin(graph, route, columns, rows, setup, device)?;
    let lengths = session.source_lengths();
    let mut beams: Vec<Row> = (0..rows)
        .map(|row| Row {
            tree: Tree::default(),
            live: vec![Live {
                prefix: None,
                log_probability: 0.0,
                coverage: Vec::new(),
            }],
            finished: Vec::new(),
            valid: lengths.as_ref().map_or(usize::MAX, |lengths| lengths[row]),
        })
        .collect();
    let guard = Guard::new(&config.search, setup.eos);
    for position in 0..setup.max_length {
        let last: Vec<i64> = beams
            .iter()
            .flat_map(|beam| beam.live.iter().map(|live| beam.tree.token(live.prefix)))
            .map(|token| token.unwrap_or(setup.bos))
            .collect();
        let mut output = session.step(&last)?;
        let mut parents = Vec::new();
        let mut first = 0;
        for beam in &mut beams {
            let count = beam.live.len();
            if count == 0 {
                continue;
            }
            let kept = beam.advance(&mut output, first, position, setup, guard, config);
            if beam.is_settled(config, position + 1, setup.max_length) {
                beam.close(config, position + 1);
            } else {
                parents.extend(kept.into_iter().map(|parent| first + parent));
            }
            first += count;
        }
        if parents.is_empty() {
            break;
        }
        session.select_rows(&parents);
    }
    Ok(beams
        .into_iter()
        .map(|mut beam| {
            beam.close(config, setup.max_length);
            beam.hypotheses(config.width)
        })
        .collect())
}

impl Row {
    /// Extends the live prefixes by one token; returns the parent of each new prefix. Where nothing
    /// at all may follow, the prefixes stay and the row is done.
    fn advance(
        &mut self,
        output: &mut StepOutput,
        first: usize,
        position: usize,
        setup: &DecoderSetup,
        guard: Guard,
        config: &BeamConfig,
    ) -> Vec<usize> {
        if guard.acts(position) {
            for (index, live) in self.live.iter().enumerate() {
                let tokens = if guard.reads_tokens() {
                    self.tree.tokens(live.prefix)
                } else {
                    Vec::new()
                };
                guard.apply(output.scores_mut(first + index), position, &tokens);
            }
        }
        // Twice the width, so that enough prefixes stay when all of the best ones end here.
        let candidates = self.best_candidates(output, first, 2 * config.width);
        if candidates.is_empty() {
            self.close(config, position);
            return Vec::new();
        }
        let counts_coverage = config.search.coverage_penalty != 0.0;
        let mut live = Vec::with_capacity(config.width);
        let mut parents = Vec::with_capacity(config.width);
        for (place, candidate) in candidates.into_iter().enumerate() {
            if live.len() == config.width {
                break;
            }
            let ends = candidate.token == setup.eos;
            // An ending outside the best `width` would crowd out better ones found later.
            if ends && place >= config.width {
                continue;
            }
            let before = &self.live[candidate.parent];
            let weights = output.alignment(first + candidate.parent);
            let mut coverage = Vec::new();
            if let (true, Some(weights)) = (counts_coverage, weights) {
                coverage = added(&before.coverage, weights);
            }
            let prefix = Some(self.tree.push(before.prefix, candidate.token, weights));
            let log_probability = candidate.log_probability;
            if ends {
                let score = config.score(log_probability, position + 1, &coverage, self.valid);
                self.finished.push(Finished {
                    score,
                    log_probability,
                    prefix,
                    ended: true,
                });
            } else {
                live.push(Live {
                    prefix,
                    log_probability,
                    coverage,
                });
                parents.push(candidate.parent);
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.live = live;
        parents
    }

    /// The `count` most probable continuations, best first; earlier prefixes and smaller tokens first
    /// among equals.
    fn best_candidates(&self, output: &StepOutput, first: usize, count: usize) -> Vec<Candidate> {
        let mut best: Vec<Candidate> = Vec::with_capacity(count + 1);
        for (parent, live) in self.live.iter().enumerate() {
            for (token, &score) in output.scores(first + parent).iter().enumerate() {
                let log_probability = live.log_probability + f64::from(score);
                let enough = best.len() == count;
                if !score.is_finite()
                    || (enough && log_probability <= best[count - 1].log_probability)
                {
                    continue;
                }
                let place = best.partition_point(|c| c.log_probability >= log_probability);
                let candidate = Candidate {
                    log_probability,
                    parent,
                    token: token as i64,
                };
                best.insert(place, candidate);
                best.truncate(count);
            }
        }
        best
    }

    /// Whether no live prefix can still enter the list of results.
    fn is_settled(&self, config: &BeamConfig, length: usize, max_length: usize) -> bool {
        let Some(best_live) = self.live.first() else {
            return true;
        };
        let Some(worst) = self.finished.get(config.width.max(1) - 1) else {
            return false;
        };
        let reachable = match config.search.early_stopping {
            EarlyStopping::First => return true,
            EarlyStopping::Heuristic => length,
            // A log-probability only falls; dividing by the longest length is the most it can gain.
            EarlyStopping::Never if config.length_penalty > 0.0 => max_length,
            EarlyStopping::Never => length + 1,
        };
        // Full coverage costs nothing, so that a prefix may hope for it.
        config.rank(best_live.log_probability, reachable) <= worst.score
    }

    /// Ends the row: prefixes that never ended, of `length` tokens, fill the list up. They stand behind
    /// what ended, whatever their score: they are no whole outputs.
    fn close(&mut self, config: &BeamConfig, length: usize) {
        let live = std::mem::take(&mut self.live).into_iter();
        let unfinished = live.map(|live| Finished {
            score: config.score(live.log_probability, length, &live.coverage, self.valid),
            log_probability: live.log_probability,
            prefix: live.prefix,
            ended: false,
        });
        let mut unfinished: Vec<Finished> = unfinished.collect();
        unfinished.sort_by(|a, b| b.score.total_cmp(&a.score));
        let room = config.width.max(1).saturating_sub(self.finished.len());
        self.finished.extend(unfinished.into_iter().take(room));
    }

    fn hypotheses(&self, width: usize) -> Vec<Hypothesis> {
        let best = self.finished.iter().take(width.max(1));
        best.map(|f| {
            let tree = &self.tree;
            tree.hypothesis(f.prefix, f.log_probability, f.score, f.ended)
        })
        .collect()
    }
}

/// The sum of attention weights so far and new ones.
fn added(before: &[f32], weights: &[f32]) -> Vec<f32> {
    let so_far = before.iter().copied().chain(std::iter::repeat(0.0));
    weights.iter().zip(so_far).map(|(w, s)| w + s).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::LengthNormaliser;
    use conjoin_graph::PortRef;

    fn config(penalty: f64, search: SearchConfig) -> BeamConfig {
        BeamConfig {
            width: 2,
            length_penalty: penalty,
            search,
        }
    }

    /// Wu et al. 2016, equation 14, worked out by hand for two source positions.
    #[test]
    fn coverage_counts_the_valid_positions_up_to_one() {
        let search = SearchConfig {
            length_normaliser: LengthNormaliser::Gnmt,
            coverage_penalty: 0.2,
            ..SearchConfig::default()
        };
        let config = config(1.0, search);
        let expected = -3.0 / 2.0 + 0.2 * (0.5f64.ln() + 0.0);
        let found = config.score(-3.0, 7, &[0.5, 1.5, 0.0], 2);
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    fn live(log_probability: f64) -> Live {
        Live {
            prefix: None,
            log_probability,
            coverage: Vec::new(),
        }
    }

    fn finished(score: f64) -> Finished {
        Finished {
            score,
            log_probability: 2.0 * score,
            prefix: None,
            ended: true,
        }
    }

    /// The two best hypotheses of a decoder that is given by hand: after `<bos>` (1) it says 3 or 4, then
    /// `<eos>` (2); 3 is more probable, but whoever said it looks at the first of two source positions only.
    fn searched(penalty: f64) -> Vec<(Vec<i64>, f64)> {
        let search = SearchConfig {
            coverage_penalty: penalty,
            ..SearchConfig::default()
        };
        let config = config(0.0, search);
        let setup = DecoderSetup {
            tokens: "said".to_owned(),
            logits: PortRef::new("output", "logits"),
            alignment: Some(PortRef::new("decoder", "weights")),
            bos: 1,
            eos: 2,
            banned: Vec::new(),
            max_length: 3,
        };
        let step = |rows: &[[f64; 5]], weights: &[f32]| StepOutput {
            log_probabilities: rows.iter().flatten().map(|p| p.ln() as f32).collect(),
            vocabulary: 5,
            alignment: Some((weights.to_vec(), 2)),
        };
        let mut row = Row {
            tree: Tree::default(),
            live: vec![live(0.0)],
            finished: Vec::new(),
            valid: 2,
        };
        let guard = Guard::new(&config.search, setup.eos);
        let mut first = step(&[[0.0, 0.0, 0.0, 0.6, 0.4]], &[0.9, 0.1]);
        let kept = row.advance(&mut first, 0, 0, &setup, guard, &config);
        assert_eq!(kept, [0, 0]);
        let ends = [0.0, 0.0, 1.0, 0.0, 0.0];
        let mut second = step(&[ends, ends], &[0.9, 0.1, 0.1, 0.9]);
        row.advance(&mut second, 0, 1, &setup, guard, &config);
        assert!(row.is_settled(&config, 2, 3));
        let found = row.hypotheses(2).into_iter();
        found.map(|h| (h.tokens, h.score)).collect()
    }

    /// Wu et al. 2016, equation 14: `log 0.6 + 0.5 (log 1 + log 0.2)` is less than `log 0.4 + 0.5 (log 1 +
    /// log 1)`.
    #[test]
    fn coverage_turns_the_ranking_round() {
        let tokens = |found: &[(Vec<i64>, f64)]| -> Vec<i64> {
            found.iter().map(|(tokens, _)| tokens[0]).collect()
        };
        let plain = searched(0.0);
        assert_eq!(tokens(&plain), [3, 4]);
        assert!((plain[0].1 - 0.6f64.ln()).abs() < 1e-6);
        let covering = searched(0.5);
        assert_eq!(tokens(&covering), [4, 3]);
        assert!((covering[0].1 - 0.4f64.ln()).abs() < 1e-6);
        let expected = 0.6f64.ln() + 0.5 * 0.2f64.ln();
        assert!((covering[1].1 - expected).abs() < 1e-6);
        // Too small a penalty to make up for the probability.
        assert_eq!(tokens(&searched(0.2)), [3, 4]);
    }

    #[test]
    fn when_a_full_beam_stops() {
        let row = |best_live: f64| Row {
            tree: Tree::default(),
            live: vec![live(best_live)],
            finished: vec![finished(-0.5); 2],
            valid: 1,
        };
        let settled = |early_stopping, best_live| {
            let search = SearchConfig {
                early_stopping,
                ..SearchConfig::default()
            };
            row(best_live).is_settled(&config(1.0, search), 4, 10)
        };
        // If it ended now: -3 / 4. At the longest: -3 / 10.
        assert!(settled(EarlyStopping::First, -0.1));
        assert!(settled(EarlyStopping::Heuristic, -3.0));
        assert!(!settled(EarlyStopping::Never, -3.0));
        assert!(settled(EarlyStopping::Never, -5.0));
        assert!(!settled(EarlyStopping::Heuristic, -1.0));
    }

    #[test]
    fn what_never_ended_fills_the_list_up_behind_what_did() {
        let closed = |ended: &[f64]| -> Vec<(f64, bool)> {
            let mut row = Row {
                tree: Tree::default(),
                live: [-0.1, -0.2].map(live).into(),
                finished: ended.iter().copied().map(finished).collect(),
                valid: 1,
            };
            row.close(&config(0.0, SearchConfig::default()), 4);
            let found = row.hypotheses(9).into_iter();
            found.map(|h| (h.score, h.finished)).collect()
        };
        assert_eq!(closed(&[]), [(-0.1, false), (-0.2, false)]);
        assert_eq!(closed(&[-0.5]), [(-0.5, true), (-0.1, false)]);
        assert_eq!(closed(&[-0.5, -0.6]), [(-0.5, true), (-0.6, true)]);
    }
}
