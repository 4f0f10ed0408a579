//! How well road users are found, as the nuScenes detection benchmark scores it (Caesar et al. 2020,
//! section 3; the definitions of nuscenes-devkit 1.1.11).
//!
//! A prediction belongs to the nearest true road user of its class whose centre is less than some metres
//! away, the surest prediction first, and each true one is found once at most. Average precision is taken over
//! recalls above 0.1, of the precision above 0.1; errors are those of pairs less than 2 m apart, running means
//! in the order of the scores, averaged over recalls above 0.1 that were reached. The benchmark has ten classes
//! of its own, and an attribute for which there is nothing here; here the classes are those that the truth has.

use std::collections::{BTreeMap, BTreeSet};

/// Distances of centres below which two are a pair, m.
const DISTANCES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// Which of them errors are taken of.
const ERRORS_AT: usize = 2;

/// Recalls at which precision is read: 0 %, 1 %, …, 100 %.
const RECALLS: usize = 101;

/// The first of them above the least recall that counts, 0.1.
const FIRST: usize = 11;

/// Precision that counts as none.
const LEAST_PRECISION: f64 = 0.1;

/// A road user that is there, or that is said to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoadUser {
    /// How sure it is; of no account in the truth.
    pub score: f64,
    /// The centre, m.
    pub place: [f64; 2],
    /// rad
    pub heading: f64,
    /// Length and width, m.
    pub size: [f64; 2],
    /// m/s
    pub velocity: [f64; 2],
    pub class: usize,
}

impl RoadUser {
    /// Of what differs, in the order of [`Errors`].
    fn errors(&self, truth: &Self) -> [f64; 4] {
        // With the same centre and heading.
        let area = |size: [f64; 2]| size[0] * size[1];
        let common = area([0, 1].map(|i| self.size[i].min(truth.size[i])));
        let union = area(self.size) + area(truth.size) - common;
        let turn = self.heading - truth.heading;
        [
            self.distance(truth),
            1.0 - common / union,
            turn.sin().atan2(turn.cos()).abs(),
            apart(self.velocity, truth.velocity),
        ]
    }

    fn distance(&self, other: &Self) -> f64 {
        apart(self.place, other.place)
    }
}

fn apart(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Mean errors of what was found: 1 each where nothing was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// Of the centre, m (ATE).
    pub translation: f64,
    /// One minus the intersection over union of sizes (ASE).
    pub scale: f64,
    /// Of the heading, rad (AOE).
    pub orientation: f64,
    /// Of the velocity, m/s (AVE).
    pub velocity: f64,
}

impl Errors {
    fn of([translation, scale, orientation, velocity]: [f64; 4]) -> Self {
        Self {
            translation,
            scale,
            orientation,
            velocity,
        }
    }

    fn all(self) -> [f64; 4] {
        [
            self.translation,
            self.scale,
            self.orientation,
            self.velocity,
        ]
    }
}

/// Scores of a class, or the mean of those of all classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionScores {
    /// Average precision with pairs up to 0.5, 1, 2 and 4 m apart.
    pub precision: [f64; 4],
    pub errors: Errors,
}

impl DetectionScores {
    /// Average precision, the mean over the distances.
    pub fn mean_precision(&self) -> f64 {
        self.precision.iter().sum::<f64>() / self.precision.len() as f64
    }
}

/// What was predicted and what is there, frame by frame.
#[derive(Debug, Clone, Default)]
pub struct Detections {
    /// Each with its frame.
    predicted: Vec<(usize, RoadUser)>,
    truth: Vec<Vec<RoadUser>>,
}

impl Detections {
    pub fn add_frame(
        &mut self,
        predicted: impl IntoIterator<Item = RoadUser>,
        truth: impl IntoIterator<Item = RoadUser>,
    ) {
        let frame = self.truth.len();
        let predicted = predicted.into_iter().map(|user| (frame, user));
        self.predicted.extend(predicted);
        self.truth.push(truth.into_iter().collect());
    }

    /// Scores of each class that the truth has.
    pub fn by_class(&self) -> BTreeMap<usize, DetectionScores> {
        let classes: BTreeSet<usize> = self.truth.iter().flatten().map(|u| u.class).collect();
        let of = |class| {
            let at = DISTANCES.map(|most| self.matched(class, most));
            let errors = at[ERRORS_AT].errors();
            let precision = at.map(|matched| matched.average_precision());
            (class, DetectionScores { precision, errors })
        };
        classes.into_iter().map(of).collect()
    }

    /// The mean over classes; `None` where nothing is there.
    pub fn scores(&self) -> Option<DetectionScores> {
        let classes: Vec<DetectionScores> = self.by_class().into_values().collect();
        let count = classes.len() as f64;
        let mean =
            |of: &dyn Fn(&DetectionScores) -> f64| classes.iter().map(of).sum::<f64>() / count;
        (!classes.is_empty()).then(|| DetectionScores {
            precision: [0, 1, 2, 3].map(|at| mean(&|class| class.precision[at])),
            errors: Errors::of([0, 1, 2, 3].map(|error| mean(&|class| class.errors.all()[error]))),
        })
    }

    /// Pairs of a class whose centres are less than `most` apart.
    fn matched(&self, class: usize, most: f64) -> Matched {
        let mut predicted: Vec<&(usize, RoadUser)> = self.predicted.iter().collect();
        predicted.retain(|(_, user)| user.class == class);
        // The surest first; of those as sure, the last one.
        predicted.reverse();
        predicted.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
        let mut taken: Vec<Vec<bool>> = self.truth.iter().map(|f| vec![false; f.len()]).collect();
        let there = self
            .truth
            .iter()
            .flatten()
            .filter(|user| user.class == class);
        let mut found = Matched {
            there: there.count(),
            ..Matched::default()
        };
        for (frame, user) in predicted {
            let free = self.truth[*frame].iter().enumerate();
            let nearest = free
                .filter(|(index, other)| other.class == class && !taken[*frame][*index])
                .map(|(index, other)| (index, user.distance(other)))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let pair = nearest.filter(|(_, distance)| *distance < most);
            found.hits.push(pair.is_some());
            found.scores.push(user.score);
            if let Some((index, _)) = pair {
                taken[*frame][index] = true;
                found
                    .errors
                    .push((user.score, user.errors(&self.truth[*frame][index])));
            }
        }
        found
    }
}

/// Predictions of a class, the surest first.
#[derive(Debug, Clone, Default)]
struct Matched {
    /// True road users.
    there: usize,
    hits: Vec<bool>,
    scores: Vec<f64>,
    /// Of the hits, with their scores.
    errors: Vec<(f64, [f64; 4])>,
}

impl Matched {
    /// Something about the predictions up to each of them, read at [`RECALLS`]; 0 at recalls that are not reached.
    fn at_recalls(&self, values: &[f64]) -> Vec<f64> {
        let mut hits = 0_usize;
        let mut recall = |hit: &bool| {
            hits += usize::from(*hit);
            hits as f64 / self.there as f64
        };
        let recalls: Vec<f64> = self.hits.iter().map(&mut recall).collect();
        let last = recalls.last().copied().unwrap_or(0.0);
        let wanted = (0..RECALLS).map(|percent| percent as f64 / (RECALLS - 1) as f64);
        wanted
            .map(|at| {
                if at > last {
                    0.0
                } else {
                    interpolate(at, &recalls, values)
                }
            })
            .collect()
    }

    fn average_precision(&self) -> f64 {
        if self.errors.is_empty() {
            return 0.0;
        }
        let mut hits = 0_usize;
        let precision = self.hits.iter().enumerate().map(|(index, hit)| {
            hits += usize::from(*hit);
            hits as f64 / (index + 1) as f64
        });
        let precision = self.at_recalls(&precision.collect::<Vec<f64>>());
        let counted = &precision[FIRST..];
        let above = counted.iter().map(|p| (p - LEAST_PRECISION).max(0.0));
        above.sum::<f64>() / counted.len() as f64 / (1.0 - LEAST_PRECISION)
    }

    fn errors(&self) -> Errors {
        let scores = self.at_recalls(&self.scores);
        let reached = scores.iter().rposition(|&score| score != 0.0).unwrap_or(0);
        if self.errors.is_empty() || reached < FIRST {
            return Errors::of([1.0; 4]);
        }
        let counted = &scores[FIRST..=reached];
        // From the least sure on, as interpolation wants it.
        let known: Vec<f64> = self.errors.iter().rev().map(|(score, _)| *score).collect();
        let error = |which: usize| {
            let mut sum = 0.0;
            let running = self.errors.iter().enumerate().map(|(index, (_, errors))| {
                sum += errors[which];
                sum / (index + 1) as f64
            });
            let mut running: Vec<f64> = running.collect();
            running.reverse();
            let read = counted
                .iter()
                .map(|&score| interpolate(score, &known, &running));
            read.sum::<f64>() / counted.len() as f64
        };
        Errors::of([0, 1, 2, 3].map(error))
    }
}

/// The value at a place between `places`, which do not fall; before and behind them that of the first and the last.
fn interpolate(at: f64, places: &[f64], values: &[f64]) -> f64 {
    // The last place that is not behind.
    let next = places.partition_point(|&place| place <= at);
    let Some(before) = next.checked_sub(1) else {
        return values.first().copied().unwrap_or(0.0);
    };
    let Some(&after) = places.get(next) else {
        return values[before];
    };
    let slope = (values[next] - values[before]) / (after - places[before]);
    slope * (at - places[before]) + values[before]
}
