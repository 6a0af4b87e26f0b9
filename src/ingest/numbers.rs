//! Numbers as text files write them: the same values as Rust's own parsers, sooner where a number is short.

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits that surely fit in 53 bits, and a point.
const SHORT: usize = 16;

/// The double nearest to a decimal number; infinite where it is too large.
pub(super) fn number(cell: &[u8]) -> Option<f64> {
    short_number(cell).or_else(|| std::str::from_utf8(cell).ok()?.parse().ok())
}

/// Digits with at most one point, few enough that both parts of the quotient are exact, so that it is rounded once
/// (Clinger, 1990).
pub(super) fn short_number(cell: &[u8]) -> Option<f64> {
    let (is_negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, cell),
    };
    if digits.len() > SHORT {
        return None;
    }
    let (mantissa, n_whole) = leading_digits(digits, 0);
    let (mantissa, n_decimals) = match &digits[n_whole..] {
        [] => (mantissa, 0),
        [b'.', decimals @ ..] => match leading_digits(decimals, mantissa) {
            (mantissa, n) if n == decimals.len() => (mantissa, n),
            _ => return None,
        },
        _ => return None,
    };
    // Sixteen digits may be beyond 2⁵³.
    if n_whole + n_decimals == 0 || mantissa > 1 << 53 {
        return None;
    }
    let value = mantissa as f64 / POWERS[n_decimals];
    Some(if is_negative { -value } else { value })
}

/// Appends the digits that the bytes begin with to a number, and counts them.
fn leading_digits(bytes: &[u8], mut number: u64) -> (u64, usize) {
    for (i, byte) in bytes.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (number, i);
        }
        number = number * 10 + u64::from(digit);
    }
    (number, bytes.len())
}

/// A whole number in 64 bits.
pub(super) fn integer(cell: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, cell),
    };
    if digits.is_empty() || digits.iter().any(|b| !b.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 18 {
        return std::str::from_utf8(cell).ok()?.parse().ok();
    }
    let value = digits.iter().fold(0_i64, |n, b| n * 10 + i64::from(b - b'0'));
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) {
        let bits = |x: Option<f64>| x.map(f64::to_bits);
        assert_eq!(bits(number(text.as_bytes())), bits(text.parse().ok()), "{text}");
        assert_eq!(integer(text.as_bytes()), text.parse().ok(), "{text}");
    }

    #[test]
    fn odd_spellings_are_what_the_standard_library_says() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "-.",
            "5.",
            ".5",
            "-0",
            "-0.0",
            "+1",
            "+1.5",
            "1e5",
            "1E-3",
            "inf",
            "-Infinity",
            "1_0",
            "9007199254740993",
            "90071992547409.93",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "000000000000000000000001",
            "1..2",
            "1.2.3",
            "0x10",
            "１",
            "1 ",
            "--1",
        ] {
            check(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn any_spelling_is_the_same_bits(text in "[-+]?[0-9]{0,20}[.]?[0-9]{0,20}(e[-+]?[0-9]{1,3})?") {
            check(&text);
        }

        #[test]
        fn any_double_comes_back(x in any::<f64>(), places in 0_usize..12) {
            check(&x.to_string());
            check(&format!("{:.places$}", x % 1e6));
        }
    }
}
