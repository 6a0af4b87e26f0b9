//! Which column plays which role, and which task the label asks for.

use std::collections::HashSet;

use adaptation::data::{Column, Kind, Role, TaskKind, Values};

use super::error::{IngestError, Place, shorten};
use super::options::{Options, RoleRequest};

/// Integers of more distinct values than this are quantities, not classes.
const MAX_INTEGER_CLASSES: usize = 50;

pub(super) struct Assigned {
    pub(super) roles: Vec<Role>,
    pub(super) task: Option<TaskKind>,
}

/// Gives every column its role. Words of a label or group become categories however many there are.
///
/// # Errors
/// A named column that is not there or is named twice, weights that are no weights, a task that contradicts the label.
pub(super) fn assign(
    columns: &mut [Column],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Assigned, IngestError> {
    let mut roles = requested(columns, &options.roles)?;
    if options.roles.label.is_none()
        && let Some(i) = columns.iter().position(|c| c.name == "label")
        && roles[i].is_none()
    {
        roles[i] = Some(Role::Label);
    }
    let mut task = None;
    for (column, role) in columns.iter_mut().zip(&roles) {
        match role {
            Some(Role::Label) => {
                text_to_category(column);
                task = task_of(column, options.task, notes)?;
            }
            Some(Role::Group) => text_to_category(column),
            Some(Role::Weight) => check_weights(column)?,
            Some(Role::Time) => check_time(column)?,
            _ => {}
        }
    }
    let roles: Vec<Role> =
        columns.iter().zip(roles).map(|(c, role)| role.unwrap_or_else(|| inferred(c, notes))).collect();
    if !roles.contains(&Role::Feature) {
        let message = "no column is left as a feature; send at least one column of numbers, booleans, categories or text, \
                       or name fewer roles";
        return Err(IngestError::invalid(message));
    }
    Ok(Assigned { roles, task })
}

/// The roles that the client names.
fn requested(columns: &[Column], request: &RoleRequest) -> Result<Vec<Option<Role>>, IngestError> {
    let single = [
        (&request.label, Role::Label, "label"),
        (&request.weight, Role::Weight, "weight"),
        (&request.group, Role::Group, "group"),
        (&request.id, Role::Id, "id"),
        (&request.time, Role::Time, "time"),
    ];
    let singles = single.into_iter().filter_map(|(name, role, word)| Some((name.as_ref()?, role, word)));
    let ignored = request.ignore.iter().map(|name| (name, Role::Ignore, "ignore"));
    let mut roles = vec![None; columns.len()];
    for (name, role, word) in singles.chain(ignored) {
        let Some(i) = columns.iter().position(|c| c.name == *name) else {
            return Err(IngestError::ColumnNotFound { name: shorten(name), role: word, known: known(columns) });
        };
        if roles[i].replace(role).is_some_and(|earlier| earlier != role) {
            let message = format!("column {name:?} is given two roles; it can have one");
            return Err(IngestError::invalid_at(Place::column(name), message));
        }
    }
    Ok(roles)
}

/// The first few names, for a message.
fn known(columns: &[Column]) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<String> = columns.iter().take(SHOWN).map(|c| shorten(&c.name)).collect();
    if columns.len() > SHOWN {
        names.push(format!("and {} more", columns.len() - SHOWN));
    }
    names.join(", ")
}

fn inferred(column: &Column, notes: &mut Vec<String>) -> Role {
    let name = shorten(&column.name);
    match column.values.kind() {
        Kind::Text => {
            notes.push(format!(
                "column {name:?} is free text: its words become features by tf-idf, which features.text of a job tunes; \
                 name it with ignore= to leave it out"
            ));
            Role::Feature
        }
        Kind::Timestamp => {
            notes.push(format!("column {name:?} holds times and is ignored; name it with time= to use it"));
            Role::Ignore
        }
        _ => Role::Feature,
    }
}

fn text_to_category(column: &mut Column) {
    if let Values::Text(words) = &mut column.values {
        column.values = Values::categories(std::mem::take(words));
    }
}

fn task_of(label: &Column, asked: Option<TaskKind>, notes: &mut Vec<String>) -> Result<Option<TaskKind>, IngestError> {
    if label.values.n_missing() == label.values.len() {
        notes.push(format!("label column {:?} holds no label: the rows are unlabelled", shorten(&label.name)));
        // Its kind says nothing of the task.
        return Ok(asked);
    }
    let is_number = match &label.values {
        Values::Number(_) | Values::Sparse { .. } | Values::Integer(_) => true,
        Values::Boolean(_) | Values::Category { .. } | Values::Text(_) => false,
        Values::Timestamp(_) => {
            let message = format!("label column {:?} holds times; a label is a class or a number", label.name);
            return Err(IngestError::invalid_at(Place::column(&label.name), message));
        }
    };
    if asked == Some(TaskKind::Regression) && !is_number {
        let message = format!("task=regression needs numbers, label column {:?} holds words", label.name);
        return Err(IngestError::invalid_at(Place::column(&label.name), message));
    }
    Ok(Some(asked.unwrap_or_else(|| guess_task(&label.values))))
}

/// Floats are values; words, booleans and integers of few distinct values are classes.
fn guess_task(label: &Values) -> TaskKind {
    match label {
        Values::Number(_) | Values::Sparse { .. } => TaskKind::Regression,
        Values::Integer(v) => {
            let mut distinct = HashSet::new();
            let few = v.iter().flatten().all(|x| {
                distinct.insert(x);
                distinct.len() <= MAX_INTEGER_CLASSES
            });
            if few { TaskKind::Classification } else { TaskKind::Regression }
        }
        _ => TaskKind::Classification,
    }
}

fn check_weights(column: &Column) -> Result<(), IngestError> {
    let name = &column.name;
    if !matches!(column.values.kind(), Kind::Number | Kind::Integer) {
        let message = format!("weight column {name:?} must hold numbers");
        return Err(IngestError::invalid_at(Place::column(name), message));
    }
    let bad = (0..column.values.len()).find(|i| column.values.number(*i).is_none_or(|w| w < 0.0));
    if let Some(i) = bad {
        let row = i + 1;
        let message = format!("row {row}, weight column {name:?}: a weight must be there and not be negative");
        return Err(IngestError::invalid_at(Place::cell(row, name), message));
    }
    Ok(())
}

fn check_time(column: &Column) -> Result<(), IngestError> {
    if matches!(column.values.kind(), Kind::Timestamp | Kind::Integer | Kind::Number) {
        return Ok(());
    }
    let message = format!("time column {:?} must hold RFC 3339 times, dates or numbers", column.name);
    Err(IngestError::invalid_at(Place::column(&column.name), message))
}
