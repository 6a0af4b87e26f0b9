//! Encoding and scaling together: what is fitted before a method and saved with its model.

use std::borrow::{Borrow, Cow};

use super::encoder::{Encoder, Filled, InputProblem};
use super::map::Map;
use super::params::{FeatureParams, Scaling};
use super::scaling::{check_counts, filled_by, scaled_columns, scaling, scaling_within};
use crate::context::{Ctx, FitError, Silent};
use crate::data::{DomainTable, Kind, Table};
use crate::linalg::Matrix;
use crate::parts::{LoadError, Parts};

/// Values beyond this have squares, and sums of squares, that are not finite.
const LARGEST: f64 = 1e150;

/// A fitted pipeline from tables to matrices. Holds the scaling of the target, which is the one that
/// rows to come are scaled with.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    params: FeatureParams,
    encoder: Encoder,
    target_scaling: Map,
}

/// A fitted pipeline with the matrices of the rows that it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedFeatures {
    pub pipeline: Pipeline,
    /// `(n_s, d)` for each source.
    pub sources: Vec<Matrix>,
    /// `(n_target, d)`
    pub target: Matrix,
    /// What categories and texts took beyond the tables.
    pub memory_bytes: u64,
}

impl Pipeline {
    /// Fits on training rows: all sources, and the target rows that are not held out.
    ///
    /// # Errors
    /// [`FitError::NoSharedColumns`], or [`FitError::Degenerate`] where no column holds anything.
    pub fn fit(
        sources: &[impl Borrow<DomainTable>],
        target: &DomainTable,
        params: FeatureParams,
    ) -> Result<FittedFeatures, FitError> {
        Self::fit_in(sources, target, params, &Ctx::new(0, &Silent))
    }

    /// The same within the bound on memory of a context, and as long as that goes on.
    ///
    /// # Errors
    /// As [`Pipeline::fit`]; [`FitError::OutOfMemoryBudget`].
    pub fn fit_in(
        sources: &[impl Borrow<DomainTable>],
        target: &DomainTable,
        params: FeatureParams,
        ctx: &Ctx,
    ) -> Result<FittedFeatures, FitError> {
        let domains: Vec<&DomainTable> = sources.iter().map(Borrow::borrow).chain([target]).collect();
        let (encoder, n_entries) = Encoder::fit(&domains, &params, ctx)?;
        let scaled = scaled_columns(&encoder, &params);
        let n_rows = domains.iter().map(|d| d.table.n_rows()).sum();
        let filled = if scaled.is_none() { filled_by(params.scaling) } else { Filled::Nothing };
        let memory_bytes = encoder.spread_bytes(n_rows, n_entries, filled);
        ctx.reserve("encoding the columns", memory_bytes)?;
        let goes_on = || ctx.check().is_ok();
        let encode = |domain: &DomainTable| -> Result<Matrix, FitError> {
            let encoded = encoder.transform(&domain.table, &goes_on);
            ctx.check()?;
            let x =
                encoded.map_err(|problems| {
                    FitError::Degenerate(problems.first().map_or_else(String::new, |p| {
                        format!("column {:?} of {}: {}", p.column, domain.name, p.detail)
                    }))
                })?;
            match encoder.first_where(&x, |v| v.abs() > LARGEST) {
                None => Ok(x),
                Some((row, column)) => Err(FitError::Degenerate(format!(
                    "column {column:?} of {}, row {}: the value is beyond {LARGEST:e}, so that its square is not finite; \
                     rescale the column",
                    domain.name,
                    row + 1
                ))),
            }
        };
        let sources = sources.iter().map(|s| encode(s.borrow())).collect::<Result<Vec<_>, _>>()?;
        let target = encode(target)?;
        if params.scaling == Scaling::TfIdf {
            for (x, domain) in sources.iter().chain([&target]).zip(&domains) {
                check_counts(&encoder, x, scaled.as_deref(), &domain.name)?;
            }
        }
        let maps = match scaled {
            None => scaling(&sources, &target, params.scaling),
            Some(columns) => scaling_within(&sources, &target, params.scaling, columns),
        };
        Ok(FittedFeatures {
            sources: sources.into_iter().zip(&maps.sources).map(|(x, map)| map.apply_to(Cow::Owned(x))).collect(),
            target: maps.target.apply_to(Cow::Owned(target)),
            pipeline: Self { params, encoder, target_scaling: maps.target },
            memory_bytes,
        })
    }

    /// The columns that a table must have.
    pub fn inputs(&self) -> Vec<(&str, Kind)> {
        self.encoder.inputs().collect()
    }

    /// The words that a column of words had in training.
    pub fn levels_of(&self, name: &str) -> Option<&[String]> {
        self.encoder.levels_of(name)
    }

    /// Whether any column of the table is free text, which files of older versions have no place for.
    pub fn has_text(&self) -> bool {
        self.encoder.has_text()
    }

    pub fn params(&self) -> FeatureParams {
        self.params
    }

    /// The number of columns of the matrix.
    pub fn n_features(&self) -> usize {
        self.encoder.n_outputs()
    }

    /// Rows of the target as a matrix, `(n, d)`; other columns are ignored.
    ///
    /// # Errors
    /// Every column that is missing and every value that does not fit, up to twenty.
    pub fn transform(&self, table: &Table) -> Result<Matrix, Vec<InputProblem>> {
        let x = self.encoder.transform(table, &|| true)?;
        let refused = |at: Option<(usize, &str)>, code: &'static str, detail: String| match at {
            Some((row, column)) => Err(vec![InputProblem { code, row: Some(row), column: column.to_owned(), detail }]),
            None => Ok(()),
        };
        let large = self.encoder.first_where(&x, |v| v.abs() > LARGEST);
        refused(large, "not_finite", format!("the value is beyond {LARGEST:e}, so that its square is not finite"))?;
        if self.params.scaling == Scaling::TfIdf {
            let scaled = scaled_columns(&self.encoder, &self.params);
            let negative = self.encoder.first_among(&x, scaled.as_deref(), |v| v < 0.0);
            refused(negative, "negative_number", "tf_idf takes counts, which are not below 0".into())?;
        }
        Ok(self.target_scaling.apply_to(Cow::Owned(x)))
    }

    pub fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put("params", self.params).put("encoder", &self.encoder);
        parts.put_child("target_scaling", self.target_scaling.save());
        parts
    }

    /// # Errors
    /// [`LoadError`] where sizes do not fit together.
    pub fn load(parts: &Parts) -> Result<Self, LoadError> {
        let encoder: Encoder = parts.get("encoder")?;
        encoder.check_loaded()?;
        let (target_scaling, width) = Map::load(parts.child("target_scaling")?, encoder.n_outputs())?;
        if width != encoder.n_outputs() {
            return Err(LoadError("the scaling changes the number of columns".into()));
        }
        Ok(Self { params: parts.get("params")?, encoder, target_scaling })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;

    use super::*;
    use crate::data::{Column, Role, Values};
    use crate::features::{Imputation, MissingIndicator, UnseenCategory};

    fn domain(numbers: &[Option<f64>], words: &[Option<&str>]) -> DomainTable {
        let columns = vec![
            Column { name: "n".into(), values: Values::Number(numbers.to_vec()) },
            Column { name: "w".into(), values: Values::categories(words.iter().copied()) },
        ];
        DomainTable { name: "d".into(), table: Table::new(columns), roles: vec![Role::Feature; 2] }
    }

    fn fit(params: FeatureParams) -> FittedFeatures {
        let source = domain(&[Some(1.0), Some(3.0), None], &[Some("a"), Some("b"), None]);
        let target = domain(&[Some(10.0), Some(30.0)], &[Some("a"), Some("c")]);
        Pipeline::fit(&[source], &target, params).expect("two shared columns")
    }

    #[test]
    fn numbers_are_imputed_and_words_one_hot_encoded() {
        let fitted = fit(FeatureParams { scaling: Scaling::None, ..Default::default() });
        // n, n missing, w = a, b, c, w missing; the median of 1, 3, 10, 30 is 6.5.
        let expected = ndarray::array![
            [1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            [3.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            [6.5, 1.0, 0.0, 0.0, 0.0, 1.0],
        ];
        assert_eq!(fitted.sources[0].dense().as_ref(), expected);
    }

    #[test]
    fn indicators_can_be_left_out_and_means_imputed() {
        let params = FeatureParams {
            scaling: Scaling::None,
            imputation: Imputation::Mean,
            missing_indicator: MissingIndicator::Omit,
            ..Default::default()
        };
        assert_eq!(fit(params).sources[0].dense()[(2, 0)], 11.0);
        assert_eq!(fit(params).pipeline.n_features(), 4);
    }

    #[test]
    fn z_scores_are_of_both_domains_or_of_each() {
        let joint = fit(FeatureParams::default());
        let all = ndarray::concatenate![Axis(0), joint.sources[0].dense().view(), joint.target.dense().view()];
        assert!(all.mean_axis(Axis(0)).expect("rows").iter().all(|m| m.abs() < 1e-12));
        let own = fit(FeatureParams { scaling: Scaling::DomainZScore, ..Default::default() });
        assert!(own.target.dense().mean_axis(Axis(0)).expect("rows").iter().all(|m| m.abs() < 1e-12));
        assert!((own.target.dense()[(0, 0)] + 0.5_f64.sqrt()).abs() < 1e-12, "deviation with n - 1");
    }

    #[test]
    fn every_scaling_predicts_training_rows_as_it_fitted_them_also_after_loading() {
        let target = domain(&[Some(10.0), Some(30.0)], &[Some("a"), Some("c")]);
        for scaling in [
            Scaling::None,
            Scaling::JointZScore,
            Scaling::DomainZScore,
            Scaling::L2Rows,
            Scaling::RowSumDomainZScore,
            Scaling::TfIdf,
        ] {
            let fitted = fit(FeatureParams { scaling, ..Default::default() });
            let loaded = Pipeline::load(&fitted.pipeline.save()).expect("what was saved loads");
            assert_eq!(loaded, fitted.pipeline);
            assert_eq!(loaded.transform(&target.table), Ok(fitted.target), "{scaling:?}");
        }
    }

    #[test]
    fn input_that_does_not_fit_is_named() {
        let strict = fit(FeatureParams { unseen_category: UnseenCategory::Error, ..Default::default() }).pipeline;
        let words = |n: &str, w: &str| {
            Table::new(vec![
                Column { name: "n".into(), values: Values::categories([Some(n)]) },
                Column { name: "w".into(), values: Values::categories([Some(w)]) },
            ])
        };
        assert!(strict.transform(&words("2.5", "a")).is_ok(), "a word that is a number is one");
        let codes = |t: &Table| -> Vec<&'static str> {
            strict.transform(t).expect_err("bad input").iter().map(|p| p.code).collect()
        };
        assert_eq!(codes(&words("x", "zzz")), ["not_a_number", "unknown_category"]);
        assert_eq!(codes(&Table::new(vec![])), ["missing_column", "missing_column"]);
        let relaxed = fit(FeatureParams::default()).pipeline;
        assert!(relaxed.transform(&words("1", "zzz")).is_ok());
    }

    #[test]
    fn a_value_too_large_to_square_is_no_input_either() {
        let rows = domain(&[Some(2.0), Some(-1e155)], &[Some("a"), Some("b")]).table;
        let problems = fit(FeatureParams::default()).pipeline.transform(&rows).expect_err("1e155");
        assert_eq!((problems[0].code, problems[0].row, problems[0].column.as_str()), ("not_finite", Some(1), "n"));
    }

    #[test]
    fn a_value_too_large_to_square_is_named() {
        let good = domain(&[Some(1.0)], &[Some("a")]);
        let huge = domain(&[Some(2.0), Some(1e300)], &[Some("a"), Some("b")]);
        let huge = DomainTable { name: "huge@1".into(), ..huge };
        let error = Pipeline::fit(&[good], &huge, FeatureParams::default()).expect_err("1e300").to_string();
        assert!(error.contains("\"n\" of huge@1, row 2"), "{error}");
    }

    /// Three documents of two words as scikit-learn's `TfidfTransformer(sublinear_tf=True)` weighs them.
    #[test]
    fn tf_idf_is_the_formula_on_source_and_target_together() {
        let counts = |a: &[f64], b: &[f64]| {
            let column = |name: &str, v: &[f64]| Column {
                name: name.into(),
                values: Values::Number(v.iter().copied().map(Some).collect()),
            };
            let table = Table::new(vec![column("a", a), column("b", b)]);
            DomainTable { name: "d@1".into(), table, roles: vec![Role::Feature; 2] }
        };
        let params = FeatureParams { scaling: Scaling::TfIdf, ..Default::default() };
        let target = counts(&[1.0], &[0.0]);
        let fitted = Pipeline::fit(&[counts(&[3.0, 2.0], &[1.0, 0.0])], &target, params).expect("counts");
        // idf of a word of all three rows is 1, of one row ln(4/2) + 1.
        let (a, b) = (1.0 + 3f64.ln(), 2f64.ln() + 1.0);
        let length = a.hypot(b);
        let expected = ndarray::array![[a / length, b / length], [1.0, 0.0]];
        assert!((fitted.sources[0].dense().as_ref() - &expected).iter().all(|v| v.abs() < 1e-15));
        let bad = counts(&[1.0, 1.0], &[0.0, -2.0]);
        let error =
            Pipeline::fit(std::slice::from_ref(&bad), &target, params).expect_err("a negative count").to_string();
        assert!(error.contains("\"b\" of d@1, row 2"), "{error}");
        let problems = fitted.pipeline.transform(&bad.table).expect_err("a negative count");
        assert_eq!((problems[0].row, problems[0].column.as_str()), (Some(1), "b"));
    }

    #[test]
    fn wide_columns_of_zeros_stay_sparse_and_mean_the_same_as_dense_ones() {
        let (n, d) = (40, 300);
        let cell = |i: usize, j: usize| if (i * 7 + j).is_multiple_of(23) { (1 + i % 3) as f64 } else { 0.0 };
        let domain = |sparse: bool| {
            let columns = (0..d).map(|j| {
                let all: Vec<f64> = (0..n).map(|i| cell(i, j)).collect();
                let rows: Vec<u32> = (0..n as u32).filter(|i| all[*i as usize] != 0.0).collect();
                let values = rows.iter().map(|i| all[*i as usize]).collect();
                let values = match sparse {
                    true => Values::Sparse { rows, values, n_rows: n },
                    false => Values::Number(all.into_iter().map(Some).collect()),
                };
                Column { name: format!("x{j}"), values }
            });
            DomainTable { name: "d".into(), table: Table::new(columns.collect()), roles: vec![Role::Feature; d] }
        };
        let (sparse, dense) = (domain(true), domain(false));
        for scaling in [Scaling::None, Scaling::TfIdf, Scaling::JointZScore, Scaling::RowSumDomainZScore] {
            let params = FeatureParams { scaling, ..Default::default() };
            let of = |t: &DomainTable| Pipeline::fit(std::slice::from_ref(t), t, params).expect("columns");
            assert_eq!(of(&sparse), of(&dense), "{scaling:?}");
            let is_sparse = matches!(of(&sparse).target, Matrix::Sparse(_));
            assert_eq!(is_sparse, matches!(scaling, Scaling::None | Scaling::TfIdf), "{scaling:?}");
            let rows = [3, 39, 3, 0];
            assert_eq!(sparse.select_rows(&rows).table.columns()[9].values.number(1), Some(cell(39, 9)));
            assert_eq!(
                of(&sparse).pipeline.transform(&sparse.select_rows(&rows).table),
                of(&dense).pipeline.transform(&dense.select_rows(&rows).table)
            );
        }
    }

    #[test]
    fn wide_one_hot_columns_stay_sparse_until_they_are_centred() {
        let words: Vec<String> = (0..400).map(|i| format!("w{i:03}")).collect();
        let wide: Vec<Option<&str>> = words.iter().map(|w| Some(w.as_str())).collect();
        let table = domain(&vec![Some(1.0); 400], &wide);
        let fit = |scaling| {
            let params = FeatureParams { scaling, ..Default::default() };
            Pipeline::fit(std::slice::from_ref(&table), &table, params).expect("shared columns").target
        };
        assert!(matches!(fit(Scaling::None), Matrix::Sparse(_)));
        assert!(matches!(fit(Scaling::L2Rows), Matrix::Sparse(_)));
        assert!(matches!(fit(Scaling::JointZScore), Matrix::Dense(_)));
    }
}
