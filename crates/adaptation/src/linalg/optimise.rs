//! A minimiser of smooth functions of many variables: L-BFGS with a line search for the strong Wolfe
//! conditions (Nocedal and Wright 2006, algorithms 7.4, 7.5, 3.5 and 3.6).
//!
//! It knows nothing of progress or cancelling: the caller's functions are asked at every step, and
//! their error ends the search.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use ndarray::Array1;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub max_iterations: usize,
    /// The search ends where no component of the gradient is larger than this.
    pub gradient_tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_iterations: 2000, gradient_tolerance: 1e-8 }
    }
}

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The gradient is within tolerance.
    Gradient,
    /// No step lowers the value by more than rounding.
    Precision,
    /// The iterations are used up.
    Iterations,
    /// The observer asked for it.
    Asked,
}

/// Where the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    pub x: Array1<f64>,
    pub value: f64,
    /// The largest magnitude in the gradient.
    pub gradient_norm: f64,
    /// The same at the start.
    pub initial_gradient_norm: f64,
    pub iterations: usize,
    pub stop: Stop,
}

impl Minimum {
    /// Whether `x` is a minimum within tolerance or rounding.
    pub fn converged(&self) -> bool {
        matches!(self.stop, Stop::Gradient | Stop::Precision)
    }
}

/// The state after one iteration, as the observer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Iteration<'a> {
    /// From 1.
    pub number: usize,
    pub x: &'a Array1<f64>,
    pub value: f64,
}

/// Pairs of steps and changes of gradient that are kept.
const HISTORY: usize = 12;
/// Sufficient decrease, and curvature.
const C1: f64 = 1e-4;
const C2: f64 = 0.9;
const MAX_TRIALS: usize = 40;
/// Values that differ by less than this, relatively, are equal.
const ROUNDING: f64 = 1e-15;
/// Iterations without progress beyond rounding after which the search ends.
const STALLED: usize = 5;

#[derive(Clone)]
struct Point {
    x: Array1<f64>,
    value: f64,
    gradient: Array1<f64>,
}

impl Point {
    fn at<E>(x: Array1<f64>, f: &mut impl FnMut(&Array1<f64>) -> Result<(f64, Array1<f64>), E>) -> Result<Point, E> {
        let (value, gradient) = f(&x)?;
        Ok(Point { x, value, gradient })
    }

    fn norm(&self) -> f64 {
        self.gradient.iter().fold(0.0, |m, g| if g.abs() > m || g.is_nan() { g.abs() } else { m })
    }
}

/// Minimises `f`, which gives value and gradient, from `x0`. `observe` is called after every
/// iteration and may end the search.
///
/// # Errors
/// The first error of `f` or `observe`.
pub fn minimise<E>(
    mut f: impl FnMut(&Array1<f64>) -> Result<(f64, Array1<f64>), E>,
    x0: Array1<f64>,
    options: &Options,
    mut observe: impl FnMut(Iteration<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<Minimum, E> {
    let mut here = Point::at(x0, &mut f)?;
    let initial_gradient_norm = here.norm();
    let mut memory = Memory::default();
    let mut stalled = 0;
    let mut done = 0;
    let stop = loop {
        if here.norm() <= options.gradient_tolerance {
            break Stop::Gradient;
        }
        if done == options.max_iterations {
            break Stop::Iterations;
        }
        let mut direction = memory.direction(&here.gradient);
        if direction.dot(&here.gradient) >= 0.0 {
            // Rounding spoilt the history.
            memory = Memory::default();
            direction = -&here.gradient;
        }
        let first = if memory.pairs.is_empty() { (1.0 / l2(&here.gradient)).min(1.0) } else { 1.0 };
        let Some(next) = line_search(&mut f, &here, &direction, first)? else {
            if memory.pairs.is_empty() {
                break Stop::Precision;
            }
            memory = Memory::default();
            continue;
        };
        done += 1;
        memory.push(&next.x - &here.x, &next.gradient - &here.gradient);
        let rounding = ROUNDING * here.value.abs().max(f64::MIN_POSITIVE);
        stalled = if here.value - next.value > rounding { 0 } else { stalled + 1 };
        here = next;
        if observe(Iteration { number: done, x: &here.x, value: here.value })?.is_break() {
            break Stop::Asked;
        }
        if stalled == STALLED {
            break Stop::Precision;
        }
    };
    let gradient_norm = here.norm();
    Ok(Minimum { x: here.x, value: here.value, gradient_norm, initial_gradient_norm, iterations: done, stop })
}

fn l2(v: &Array1<f64>) -> f64 {
    v.dot(v).sqrt()
}

/// What is remembered of the curvature.
#[derive(Default)]
struct Memory {
    /// `(s, y, 1 / sᵀy)`, oldest first.
    pairs: VecDeque<(Array1<f64>, Array1<f64>, f64)>,
}

impl Memory {
    fn push(&mut self, s: Array1<f64>, y: Array1<f64>) {
        let sy = s.dot(&y);
        // Only positive curvature keeps the approximation positive definite.
        if sy > f64::EPSILON * y.dot(&y) {
            if self.pairs.len() == HISTORY {
                self.pairs.pop_front();
            }
            self.pairs.push_back((s, y, 1.0 / sy));
        }
    }

    /// `−H g` by the two loops of algorithm 7.4.
    fn direction(&self, gradient: &Array1<f64>) -> Array1<f64> {
        let mut q = -gradient;
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for (s, y, rho) in self.pairs.iter().rev() {
            let alpha = rho * s.dot(&q);
            q.scaled_add(-alpha, y);
            alphas.push(alpha);
        }
        if let Some((_, y, rho)) = self.pairs.back() {
            q *= 1.0 / (rho * y.dot(y));
        }
        for ((s, y, rho), alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * y.dot(&q);
            q.scaled_add(alpha - beta, s);
        }
        q
    }
}

/// One tried step length.
#[derive(Clone)]
struct Trial {
    step: f64,
    slope: f64,
    point: Point,
}

/// A point along `direction` that satisfies the strong Wolfe conditions, or at least lowers the value;
/// `None` where no step does. The first step tried is `first`.
fn line_search<E>(
    f: &mut impl FnMut(&Array1<f64>) -> Result<(f64, Array1<f64>), E>,
    here: &Point,
    direction: &Array1<f64>,
    first: f64,
) -> Result<Option<Point>, E> {
    let slope = here.gradient.dot(direction);
    let mut try_step = |step: f64| -> Result<Trial, E> {
        let point = Point::at(&here.x + &(direction * step), f)?;
        Ok(Trial { step, slope: point.gradient.dot(direction), point })
    };
    let slack = ROUNDING * here.value.abs();
    let low_enough = |t: &Trial| t.point.value <= here.value + C1 * t.step * slope + slack;
    // A value that is not finite is too large.
    let too_high = |t: &Trial| !low_enough(t);
    let flat = |t: &Trial| t.slope.abs() <= -C2 * slope;
    let mut low = Trial { step: 0.0, slope, point: here.clone() };
    let mut high: Option<Trial> = None;
    let mut step = first;
    for _ in 0..MAX_TRIALS {
        let trial = try_step(step)?;
        if too_high(&trial) || (low.step > 0.0 && trial.point.value > low.point.value + slack) {
            high = Some(trial);
        } else if flat(&trial) {
            return Ok(Some(trial.point));
        } else {
            let beyond = if high.as_ref().is_some_and(|h| h.step < low.step) { -trial.slope } else { trial.slope };
            if beyond >= 0.0 {
                high = Some(std::mem::replace(&mut low, trial));
            } else {
                low = trial;
            }
        }
        step = match &high {
            None => 2.0 * low.step,
            Some(high) if (high.step - low.step).abs() <= 1e-14 * low.step.max(high.step) => break,
            Some(high) => between(&low, high),
        };
    }
    Ok((low.step > 0.0).then_some(low.point))
}

/// The minimum of the cubic through both ends of an interval, kept away from the ends.
fn between(a: &Trial, b: &Trial) -> f64 {
    let width = b.step - a.step;
    let middle = a.step + 0.5 * width;
    let d1 = a.slope + b.slope - 3.0 * (a.point.value - b.point.value) / (a.step - b.step);
    let square = d1 * d1 - a.slope * b.slope;
    if square.is_nan() || square < 0.0 {
        return middle;
    }
    let d2 = width.signum() * square.sqrt();
    let step = b.step - width * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2);
    let position = (step - a.step) / width;
    if position.is_finite() { a.step + width * position.clamp(0.1, 0.9) } else { middle }
}
