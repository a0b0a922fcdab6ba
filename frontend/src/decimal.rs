//! Decimal numbers as exact multiples of a unit.

/// Digits behind the point that count.
const MAX_DIGITS: usize = 19;

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
    // More digits than these say nothing about a multiple of a 64-bit unit.
    let fraction = &fraction[..fraction.len().min(MAX_DIGITS)];
    let part = match fraction {
        "" => 0,
        digits => {
            u128::from(scale) * digits.parse::<u128>().ok()? / 10_u128.pow(digits.len() as u32)
        }
    };
    whole.checked_mul(scale)?.checked_add(part as u64)
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
