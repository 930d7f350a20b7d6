//! Texts with a unit: read from files, and printed in the same form.

use std::time::Duration;

/// `1h30m` is not a thing: one number and one unit, so that there is one way to write a value.
const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Also the decimal units, since disks are sold by them.
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// A whole number directly followed by a unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves a whole number: `90s`, `5m`.
pub(super) fn print_duration(milliseconds: u64) -> String {
    if milliseconds == 0 { "0s".to_owned() } else { print(milliseconds, &DURATIONS[..4]) }
}

pub(super) fn print_size(octets: u64) -> String {
    print(octets, &SIZES[..4])
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
        .map_or_else(|| value.to_string(), |(unit, factor)| format!("{}{unit}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("10m"), Some(Duration::from_secs(600)));
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "1.5s",
            "5S",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(print_duration(90_000), "90s");
        assert_eq!(print_duration(300_000), "5m");
        assert_eq!(print_duration(0), "0s");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("50MiB"), Some(50 << 20));
        assert_eq!(parse_size("10MB"), Some(10_000_000));
        for bad in ["", "50", "50Mib", "50 MiB", "-1B", "18446744073709551616B", "99999999999GiB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
        assert_eq!(print_size(256 << 10), "256KiB");
        assert_eq!(print_size(1000), "1000B");
    }
}
