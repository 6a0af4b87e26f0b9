//! What the demo prints: tables, confusion matrices, and the words around them.

use serde_json::Value;

/// A finished job with its numbers.
pub(super) struct Finished {
    pub(super) method: &'static str,
    pub(super) job: String,
    pub(super) model: String,
    pub(super) metrics: Value,
}

impl Finished {
    pub(super) fn accuracy(&self) -> f64 {
        self.metrics["adapted"]["accuracy"]["value"].as_f64().unwrap_or(0.0)
    }

    fn metric(&self, name: &str) -> String {
        match self.metrics["adapted"][name]["value"].as_f64() {
            Some(value) => format!("{value:.3}"),
            None => "–".into(),
        }
    }

    fn interval(&self) -> String {
        let of = |part: &str| self.metrics["adapted"]["accuracy"][part].as_f64().unwrap_or(f64::NAN) * 100.0;
        format!("{:5.1} % [{:.1}, {:.1}]", of("value"), of("low"), of("high"))
    }
}

/// One row a job.
pub(super) fn table(jobs: &[Finished]) -> String {
    let mut out = format!(
        "{:<30} {:<22} {:>12} {:>7} {:>7} {:>9}\n",
        "method", "accuracy [95 %]", "balanced acc", "F1", "AUC", "fit"
    );
    for job in jobs {
        let fit = job.metrics["timings_ms"]["fit"].as_f64().unwrap_or(0.0);
        out.push_str(&format!(
            "{:<30} {:<22} {:>12} {:>7} {:>7} {:>6.1} ms\n",
            job.method,
            job.interval(),
            job.metric("balanced_accuracy"),
            job.metric("macro_f1"),
            job.metric("roc_auc"),
            fit
        ));
    }
    out
}

/// The confusion matrix of source-only beside that of the adapted model.
pub(super) fn confusion(job: &Finished) -> String {
    let confusion = &job.metrics["confusion"];
    let classes: Vec<&str> = confusion["classes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let width = classes.iter().map(|c| c.len()).max().unwrap_or(0).max(6);
    let row = |matrix: &Value, i: usize| -> String {
        (0..classes.len()).map(|j| format!(" {:>width$}", matrix[i][j].to_string())).collect()
    };
    let heads: String = classes.iter().map(|c| format!(" {c:>width$}")).collect();
    let block = heads.chars().count();
    let mut out =
        format!("{:width$}   {:<block$}   {}\n", "", " source only predicts", format_args!(" {} predicts", job.method));
    out.push_str(&format!("{:width$}   {heads}   {heads}\n", "truth"));
    for (i, class) in classes.iter().enumerate() {
        out.push_str(&format!(
            "{class:width$}   {}   {}\n",
            row(&confusion["source_only"], i),
            row(&confusion["adapted"], i)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finished() -> Finished {
        let metrics = json!({
            "adapted": {"accuracy": {"value": 0.933, "low": 0.88, "high": 0.975}, "roc_auc": null},
            "timings_ms": {"fit": 1.5},
            "confusion": {"classes": ["female", "male"], "adapted": [[55, 3], [5, 56]], "source_only": [[2, 56], [0, 61]]},
        });
        Finished { method: "coral", job: "job_1".into(), model: "m@1".into(), metrics }
    }

    #[test]
    fn a_row_shows_the_interval_and_a_dash_for_what_is_not_defined() {
        let table = table(&[finished()]);
        let row = table.lines().nth(1).expect("a row");
        assert!(row.contains("93.3 % [88.0, 97.5]") && row.contains('–') && row.contains("1.5 ms"), "{row}");
    }

    #[test]
    fn confusion_matrices_stand_side_by_side() {
        let text = confusion(&finished());
        assert_eq!(text.lines().nth(2), Some("female         2     56        55      3"), "{text}");
    }
}
