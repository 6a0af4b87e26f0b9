//! `adaptd methods`: the lists of methods and learners, for people or as Markdown tables.

use clap::Args;
use serde_json::Value;

use crate::service;

/// How the lists are written.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write Markdown tables, with every parameter
    #[arg(long)]
    markdown: bool,
}

/// One line of a list.
struct Entry {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    cost: &'static str,
    references: &'static [&'static str],
    schema: Value,
    defaults: Value,
}

#[expect(clippy::unnecessary_wraps, reason = "every command answers the same way")]
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let write = if arguments.markdown { markdown } else { plain };
    print!("{}\n{}", write("Methods", &methods()), write("Learners", &learners()));
    Ok(())
}

fn methods() -> Vec<Entry> {
    let entry = |m: service::MethodEntry| Entry {
        id: m.card.id,
        title: m.card.title,
        summary: m.card.summary,
        cost: m.card.cost,
        references: m.card.references,
        schema: m.schema,
        defaults: m.defaults,
    };
    service::methods().into_iter().map(entry).collect()
}

fn learners() -> Vec<Entry> {
    let entry = |l: service::LearnerEntry| Entry {
        id: l.card.id,
        title: l.card.title,
        summary: l.card.summary,
        cost: l.card.cost,
        references: l.card.references,
        schema: l.schema,
        defaults: l.defaults,
    };
    service::learners().into_iter().map(entry).collect()
}

fn plain(heading: &str, entries: &[Entry]) -> String {
    let width = entries.iter().map(|e| e.id.len()).max().unwrap_or(0);
    let line = |e: &Entry| format!("  {:width$}  {}\n", e.id, e.summary);
    format!("{heading}\n{}", entries.iter().map(line).collect::<String>())
}

fn markdown(heading: &str, entries: &[Entry]) -> String {
    let line = |e: &Entry| {
        let cells =
            [e.title, e.summary, &parameters(e), e.cost, &e.references.join("; ")].map(|c| c.replace('|', "\\|"));
        format!("| `{}` | {} |\n", e.id, cells.join(" | "))
    };
    let rows: String = entries.iter().map(line).collect();
    format!(
        "## {heading}\n\n| id | title | what it does | parameters (defaults) | cost | references |\n|---|---|---|---|---|---|\n{rows}"
    )
}

/// `name` (default): what it is; for each parameter.
fn parameters(entry: &Entry) -> String {
    let properties = entry.schema["properties"].as_object().into_iter().flatten();
    let one = |(name, schema): (&String, &Value)| {
        let default = entry.defaults.get(name).map_or("none".to_owned(), Value::to_string);
        let help = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        format!("`{name}` ({default}): {help}")
    };
    properties.map(one).collect::<Vec<_>>().join("<br>")
}
