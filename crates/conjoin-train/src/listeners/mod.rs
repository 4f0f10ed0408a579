//! Those who write down what happens: `metrics.jsonl` and TensorBoard's event files.

pub mod jsonl;
pub mod tensorboard;

pub use jsonl::JsonLines;
pub use tensorboard::TensorBoard;

use crate::{Event, Listener, TrainError};

/// All listeners of a run, in order.
#[derive(Default)]
pub struct Listeners(pub Vec<Box<dyn Listener>>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listeners({})", self.0.len())
    }
}

impl Listeners {
    /// Hands an event to every listener.
    ///
    /// # Errors
    /// A listener cannot record it; the later ones still hear of it.
    pub fn emit(&mut self, event: &Event) -> Result<(), TrainError> {
        let mut result = Ok(());
        for listener in &mut self.0 {
            let heard = listener.on(event);
            result = result.and(heard);
        }
        result.map_err(TrainError::Listener)
    }

    /// Tells listeners that a run goes on from a checkpoint, before any event.
    ///
    /// # Errors
    /// A listener cannot take its records back to that step.
    pub fn rewind(&mut self, global_step: u64) -> Result<(), TrainError> {
        for listener in &mut self.0 {
            listener.rewind(global_step).map_err(TrainError::Listener)?;
        }
        Ok(())
    }
}
