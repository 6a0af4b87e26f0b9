//! What an inspection of a data folder finds: which promise does not hold, of what, and what to do about it.

use serde::Serialize;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: Check,
    /// What it is about: a job, a model, a blob.
    pub subject: String,
    pub detail: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it may be; told so that nobody wonders.
    Note,
    /// Mends itself, or loses nothing yet.
    Warning,
    /// Something is lost, or a promise is broken.
    Error,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Integrity,
    ForeignKeys,
    SchemaNewer,
    SchemaOlder,
    SchemaUnfinished,
    BlobMissing,
    BlobSize,
    BlobDamaged,
    BlobUnnamed,
    LineageBroken,
    LineageForced,
    EventsGap,
    FeedGap,
    TerminalEvent,
    ModelOfJob,
    RunningWithoutProcess,
    RunningSilent,
    JobCounts,
    Families,
    IdempotencyKey,
}

impl Check {
    pub const fn severity(self) -> Severity {
        match self {
            Check::BlobUnnamed | Check::LineageForced | Check::IdempotencyKey => Severity::Note,
            Check::SchemaOlder | Check::RunningWithoutProcess | Check::RunningSilent => Severity::Warning,
            Check::Integrity
            | Check::ForeignKeys
            | Check::SchemaNewer
            | Check::SchemaUnfinished
            | Check::BlobMissing
            | Check::BlobSize
            | Check::BlobDamaged
            | Check::LineageBroken
            | Check::EventsGap
            | Check::FeedGap
            | Check::TerminalEvent
            | Check::ModelOfJob
            | Check::JobCounts
            | Check::Families => Severity::Error,
        }
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Check::Integrity | Check::ForeignKeys => {
                "stop the service, keep a copy of the folder, restore the newest backup"
            }
            Check::SchemaNewer => "use the program that wrote it, or a newer one",
            Check::SchemaOlder => {
                "start the service once, which brings it forward, and look again: the rest was not looked at"
            }
            Check::SchemaUnfinished => "restore the backup from before the upgrade, and report it",
            Check::BlobMissing | Check::BlobSize | Check::BlobDamaged => {
                "copy the file from a backup into blobs, or upload the data or run the job again"
            }
            Check::BlobUnnamed => "nothing: the service removes it an hour after it was put, or at its next start",
            Check::LineageBroken => "restore a backup if the model has to be made again; it predicts all the same",
            Check::LineageForced => {
                "nothing: the domain was deleted with force=true, and the model predicts all the same"
            }
            Check::EventsGap
            | Check::FeedGap
            | Check::TerminalEvent
            | Check::ModelOfJob
            | Check::JobCounts
            | Check::Families => "report it with a backup of the folder: the program should not be able to leave this",
            Check::RunningWithoutProcess => "start the service: it takes the job up again",
            Check::RunningSilent => "look at the service's log; a restart takes the job up again",
            Check::IdempotencyKey => "nothing: it is forgotten a day after its request",
        }
    }
}
