//! Numbers for people: enough digits to compare, no more.

/// `12,345`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Numbers of weights: `812`, `48.6 k`, `1.27 M`.
pub(crate) fn weights(value: usize) -> String {
    let value = value as f64;
    match value {
        v if v < 1e3 => format!("{v}"),
        v if v < 1e6 => format!("{} k", significant(v / 1e3, 3)),
        v if v < 1e9 => format!("{} M", significant(v / 1e6, 3)),
        v => format!("{} G", significant(v / 1e9, 3)),
    }
}

/// A number with so many significant digits, scientific where it is far from one.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "∞"
        } else {
            "−∞"
        }
        .to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        let text = format!("{value:.*e}", (digits - 1).max(0) as usize);
        return minus(&shorten_mantissa(&text));
    }
    let decimals = (digits - 1 - magnitude).max(0) as usize;
    minus(&format!("{value:.decimals$}"))
}

/// Like [`significant`], without zeros at the end: for ticks.
pub(crate) fn short(value: f64) -> String {
    let text = significant(value, 4);
    if text.contains('e') || !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share as per cent: `0.0925` is `9.25 %` with two decimals.
pub(crate) fn percent(value: f64, decimals: usize) -> String {
    minus(&format!("{:.decimals$} %", value * 100.0))
}

/// `850 ms`, `12.3 s`, `4 min 32 s`, `2 h 05 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match seconds {
        s if !s.is_finite() || s < 0.0 => "unknown".to_owned(),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 59.95 => format!("{s:.1} s"),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// A probability of a test: `0.034`, `< 0.0001`.
pub(crate) fn p_value(value: f64) -> String {
    if value < 1e-4 {
        "< 0.0001".to_owned()
    } else {
        significant(value, 2)
    }
}

/// The typographic minus, which lines up with the plus.
fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// `1.00e-5` to `1e-5`.
fn shorten_mantissa(text: &str) -> String {
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            format!("{mantissa}e{exponent}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(weights(812), "812");
        assert_eq!(weights(48_600), "48.6 k");
        assert_eq!(weights(1_270_000), "1.27 M");
        assert_eq!(significant(0.0, 3), "0");
        assert_eq!(significant(-0.012345, 3), "−0.0123");
        assert_eq!(significant(1234.5, 3), "1234");
        assert_eq!(significant(1e-5, 3), "1e−5");
        assert_eq!(significant(f64::NAN, 3), "NaN");
        assert_eq!(significant(f64::NEG_INFINITY, 3), "−∞");
        assert_eq!(short(0.25), "0.25");
        assert_eq!(short(100.0), "100");
        assert_eq!(percent(0.0925, 2), "9.25 %");
        assert_eq!(percent(-0.01, 1), "−1.0 %");
    }

    #[test]
    fn durations_change_unit() {
        assert_eq!(duration(0.25), "250 ms");
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(59.99), "1 min 00 s");
        assert_eq!(duration(272.0), "4 min 32 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
        assert_eq!(duration(f64::NAN), "unknown");
    }
}
