//! One pass over the data: worker threads, their queues, and the samples that could not be read.
//!
//! Worker `w` of `n` makes batches `start + w`, `start + w + n`, … into a bounded queue of its own;
//! the iterator takes from the queues in turn. Order therefore needs no buffer, and a worker that
//! is ahead waits.

use super::collate::Collator;
use super::config::LoaderConfig;
use super::plan::Plan;
use crate::{Batch, DataError, Sample, Source, Transforms};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What a batch is made from.
#[derive(Debug)]
pub(super) struct Recipe {
    pub source: Arc<dyn Source>,
    pub transforms: Transforms,
    pub collator: Collator,
    pub seed: u64,
}

/// A batch and the samples that are missing from it.
#[derive(Debug)]
struct Made {
    batch: Batch,
    failures: Vec<(usize, DataError)>,
}

impl Recipe {
    /// Makes a batch of the given rows; `None` when told to stop.
    fn make(&self, rows: &[usize], epoch: u64, stop: &AtomicBool) -> Option<Made> {
        let mut samples = Vec::with_capacity(rows.len());
        let mut indices = Vec::with_capacity(rows.len());
        let mut failures = Vec::new();
        for &index in rows {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            match self.sample(index, epoch) {
                Ok(sample) => {
                    samples.push(sample);
                    indices.push(index);
                }
                Err(error) => failures.push((index, error)),
            }
        }
        let batch = self.collator.collate(&samples, indices);
        Some(Made { batch, failures })
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample, DataError> {
        let mut sample = self.source.sample(index)?;
        self.transforms
            .apply(&mut sample, self.seed, epoch, index)?;
        self.collator
            .check(&sample, || self.source.location(index))?;
        Ok(sample)
    }
}

/// A sample that was left out because it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its position in the source.
    pub index: usize,
    /// What was wrong, with file and row.
    pub message: String,
}

#[derive(Debug)]
struct Worker {
    made: Receiver<Made>,
    thread: JoinHandle<()>,
}

/// The batches of an epoch, in order.
///
/// After an error the iterator ends. Dropping it ends the workers, after the sample each is at.
#[derive(Debug)]
pub struct EpochIter {
    recipe: Arc<Recipe>,
    plan: Arc<Plan>,
    epoch: u64,
    start: usize,
    next: usize,
    workers: Vec<Worker>,
    stop: Arc<AtomicBool>,
    skip_budget: usize,
    skipped: Vec<Skipped>,
    /// A worker that could not start.
    pending: Option<DataError>,
    ended: bool,
}

impl EpochIter {
    pub(super) fn new(
        recipe: Arc<Recipe>,
        plan: Arc<Plan>,
        epoch: u64,
        start: usize,
        config: &LoaderConfig,
    ) -> Self {
        let mut iter = Self {
            recipe,
            plan,
            epoch,
            start,
            next: start,
            workers: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
            skip_budget: config.skip_budget,
            skipped: Vec::new(),
            pending: None,
            ended: false,
        };
        let left = iter.plan.len().saturating_sub(start);
        let count = config.workers.min(left);
        for number in 0..count {
            match iter.spawn(number, count, config.prefetch) {
                Ok(worker) => iter.workers.push(worker),
                Err(error) => {
                    iter.pending = Some(error);
                    break;
                }
            }
        }
        iter
    }

    /// The number of the batch that comes next: where a resumed epoch has to start.
    pub fn position(&self) -> usize {
        self.next
    }

    /// The samples of the batches taken so far that were left out, at most `skip_budget`. An epoch
    /// that did not begin at batch 0 counts from its start.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn spawn(&self, number: usize, count: usize, prefetch: usize) -> Result<Worker, DataError> {
        let (sender, made) = bounded(prefetch);
        let recipe = Arc::clone(&self.recipe);
        let plan = Arc::clone(&self.plan);
        let stop = Arc::clone(&self.stop);
        let (epoch, first) = (self.epoch, self.start + number);
        let thread = thread::Builder::new()
            .name(format!("loader-{number}"))
            .spawn(move || work(&recipe, &plan, epoch, (first, count), &sender, &stop))
            .map_err(|error| DataError::Worker {
                worker: number,
                cause: error.to_string(),
            })?;
        Ok(Worker { made, thread })
    }

    fn make_next(&mut self) -> Result<Option<Made>, DataError> {
        if self.workers.is_empty() {
            return Ok(self
                .recipe
                .make(self.plan.batch(self.next), self.epoch, &self.stop));
        }
        let number = (self.next - self.start) % self.workers.len();
        if let Ok(made) = self.workers[number].made.recv() {
            return Ok(Some(made));
        }
        // A queue that closes before its last batch belongs to a thread that panicked.
        let worker = self.workers.swap_remove(number);
        let cause = worker.thread.join().err().map_or_else(
            || "it ended before its work was done".to_owned(),
            |panic| describe_panic(panic.as_ref()),
        );
        Err(DataError::Worker {
            worker: number,
            cause,
        })
    }

    /// Books the samples that are missing; an error when they are too many.
    fn book(&mut self, failures: Vec<(usize, DataError)>) -> Result<(), DataError> {
        for (index, error) in failures {
            if self.skipped.len() < self.skip_budget {
                let message = error.to_string();
                self.skipped.push(Skipped { index, message });
            } else if self.skip_budget == 0 {
                return Err(error);
            } else {
                return Err(DataError::SkipBudget {
                    budget: self.skip_budget,
                    found: self.skipped.len() + 1,
                    error: Box::new(error),
                });
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Batch>, DataError> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        while self.next < self.plan.len() {
            let Some(made) = self.make_next()? else {
                break;
            };
            self.next += 1;
            self.book(made.failures)?;
            // A batch whose samples were all skipped is passed over.
            if made.batch.size() > 0 {
                return Ok(Some(made.batch));
            }
        }
        Ok(None)
    }

    fn end_workers(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (queues, threads): (Vec<_>, Vec<_>) = self
            .workers
            .drain(..)
            .map(|worker| (worker.made, worker.thread))
            .unzip();
        // A worker that waits for room in its queue wakes when the queue is gone.
        drop(queues);
        for thread in threads {
            // A panic that nobody waited for has no reader any more.
            let _ = thread.join();
        }
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.advance().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
            self.end_workers();
        }
        item
    }
}

impl Drop for EpochIter {
    fn drop(&mut self) {
        self.end_workers();
    }
}

/// A worker's life: batches `first`, `first + step`, … until the plan ends or nobody listens.
fn work(
    recipe: &Recipe,
    plan: &Plan,
    epoch: u64,
    (first, step): (usize, usize),
    sender: &Sender<Made>,
    stop: &AtomicBool,
) {
    for number in (first..plan.len()).step_by(step) {
        let Some(made) = recipe.make(plan.batch(number), epoch, stop) else {
            return;
        };
        if sender.send(made).is_err() {
            return;
        }
    }
}

fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}
