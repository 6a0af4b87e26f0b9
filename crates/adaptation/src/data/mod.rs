//! What the algorithms work on: typed tables as they were uploaded, and the numeric problem that a
//! method may see. Labels are `Option`, roles are enums: no sentinel stands for "unknown".

mod problem;
mod table;
pub mod toy;

pub use problem::{Dataset, Holdout, Labels, Problem, ProblemError, Task, TaskKind};
pub use table::{Column, DomainTable, Kind, Role, Table, Values};
