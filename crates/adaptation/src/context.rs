//! What a fit is given besides its data: a seed, a way to report and to be stopped, a budget.
//! Randomness and time come from here alone, so that one spec gives the same bits everywhere.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// Why a fit ended without a model. Every variant has the stable code of the job error.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FitError {
    #[error("cancelled")]
    Cancelled,
    #[error("the job's time is over")]
    DeadlineExceeded,
    /// The data cannot be adapted as asked: the reason names the column, class or figure.
    #[error("{0}")]
    Degenerate(String),
    #[error("{0}")]
    NoSharedColumns(String),
    #[error("{0}")]
    LabelMissing(String),
    #[error("{0}")]
    NotConverged(String),
    #[error("{0}")]
    Numerical(String),
    #[error("{what} needs {needed} bytes, {available} are allowed")]
    OutOfMemoryBudget { what: &'static str, needed: u64, available: u64 },
    /// A parameter is in its range but not possible on this data. `pointer` is relative to the spec,
    /// such as `/method/params/n_components`.
    #[error("{detail}")]
    Invalid { pointer: String, detail: String },
}

impl FitError {
    /// The code in `error.code` of a failed job.
    pub fn code(&self) -> &'static str {
        match self {
            FitError::Cancelled => "job.cancelled",
            FitError::DeadlineExceeded => "job.deadline_exceeded",
            FitError::Degenerate(_) | FitError::Invalid { .. } => "job.data_degenerate",
            FitError::NoSharedColumns(_) => "job.no_shared_columns",
            FitError::LabelMissing(_) => "job.label_missing",
            FitError::NotConverged(_) => "job.not_converged",
            FitError::Numerical(_) => "job.numerical_error",
            FitError::OutOfMemoryBudget { .. } => "job.out_of_memory_budget",
        }
    }
}

/// What a fit reports while it runs. The receiver decides what becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Report<'a> {
    /// A phase began.
    Phase(&'a str),
    /// `step` of `total` steps of the phase are done.
    Step { step: u64, total: Option<u64> },
    /// A named number, such as a loss.
    Metric { name: &'a str, value: f64 },
}

/// Receives reports and answers whether to go on. Called often; must be cheap.
pub trait Observer: Send + Sync {
    fn report(&self, report: Report<'_>);

    /// `Err` ends the fit at its next step.
    fn check(&self) -> Result<(), FitError>;

    /// Time since the fit began, from whatever clock the caller has.
    fn elapsed(&self) -> Duration;

    /// Asks for memory before it is taken, once for the whole work; may wait until others have given some back.
    ///
    /// # Errors
    /// Where there will never be so much, and whatever [`Observer::check`] says meanwhile.
    fn admit(&self, _bytes: u64) -> Result<(), FitError> {
        Ok(())
    }

    /// What an earlier attempt at the same work offered as its state; asked once, before the work begins.
    fn resume(&self) -> Option<Vec<u8>> {
        None
    }

    /// Offers the state from which the work can go on later. `state` is called only where it is wanted, so that offering
    /// often costs nothing.
    fn checkpoint(&self, _state: &dyn Fn() -> Vec<u8>) {}
}

/// An observer that hears nothing and never stops anything, for tests and small scripts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn report(&self, _: Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Stops and tells the time like another observer, and hears nothing: for one of many fits whose own
/// steps would drown those of the whole, and whose state is not the state of the whole.
struct Muted<'a>(&'a dyn Observer);

impl Observer for Muted<'_> {
    fn report(&self, _: Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        self.0.check()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The context of one fit.
pub struct Ctx<'a> {
    seed: u64,
    memory_bytes: u64,
    observer: &'a dyn Observer,
}

impl<'a> Ctx<'a> {
    /// A context with a seed, an observer and no bound on memory.
    pub fn new(seed: u64, observer: &'a dyn Observer) -> Self {
        Self { seed, memory_bytes: u64::MAX, observer }
    }

    /// The same, with a bound on the memory that a fit may ask for beyond its input.
    pub fn with_memory(self, memory_bytes: u64) -> Self {
        Self { memory_bytes, ..self }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A generator for one named purpose. Purposes are independent of each other and of the order in
    /// which they are asked for, so that adding one does not change the others.
    pub fn rng(&self, purpose: &str) -> ChaCha8Rng {
        // FNV-1a: stable across versions and platforms, which `Hasher` is not.
        let hash =
            purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(hash);
        rng
    }

    /// Announces a phase, such as `fit`.
    pub fn phase(&mut self, name: &str) -> Result<(), FitError> {
        self.observer.report(Report::Phase(name));
        self.observer.check()
    }

    /// Reports progress and stops where the caller asked for it. Call at least every 100 ms of compute.
    pub fn step(&mut self, step: u64, total: Option<u64>) -> Result<(), FitError> {
        self.observer.report(Report::Step { step, total });
        self.observer.check()
    }

    /// Stops where the caller asked for it, without a report.
    pub fn check(&self) -> Result<(), FitError> {
        self.observer.check()
    }

    /// A function that says whether to go on, for kernels that run on several threads.
    pub fn observer(&self) -> &'a dyn Observer {
        self.observer
    }

    /// Reports a named number.
    pub fn metric(&mut self, name: &str, value: f64) {
        self.observer.report(Report::Metric { name, value });
    }

    /// Asks for memory before it is taken.
    ///
    /// # Errors
    /// [`FitError::OutOfMemoryBudget`] where the bound does not allow it.
    pub fn reserve(&self, what: &'static str, bytes: u64) -> Result<(), FitError> {
        if bytes > self.memory_bytes {
            return Err(FitError::OutOfMemoryBudget { what, needed: bytes, available: self.memory_bytes });
        }
        Ok(())
    }

    pub fn elapsed(&self) -> Duration {
        self.observer.elapsed()
    }

    /// Asks for all memory that the work will take beyond its input, and waits for it where the caller has it wait.
    ///
    /// # Errors
    /// [`FitError::OutOfMemoryBudget`] where the bound does not allow it, and what the caller says.
    pub fn admit(&mut self, what: &'static str, bytes: u64) -> Result<(), FitError> {
        self.reserve(what, bytes)?;
        self.observer.admit(bytes)
    }

    /// What an earlier attempt at the same work offered last.
    pub fn resume(&self) -> Option<Vec<u8>> {
        self.observer.resume()
    }

    /// Offers the state from which the work can go on later, and stops where the caller asked for it. The result must be
    /// the same bits, whether it was reached at once or from here.
    pub fn checkpoint(&mut self, state: &dyn Fn() -> Vec<u8>) -> Result<(), FitError> {
        self.observer.checkpoint(state);
        self.observer.check()
    }

    /// Runs `work` in a context of the same seed, bounds and stops whose reports nobody hears.
    pub fn quietly<T>(&self, work: impl FnOnce(&mut Ctx) -> T) -> T {
        work(&mut Ctx { seed: self.seed, memory_bytes: self.memory_bytes, observer: &Muted(self.observer) })
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn purposes_are_independent_and_repeatable() {
        let ctx = Ctx::new(7, &Silent);
        assert_eq!(ctx.rng("a").next_u64(), ctx.rng("a").next_u64());
        assert_ne!(ctx.rng("a").next_u64(), ctx.rng("b").next_u64());
        assert_ne!(ctx.rng("a").next_u64(), Ctx::new(8, &Silent).rng("a").next_u64());
    }
}
