//! Decimal numbers as exact multiples of a unit.

/// A decimal number, such as `1.5`, times `scale`, rounded down. `None` for anything else, and for what does not fit.
pub(crate) fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(scale)?;
    let mut part = u128::from(scale) << 64;
    for digit in fraction.bytes() {
        part /= 10;
        let value = (part * u128::from(digit - b'0')) >> 64;
        total = total.checked_add(value as u64)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn numbers_are_scaled_exactly() {
        let cases = [
            ("1", 1024, Some(1024)),
            ("1.5", 1024, Some(1536)),
            (".25", 1_000_000, Some(250_000)),
            ("0.1", 1_000_000_000, Some(100_000_000)),
            ("2.", 7, Some(14)),
            ("18446744073709551615", 1, Some(u64::MAX)),
            ("18446744073709551616", 1, None),
            ("9999999999", u64::MAX / 2, None),
            (".", 1, None),
            ("", 1, None),
            ("1e3", 1, None),
            ("-1", 1, None),
        ];
        for (number, scale, expected) in cases {
            assert_eq!(scaled(number, scale), expected, "{number}");
        }
    }
}
