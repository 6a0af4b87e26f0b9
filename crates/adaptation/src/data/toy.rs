//! Small seeded problems, one for each kind of shift, on which tests and documentation show what a
//! method is for. Every target label is known to the hold-out, and to the problem only where asked.

use std::f64::consts::FRAC_PI_4;

use ndarray::Array2;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::{Dataset, Holdout, Labels, Problem, Task};
use crate::linalg::Matrix;

/// What differs between the domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// p(x): the target lies where the boundary runs another way; p(y | x) is one curve for both.
    Covariate,
    /// p(y): three of four source rows are of class 0, one of four target rows.
    Label,
    /// p(y | x): the boundary is turned.
    Concept,
    /// A direction of small variance gives the label away in the source and misleads in the target.
    Subspace,
    /// The target's columns are scaled and moved.
    Affine,
}

/// The sizes of a toy problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub n_source: usize,
    pub n_target: usize,
    /// At least 3.
    pub n_features: usize,
    /// How many target rows, the first ones, show their label to the fit.
    pub n_labelled: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { n_source: 200, n_target: 150, n_features: 4, n_labelled: 0 }
    }
}

/// One domain before it becomes a dataset.
struct Drawn {
    x: Array2<f64>,
    codes: Vec<usize>,
}

/// A problem of two classes under a shift, and what scoring sees of it.
///
/// # Panics
/// With fewer than three features.
pub fn classification(shift: Shift, size: Size, rng: &mut ChaCha8Rng) -> (Problem, Holdout) {
    assert!(size.n_features >= 3, "a toy problem has at least three features");
    let source = draw(shift, false, (size.n_source, size.n_features), rng);
    let target = draw(shift, true, (size.n_target, size.n_features), rng);
    let classes = vec!["no".to_owned(), "yes".to_owned()];
    let shown = |i: usize, code: &usize| (i < size.n_labelled).then_some(*code);
    let all = |codes: &[usize]| Labels::Classes(codes.iter().map(|c| Some(*c)).collect());
    let target_labels = Labels::Classes(target.codes.iter().enumerate().map(|(i, c)| shown(i, c)).collect());
    let holdout = Holdout { x: Matrix::Dense(target.x.clone()), labels: all(&target.codes), classes: classes.clone() };
    let problem = Problem {
        task: Task::Classification { classes },
        sources: vec![Dataset { x: Matrix::Dense(source.x), labels: all(&source.codes), weights: None }],
        target: Dataset { x: Matrix::Dense(target.x), labels: target_labels, weights: None },
    };
    (problem, holdout)
}

/// A regression problem under the same shift: the value is 3 · code plus noise of deviation 0.1.
pub fn regression(shift: Shift, size: Size, rng: &mut ChaCha8Rng) -> (Problem, Holdout) {
    let (mut problem, mut holdout) = classification(shift, size, rng);
    let Labels::Classes(codes) = &holdout.labels else { return (problem, holdout) };
    let values: Vec<f64> = codes.iter().flatten().map(|c| 3.0 * *c as f64 + 0.1 * normal(rng)).collect();
    problem.target.labels =
        Labels::Values(values.iter().enumerate().map(|(i, v)| (i < size.n_labelled).then_some(*v)).collect());
    holdout.labels = Labels::Values(values.into_iter().map(Some).collect());
    holdout.classes.clear();
    for source in &mut problem.sources {
        if let Labels::Classes(codes) = &source.labels {
            let values = codes.iter().map(|c| c.map(|c| 3.0 * c as f64 + 0.1 * normal(rng))).collect();
            source.labels = Labels::Values(values);
        }
    }
    problem.task = Task::Regression;
    (problem, holdout)
}

fn draw(shift: Shift, target: bool, (n, d): (usize, usize), rng: &mut ChaCha8Rng) -> Drawn {
    let mut x = Array2::zeros((n, d));
    let mut codes = Vec::with_capacity(n);
    for (i, mut row) in x.outer_iter_mut().enumerate() {
        row.iter_mut().for_each(|v| *v = normal(rng));
        let code = match shift {
            Shift::Covariate => {
                // y = [x₁ > x₀²]: the best line falls on the left and rises on the right.
                row[0] = if target { 1.1 + 0.7 * row[0] } else { 1.3 * row[0] };
                row[1] = row[0] * row[0] + 1.5 * row[1];
                usize::from(row[1] > row[0] * row[0])
            }
            Shift::Label => {
                let code = usize::from(rng.random_bool(if target { 0.75 } else { 0.25 }));
                row[0] += 1.6 * code as f64;
                code
            }
            Shift::Concept => {
                let angle = if target { 1.6 * FRAC_PI_4 } else { 0.0 };
                usize::from(row[0] * angle.cos() + row[1] * angle.sin() > 0.0)
            }
            Shift::Subspace => {
                let code = i % 2;
                let sign = 2.0 * code as f64 - 1.0;
                row[0] += 2.0 * sign;
                row[1] *= 1.5;
                row.iter_mut().skip(2).for_each(|v| *v *= 0.1);
                row[2] += if target { -0.6 * sign } else { 0.6 * sign };
                code
            }
            Shift::Affine => {
                let code = i % 2;
                row[0] += 3.0 * code as f64;
                row[1] += 2.0 * code as f64;
                if target {
                    row.iter_mut().enumerate().for_each(|(j, v)| *v = *v * (1.0 + 0.5 * j as f64) + 4.0);
                }
                code
            }
        };
        codes.push(code);
    }
    Drawn { x, codes }
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const ALL: [Shift; 5] = [Shift::Covariate, Shift::Label, Shift::Concept, Shift::Subspace, Shift::Affine];

    #[test]
    fn a_seed_gives_one_problem_and_shows_only_the_labels_asked_for() {
        for shift in ALL {
            let size = Size { n_labelled: 7, ..Size::default() };
            let draw = |seed| classification(shift, size, &mut ChaCha8Rng::seed_from_u64(seed));
            let (problem, holdout) = draw(5);
            assert_eq!(draw(5), (problem.clone(), holdout.clone()));
            assert_ne!(draw(6).0, problem);
            assert_eq!(problem.target.labels.known_rows(), (0..7).collect::<Vec<_>>());
            assert_eq!(holdout.labels.known_rows().len(), size.n_target);
            assert_eq!(problem.check(), Ok(()));
        }
    }

    #[test]
    fn values_follow_the_classes() {
        let (problem, holdout) = regression(Shift::Affine, Size::default(), &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(problem.task, Task::Regression);
        let Labels::Values(values) = holdout.labels else { panic!("regression has values") };
        assert!(values.iter().flatten().all(|v| v.abs() < 1.0 || (v - 3.0).abs() < 1.0));
    }
}
