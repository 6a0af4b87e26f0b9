//! The checks of methods. Each answers what is wrong, and is shown in [`super::broken`] to notice it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use adaptation::context::{Ctx, FitError, Silent};
use adaptation::data::toy::Shift;
use adaptation::data::{Dataset, Holdout, Labels, Problem, Task, TaskKind};
use adaptation::features::Map;
use adaptation::methods::{Method, Needs, Toy};
use ndarray::{Array2, Axis, concatenate, s};
use serde_json::{Value, json};

use super::least_squares;
use super::schema_checks::bounds_refuse_just_outside;
use super::support::{
    Outcome, StopsAt, fit, fit_in, fitted_numbers, near, numbers, own_shift, predict, problem, score, usual,
};

pub(crate) type Check = fn(&dyn Method) -> Outcome;

pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("defaults_are_valid", defaults_are_valid),
    ("bounds_refuse_just_outside", bounds),
    ("fits_every_task_of_its_card", fits_every_task_of_its_card),
    ("same_seed_same_bits", same_seed_same_bits),
    ("order_of_source_rows_does_not_matter", order_of_source_rows_does_not_matter),
    ("odd_data_does_not_panic", odd_data_does_not_panic),
    ("not_finite_is_refused_with_its_place", not_finite_is_refused_with_its_place),
    ("saved_and_loaded_predicts_the_same", saved_and_loaded_predicts_the_same),
    ("one_row_is_predicted_as_in_a_batch", one_row_is_predicted_as_in_a_batch),
    ("cancel_is_honoured", cancel_is_honoured),
    ("budget_is_honoured", budget_is_honoured),
    ("several_sources_are_taken", several_sources_are_taken),
    ("target_labels_are_used_as_the_card_says", target_labels_are_used_as_the_card_says),
    ("beats_source_only_on_its_toy", beats_source_only_on_its_toy),
    ("equal_domains_change_nothing", equal_domains_change_nothing),
];

fn ensure(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn defaults_are_valid(method: &dyn Method) -> Outcome {
    for params in [Value::Null, json!({})] {
        method.check(&params).map_err(|e| format!("{params}: {e}"))?;
    }
    // The defaults that the schema shows are accepted when they are sent back, null for left out.
    for (name, property) in method.schema()["properties"].as_object().into_iter().flatten() {
        if let Some(default) = property.get("default") {
            method.check(&json!({ name.as_str(): default })).map_err(|e| format!("default of {name}: {e}"))?;
        }
    }
    Ok(())
}

fn bounds(method: &dyn Method) -> Outcome {
    bounds_refuse_just_outside(&method.schema(), |params| method.check(params).is_ok())
}

fn fits_every_task_of_its_card(method: &dyn Method) -> Outcome {
    for &task in method.card().tasks {
        let (problem, _) = problem(method, task, own_shift(method), 2);
        let got = fitted_numbers(method, &problem).map_err(|e| format!("{task:?}: {e}"))?;
        ensure(got.iter().all(|v| v.is_finite()), format!("{task:?}: a prediction is not finite"))?;
        ensure(got.iter().any(|v| *v != got[0]), format!("{task:?}: all predictions are equal"))?;
    }
    Ok(())
}

fn same_seed_same_bits(method: &dyn Method) -> Outcome {
    let problem = usual(method);
    let (first, again) = (fitted_numbers(method, &problem)?, fitted_numbers(method, &problem)?);
    ensure(first == again, "two fits of one seed differ")?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|e| e.to_string())?;
    let alone = pool.install(|| fitted_numbers(method, &problem))?;
    ensure(first == alone, "one thread gives other bits")
}

fn order_of_source_rows_does_not_matter(method: &dyn Method) -> Outcome {
    let sorted = usual(method);
    let mut turned = sorted.clone();
    for source in &mut turned.sources {
        let rows: Vec<usize> = (0..source.n_rows()).map(|i| (i * 7 + 3) % source.n_rows()).collect();
        *source = source.select_rows(&rows);
    }
    near(&fitted_numbers(method, &turned)?, &fitted_numbers(method, &sorted)?, 1e-6)
}

fn odd_data_does_not_panic(method: &dyn Method) -> Outcome {
    for (name, problem) in odd_problems(method) {
        let fitted = catch_unwind(AssertUnwindSafe(|| fitted_numbers(method, &problem)));
        match fitted {
            Err(_) => return Err(format!("{name}: panic")),
            Ok(Ok(got)) if got.iter().any(|v| !v.is_finite()) => {
                return Err(format!("{name}: a prediction is not finite"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn odd_problems(method: &dyn Method) -> Vec<(&'static str, Problem)> {
    let usual = usual(method);
    let with_x = |change: &dyn Fn(&Array2<f64>) -> Array2<f64>| {
        let mut problem = usual.clone();
        for dataset in problem.sources.iter_mut().chain([&mut problem.target]) {
            dataset.x = change(&dataset.x.dense()).into();
        }
        problem
    };
    let cut = |problem: &Problem, n_source: usize, n_target: usize| {
        let mut problem = problem.clone();
        problem.sources[0] = problem.sources[0].select_rows(&(0..n_source).collect::<Vec<_>>());
        problem.target = problem.target.select_rows(&(0..n_target).collect::<Vec<_>>());
        problem
    };
    let constant = |x: &Array2<f64>| {
        let mut x = x.clone();
        x.column_mut(1).fill(0.1);
        x
    };
    let wide = |x: &Array2<f64>| {
        let shifted = Array2::from_shape_fn((x.nrows(), 20), |(i, j)| x[[(i + j) % x.nrows(), j % x.ncols()]]);
        concatenate![Axis(1), *x, shifted]
    };
    let doubled = |x: &Array2<f64>| concatenate![Axis(1), *x, *x];
    let mut one_class = usual.clone();
    if let Labels::Classes(codes) = &mut one_class.sources[0].labels {
        codes.fill(Some(0));
    }
    let mut constant_in_target = usual.clone();
    constant_in_target.target.x = constant(&usual.target.x.dense()).into();
    let four = usual.n_features();
    vec![
        ("a constant feature", with_x(&constant)),
        ("a feature constant in the target only", constant_in_target),
        ("one class", one_class),
        ("one column", with_x(&|x| x.slice(s![.., ..1]).to_owned())),
        ("as many rows as columns", cut(&usual, four, four)),
        ("more columns than rows", cut(&with_x(&wide), 12, 9)),
        ("many source rows, few target rows", cut(&usual, 200, 6)),
        ("few source rows, many target rows", cut(&usual, 6, 150)),
        ("one row each", cut(&usual, 1, 1)),
        ("duplicated columns", with_x(&doubled)),
        ("all rows equal", with_x(&|x| Array2::from_elem(x.dim(), 1.0 / 3.0))),
        ("all zero", with_x(&|x| Array2::zeros(x.dim()))),
        ("large numbers", with_x(&|x| x * 1e12 + 1e15)),
        ("small numbers", with_x(&|x| x * 1e-150)),
        ("duplicated rows", duplicated(&usual)),
    ]
}

fn duplicated(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    let twice = |dataset: &Dataset| {
        let rows: Vec<usize> = (0..dataset.n_rows()).chain(0..dataset.n_rows()).collect();
        dataset.select_rows(&rows)
    };
    problem.sources = problem.sources.iter().map(twice).collect();
    problem.target = twice(&problem.target);
    problem
}

fn not_finite_is_refused_with_its_place(method: &dyn Method) -> Outcome {
    for value in [f64::NAN, f64::INFINITY] {
        for in_source in [true, false] {
            let mut problem = usual(method);
            let dataset = if in_source { &mut problem.sources[0] } else { &mut problem.target };
            let mut x = dataset.x.dense().into_owned();
            x[[3, 1]] = value;
            dataset.x = x.into();
            match fit(method, &problem).map(drop) {
                Err(FitError::Degenerate(why)) if why.contains("row 3") && why.contains("column 1") => {}
                other => return Err(format!("{value}: {other:?}")),
            }
        }
    }
    Ok(())
}

fn saved_and_loaded_predicts_the_same(method: &dyn Method) -> Outcome {
    let problem = usual(method);
    let fitted = fit(method, &problem).map_err(|e| e.to_string())?;
    let d = problem.n_features();
    let (target, k) = Map::load(&fitted.maps.target.save(), d).map_err(|e| e.to_string())?;
    let predictor = method.load(least_squares::LEARNER, &fitted.predictor.save()).map_err(|e| e.to_string())?;
    ensure(predictor.n_features() == k, "the map makes another number of columns than the model takes")?;
    for (map, source) in fitted.maps.sources.iter().zip(&problem.sources) {
        let (loaded, _) = Map::load(&map.save(), d).map_err(|e| e.to_string())?;
        ensure(loaded.apply(&source.x) == map.apply(&source.x), "a source's map changed on its way")?;
    }
    let loaded = numbers(&predictor.predict(&target.apply(&problem.target.x)));
    ensure(loaded == predict(&fitted, &problem.target.x), "predictions changed on their way")
}

fn one_row_is_predicted_as_in_a_batch(method: &dyn Method) -> Outcome {
    let problem = usual(method);
    let fitted = fit(method, &problem).map_err(|e| e.to_string())?;
    let all = predict(&fitted, &problem.target.x);
    let width = all.len() / problem.target.n_rows();
    for row in [0, 71, 149] {
        let one = predict(&fitted, &problem.target.x.select_rows(&[row]));
        near(&one, &all[row * width..(row + 1) * width], 1e-9).map_err(|e| format!("row {row}: {e}"))?;
    }
    Ok(())
}

fn cancel_is_honoured(method: &dyn Method) -> Outcome {
    let problem = usual(method);
    let patient = StopsAt::new(usize::MAX);
    fit_in(method, &problem, &mut Ctx::new(7, &patient)).map_err(|e| e.to_string())?;
    let questions = patient.questions.load(Ordering::SeqCst);
    ensure(questions >= 2, "the fit asks less than twice whether to go on")?;
    let every = questions.div_ceil(20);
    for last in (0..questions).step_by(every) {
        let stop = StopsAt::new(last);
        match fit_in(method, &problem, &mut Ctx::new(7, &stop)).map(drop) {
            Err(FitError::Cancelled) => {}
            other => return Err(format!("told to stop at question {last}, it answered {other:?}")),
        }
        // Threads that were under way may each ask once more.
        let after = stop.questions.load(Ordering::SeqCst) - last;
        ensure(after <= 16, format!("it asked {after} times more after it was told to stop"))?;
    }
    Ok(())
}

fn budget_is_honoured(method: &dyn Method) -> Outcome {
    let problem = usual(method);
    let needed = method.memory_bytes(&problem, &Value::Null);
    fit_in(method, &problem, &mut Ctx::new(7, &Silent).with_memory(needed)).map_err(|e| e.to_string())?;
    if needed == 0 {
        return ensure(method.card().cost.starts_with("that of the learner"), "it says that it needs no memory");
    }
    match fit_in(method, &problem, &mut Ctx::new(7, &Silent).with_memory(needed - 1)).map(drop) {
        Err(FitError::OutOfMemoryBudget { .. }) => Ok(()),
        other => Err(format!("with a byte too little it answered {other:?}")),
    }
}

fn several_sources_are_taken(method: &dyn Method) -> Outcome {
    let mut problem = usual(method);
    let source = problem.sources[0].clone();
    let rows: Vec<usize> = (0..source.n_rows()).collect();
    problem.sources = vec![source.select_rows(&rows[..90]), source.select_rows(&rows[90..])];
    let fitted = fit(method, &problem).map_err(|e| e.to_string())?;
    ensure(fitted.maps.sources.len() == 2, "not one map for each source")?;
    ensure(fitted.weights.is_none_or(|w| w.len() == rows.len()), "not one weight for each source row")?;
    let got = fitted_numbers(method, &problem)?;
    ensure(got.iter().all(|v| v.is_finite()), "a prediction is not finite")
}

fn target_labels_are_used_as_the_card_says(method: &dyn Method) -> Outcome {
    let mut hidden = usual(method);
    hidden.target.labels = hidden.target.labels.hidden();
    let mut shown = hidden.clone();
    // Labels that are all the same, so that whoever looks at them is led astray.
    shown.target.labels = match (&hidden.target.labels, &hidden.task) {
        (Labels::Classes(v), _) => Labels::Classes(vec![Some(0); v.len()]),
        (Labels::Values(v), Task::Regression | Task::Classification { .. }) => Labels::Values(vec![Some(0.0); v.len()]),
    };
    match method.card().needs {
        Needs::Nothing => {
            let (with, without) = (fitted_numbers(method, &shown)?, fitted_numbers(method, &hidden)?);
            ensure(with == without, "target labels change the result of a method that needs none")
        }
        Needs::TargetLabels => match fit(method, &hidden).map(drop) {
            Err(FitError::LabelMissing(_)) => Ok(()),
            other => Err(format!("without target labels it answered {other:?}")),
        },
    }
}

fn beats_source_only_on_its_toy(method: &dyn Method) -> Outcome {
    if method.card().toy == Toy::None {
        return ensure(method.card().id == "source_only", "only the baseline of baselines has no toy");
    }
    let shift = own_shift(method);
    let source_only = adaptation::methods::find("source_only").ok_or("there is no source_only")?;
    let mut gained = 0.0;
    for seed in 0..5 {
        let (problem, holdout) = problem(method, TaskKind::Classification, shift, seed);
        let adapted = fit(method, &problem).map_err(|e| format!("seed {seed}: {e}"))?;
        let baseline = fit(source_only, &problem).map_err(|e| e.to_string())?;
        gained += score(&adapted, &holdout) - score(&baseline, &holdout);
    }
    ensure(gained > 5.0 * 0.02, format!("it gains {:.3} of accuracy on average, 0.02 are asked for", gained / 5.0))
}

/// With the same rows as source and target there is nothing to adapt to.
fn equal_domains_change_nothing(method: &dyn Method) -> Outcome {
    let source_only = adaptation::methods::find("source_only").ok_or("there is no source_only")?;
    let mut changed = 0.0;
    for seed in 0..5 {
        let (mut problem, holdout) = problem(method, TaskKind::Classification, Shift::Affine, seed);
        let source = problem.sources[0].clone();
        let shown = problem.target.labels.known_rows().len();
        let labels = match source.labels.hidden() {
            Labels::Classes(hidden) => {
                let Labels::Classes(codes) = &source.labels else { return Err("the toy has classes".into()) };
                Labels::Classes(codes[..shown].iter().chain(&hidden[shown..]).copied().collect())
            }
            values @ Labels::Values(_) => values,
        };
        problem.target = Dataset { labels, ..source.clone() };
        let holdout = Holdout { x: source.x, labels: source.labels, classes: holdout.classes };
        let adapted = fit(method, &problem).map_err(|e| format!("seed {seed}: {e}"))?;
        let baseline = fit(source_only, &problem).map_err(|e| e.to_string())?;
        changed += score(&adapted, &holdout) - score(&baseline, &holdout);
    }
    let mean = changed / 5.0;
    ensure(mean.abs() <= 0.005, format!("accuracy changes by {mean:.4}, 0.005 are allowed"))
}
