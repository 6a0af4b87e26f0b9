//! Planned failures: places where the tests let a process fail, panic or end at once, by `FAILPOINTS=name=action` in its
//! environment, as the crate `fail` writes it. The actions are `off`, `return(error)`, `panic` and `return(abort)`, with a
//! probability (`20%`) or a count (`3*`) before them, and `->` between those that are tried in turn. A release has none of it:
//! without the feature that the tests switch on, they compile to nothing. The crate itself is not used: it would bring another
//! generator of random numbers and its features into the library.

use thiserror::Error;

macro_rules! points {
    ($($variant:ident = $name:literal,)*) => {
        /// Where a failure may be planned.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $(#[doc = $name] $variant,)*
        }

        impl Point {
            pub const ALL: &[Point] = &[$(Point::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Point::$variant => $name,)*
                }
            }
        }
    };
}

points! {
    BlobBeforeRename = "blob_before_rename",
    BlobAfterRename = "blob_after_rename",
    // Nothing of the transaction is stored.
    WriterBeforeCommit = "writer_before_commit",
    // All of it is stored, and nobody is told.
    WriterAfterCommit = "writer_after_commit",
    // The rest lie in the transaction of what they are named after, when its statements have run.
    Claim = "claim",
    Heartbeat = "heartbeat",
    Checkpoint = "checkpoint",
    AppendEvent = "append_event",
    Complete = "complete",
    Fail = "fail",
    Release = "release",
    Rescue = "rescue",
    Purge = "purge",
}

/// A failure that was planned.
#[derive(Debug, Error)]
#[error("a failure was planned at {0}")]
pub struct Injected(&'static str);

/// Fails, panics or aborts here where that is planned.
///
/// # Errors
/// The planned one.
pub fn hit(point: Point) -> Result<(), Injected> {
    #[cfg(feature = "failpoints")]
    planned::act(point.as_str())?;
    let _ = point;
    Ok(())
}

/// Reads what `FAILPOINTS` plans; says so where that is not understood. Nothing in a release.
///
/// # Errors
/// A plan that is none.
pub fn plan(text: Option<&str>) -> Result<(), String> {
    #[cfg(feature = "failpoints")]
    planned::read(text.unwrap_or_default())?;
    let _ = text;
    Ok(())
}

#[cfg(feature = "failpoints")]
mod planned {
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use super::{Injected, Point};

    /// One of the steps of a plan, of which the first that applies is taken.
    #[derive(Debug)]
    struct Step {
        action: Action,
        /// Of a hundred hits.
        percent: u64,
        /// As often as that.
        left: u64,
    }

    #[derive(Debug, Clone, Copy)]
    enum Action {
        Off,
        Error,
        Panic,
        Abort,
    }

    static PLANS: OnceLock<Mutex<HashMap<&'static str, Vec<Step>>>> = OnceLock::new();

    pub(super) fn read(text: &str) -> Result<(), String> {
        let mut plans = HashMap::new();
        for of_point in text.split(';').filter(|part| !part.is_empty()) {
            let bad = || format!("{of_point}: a plan is name=[P%][N*]action[->...]");
            let (name, steps) = of_point.split_once('=').ok_or_else(bad)?;
            let point = Point::ALL.iter().find(|p| p.as_str() == name).ok_or_else(bad)?;
            let steps = steps.split("->").map(step).collect::<Option<Vec<_>>>().ok_or_else(bad)?;
            plans.insert(point.as_str(), steps);
        }
        PLANS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner).extend(plans);
        Ok(())
    }

    fn step(text: &str) -> Option<Step> {
        let (percent, text) = text.split_once('%').unwrap_or(("100", text));
        let (left, text) = match text.split_once('*') {
            Some((left, text)) => (left.parse().ok()?, text),
            None => (u64::MAX, text),
        };
        let action = match text {
            "off" => Action::Off,
            "return(error)" => Action::Error,
            "panic" => Action::Panic,
            "return(abort)" => Action::Abort,
            _ => return None,
        };
        Some(Step { action, percent: percent.parse().ok()?, left })
    }

    pub(super) fn act(name: &'static str) -> Result<(), Injected> {
        let Some(plans) = PLANS.get() else { return Ok(()) };
        let action = {
            let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
            let steps = plans.get_mut(name).into_iter().flatten();
            let mut applies = steps.filter(|step| step.left > 0 && chance() < step.percent);
            applies.next().map_or(Action::Off, |step| {
                step.left -= 1;
                step.action
            })
        };
        if matches!(action, Action::Off) {
            return Ok(());
        }
        tracing::warn!(point = name, ?action, "a planned failure");
        match action {
            Action::Abort => std::process::abort(),
            Action::Panic => panic!("a panic was planned at {name}"),
            Action::Error | Action::Off => Err(Injected(name)),
        }
    }

    /// 0 to 99, by the keys of a hash table: others in each process, which is what rounds are for.
    fn chance() -> u64 {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one(0_u8) % 100
    }
}
