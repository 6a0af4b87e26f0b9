//! Which column plays which role, and which task the label asks for.

use adaptation::data::{Kind, Role, TaskKind};

use super::error::{IngestError, Place, shorten};
use super::gather::Gathering;
use super::options::{DEFAULT_LABEL, Options, RoleRequest};

pub(super) struct Assigned {
    pub(super) roles: Vec<Role>,
    pub(super) task: Option<TaskKind>,
}

/// What the role of a column depends on.
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) gathered: &'a Gathering,
}

/// Gives every column its role.
///
/// # Errors
/// A named column that is not there or is named twice, weights that are no weights, a task that contradicts the label.
pub(super) fn assign(
    columns: &[Described<'_>],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Assigned, IngestError> {
    let mut roles = requested(columns, &options.roles)?;
    if options.roles.label.is_none()
        && let Some(i) = columns.iter().position(|c| c.name == DEFAULT_LABEL)
        && roles[i].is_none()
    {
        roles[i] = Some(Role::Label);
    }
    let mut task = None;
    for (column, role) in columns.iter().zip(&roles) {
        match role {
            Some(Role::Label) => task = task_of(column, options.task, notes)?,
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
fn requested(columns: &[Described<'_>], request: &RoleRequest) -> Result<Vec<Option<Role>>, IngestError> {
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
fn known(columns: &[Described<'_>]) -> String {
    const SHOWN: usize = 20;
    let mut names: Vec<String> = columns.iter().take(SHOWN).map(|c| shorten(c.name)).collect();
    if columns.len() > SHOWN {
        names.push(format!("and {} more", columns.len() - SHOWN));
    }
    names.join(", ")
}

fn inferred(column: &Described<'_>, notes: &mut Vec<String>) -> Role {
    let name = shorten(column.name);
    match column.kind {
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

fn task_of(
    label: &Described<'_>,
    asked: Option<TaskKind>,
    notes: &mut Vec<String>,
) -> Result<Option<TaskKind>, IngestError> {
    let name = label.name;
    if label.gathered.is_all_missing() {
        notes.push(format!("label column {:?} holds no label: the rows are unlabelled", shorten(name)));
        // Its kind says nothing of the task.
        return Ok(asked);
    }
    // Floats are values; words, booleans and integers of few distinct values are classes.
    let guessed = match label.kind {
        Kind::Number => TaskKind::Regression,
        Kind::Integer if !label.gathered.has_few_integers() => TaskKind::Regression,
        Kind::Integer | Kind::Boolean | Kind::Category | Kind::Text => TaskKind::Classification,
        Kind::Timestamp => {
            let message = format!("label column {name:?} holds times; a label is a class or a number");
            return Err(IngestError::invalid_at(Place::column(name), message));
        }
    };
    if asked == Some(TaskKind::Regression) && !matches!(label.kind, Kind::Number | Kind::Integer) {
        let message = format!("task=regression needs numbers, label column {name:?} holds words");
        return Err(IngestError::invalid_at(Place::column(name), message));
    }
    Ok(Some(asked.unwrap_or(guessed)))
}

fn check_weights(column: &Described<'_>) -> Result<(), IngestError> {
    let name = column.name;
    if !matches!(column.kind, Kind::Number | Kind::Integer) {
        let message = format!("weight column {name:?} must hold numbers");
        return Err(IngestError::invalid_at(Place::column(name), message));
    }
    if let Some(i) = column.gathered.first_unfit_weight() {
        let row = i + 1;
        let message = format!("row {row}, weight column {name:?}: a weight must be there and not be negative");
        return Err(IngestError::invalid_at(Place::cell(row, name), message));
    }
    Ok(())
}

fn check_time(column: &Described<'_>) -> Result<(), IngestError> {
    if matches!(column.kind, Kind::Timestamp | Kind::Integer | Kind::Number) {
        return Ok(());
    }
    let message = format!("time column {:?} must hold RFC 3339 times, dates or numbers", column.name);
    Err(IngestError::invalid_at(Place::column(column.name), message))
}
