//! Numbers as JSON writes them: the same values as the reader for all documents has, sooner where a number is not long.

use super::Cell;

/// So many digits always fit in 64 bits.
const MAX_DIGITS: usize = 19;

/// Powers of ten that fit in 64 bits.
const POWERS: [u64; MAX_DIGITS + 1] = {
    let mut powers = [1; MAX_DIGITS + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = 10 * powers[i - 1];
        i += 1;
    }
    powers
};

/// The same as doubles, exactly: up to 10²² they have at most 53 bits before the zeros at their end.
const EXACT_POWERS: [f64; MAX_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];

/// A number as it is written: `digits · 10^(power - n_decimals)`.
struct Decimal {
    is_negative: bool,
    /// Wrong where there are more than [`MAX_DIGITS`].
    digits: u64,
    n_digits: usize,
    n_decimals: usize,
    power: i32,
    /// Whether it has neither a point nor an exponent.
    is_whole: bool,
}

impl Decimal {
    /// What a text begins with, and how long it is; `None` where that is no number.
    #[inline(always)]
    fn leading(text: &[u8]) -> Option<(Self, usize)> {
        let is_negative = text.first() == Some(&b'-');
        let begin = usize::from(is_negative);
        let (mut digits, n_whole) = leading_digits(&text[begin..], 0);
        if n_whole == 0 || (n_whole > 1 && text[begin] == b'0') {
            return None;
        }
        let mut at = begin + n_whole;
        let (mut n_decimals, mut power, mut is_whole) = (0, 0, true);
        if text.get(at) == Some(&b'.') {
            (digits, n_decimals) = leading_digits(&text[at + 1..], digits);
            at += 1 + n_decimals;
            is_whole = false;
            if n_decimals == 0 {
                return None;
            }
        }
        if matches!(text.get(at), Some(b'e' | b'E')) {
            let n;
            (power, n) = leading_power(&text[at + 1..])?;
            at += 1 + n;
            is_whole = false;
        }
        Some((Self { is_negative, digits, n_digits: n_whole + n_decimals, n_decimals, power, is_whole }, at))
    }

    /// Without its sign, where one operation on numbers that are exact rounds it once: Clinger, How to read floating
    /// point numbers accurately, 1990.
    #[inline]
    fn magnitude(&self) -> Option<f64> {
        if self.n_digits > MAX_DIGITS {
            return None;
        }
        let is_exact = self.digits <= 1 << 53;
        if self.power == 0 && is_exact {
            return Some(self.digits as f64 / EXACT_POWERS[self.n_decimals]);
        }
        let exponent = self.power - self.n_decimals as i32;
        let place = exponent.unsigned_abs() as usize;
        match (EXACT_POWERS.get(place)?, is_exact) {
            (power, true) if exponent < 0 => Some(self.digits as f64 / power),
            (power, true) => Some(self.digits as f64 * power),
            (_, false) if exponent < 0 => Some(quotient(self.digits, POWERS[place])),
            _ => None,
        }
    }
}

/// The double nearest to the number that a text begins with, and the length of that; `None` where it is too large.
pub(super) fn double(text: &[u8]) -> Option<(f64, usize)> {
    let (number, n) = Decimal::leading(text)?;
    let value = match number.magnitude() {
        Some(value) if number.is_negative => -value,
        Some(value) => value,
        None => std::str::from_utf8(&text[..n]).ok()?.parse().ok()?,
    };
    f64::is_finite(value).then_some((value, n))
}

/// The same as an integer where it is written as one and fits.
pub(super) fn cell(text: &[u8]) -> Option<(Cell, usize)> {
    let (number, n) = Decimal::leading(text)?;
    // Zero with a sign has no place among the integers.
    let is_integer = number.is_whole && number.n_digits <= MAX_DIGITS && !(number.is_negative && number.digits == 0);
    let magnitude = i128::from(number.digits);
    match i64::try_from(if number.is_negative { -magnitude } else { magnitude }) {
        Ok(integer) if is_integer => Some((Cell::Integer(integer), n)),
        _ => double(text).map(|(value, n)| (Cell::Number(value), n)),
    }
}

/// Appends the digits that a text begins with to a number, and counts them. Wraps where there are too many.
#[inline]
fn leading_digits(text: &[u8], mut number: u64) -> (u64, usize) {
    for (n, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (number, n);
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (number, text.len())
}

/// The power of ten behind an `e`, and how long it is; `None` beyond what any double needs.
fn leading_power(text: &[u8]) -> Option<(i32, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let begin = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let (power, n) = leading_digits(&text[begin..], 0);
    let power = i32::try_from(power).ok().filter(|_| matches!(n, 1..=4))?;
    Some((if is_negative { -power } else { power }, begin + n))
}

/// `numerator / denominator`, neither of them 0, rounded once.
fn quotient(numerator: u64, denominator: u64) -> f64 {
    let (up, down) = (numerator.leading_zeros(), denominator.leading_zeros());
    // With the highest bit of both set, the quotient has 63 or 64 bits.
    let (numerator, denominator) = (u128::from(numerator << up) << 63, u128::from(denominator << down));
    let quotient = numerator / denominator;
    // The last bit tells what lies halfway between two doubles from what is beyond.
    let rest = u64::from(quotient * denominator != numerator);
    let power = f64::from_bits(u64::from(1023 - 63 + down - up) << 52);
    (quotient as u64 | rest) as f64 * power
}
