//! What every method and every learner has to hold, whatever it computes. A method is let off a check
//! only by its card, with the reason; each check is shown to fail on something deliberately broken.
//!
//! That a fit leaves its input untouched needs no check: it receives `&Problem`, which has no interior
//! mutability.

mod broken;
mod learner_checks;
mod least_squares;
mod method_checks;
mod schema_checks;
mod support;

use adaptation::learners::LEARNERS;
use adaptation::methods::{METHODS, Method};
use method_checks::CHECKS;

#[test]
fn every_method_passes_every_check_that_its_card_does_not_waive() {
    assert!(!METHODS.is_empty());
    let mut failures = Vec::new();
    for method in METHODS {
        let card = method.card();
        for (name, check) in CHECKS {
            if card.waived.iter().any(|(waived, _)| waived == name) {
                continue;
            }
            if let Err(why) = check(*method) {
                failures.push(format!("{} × {name}: {why}", card.id));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn waivers_name_a_check_and_a_reason() {
    for method in METHODS {
        for (name, reason) in method.card().waived {
            assert!(CHECKS.iter().any(|(check, _)| check == name), "{}: no check {name}", method.card().id);
            assert!(reason.len() > 20, "{}: {name} is waived without a reason", method.card().id);
        }
    }
}

#[test]
fn every_check_fails_on_a_method_that_is_broken_in_its_way() {
    for (name, check) in CHECKS {
        let broken: Vec<&dyn Method> = broken::METHODS.iter().filter(|(n, _)| n == name).map(|(_, m)| *m).collect();
        assert!(!broken.is_empty(), "no method is broken for {name}");
        for method in broken {
            assert!(check(method).is_err(), "{name} did not notice");
        }
    }
}

#[test]
fn the_method_that_the_broken_ones_are_made_of_passes_every_check() {
    for (name, check) in CHECKS {
        assert_eq!(check(&broken::SOUND), Ok(()), "{name}");
    }
}

#[test]
fn ids_are_distinct_and_cards_are_filled_in() {
    let mut ids: Vec<&str> = METHODS.iter().map(|m| m.card().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), METHODS.len());
    for card in METHODS.iter().map(|m| m.card()) {
        for text in [card.title, card.summary, card.when_to_use, card.when_not, card.cost, card.defaults_from] {
            assert!(!text.is_empty(), "{}", card.id);
        }
        assert!(!card.tasks.is_empty(), "{}", card.id);
    }
}

#[test]
fn every_learner_passes_every_check() {
    assert!(!LEARNERS.is_empty());
    let mut failures = Vec::new();
    for learner in LEARNERS {
        for (name, check) in learner_checks::CHECKS {
            if let Err(why) = check(*learner) {
                failures.push(format!("{} × {name}: {why}", learner.card().id));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_tests_own_learner_passes_every_learner_check() {
    for (name, check) in learner_checks::CHECKS {
        assert_eq!(check(least_squares::LEARNER), Ok(()), "{name}");
    }
}
