//! Dates of mail: `Tue, 24 Nov 2026 20:04:30 +0000` (RFC 5322 3.3); of logs:
//! `2026-11-24T20:04:30Z` (RFC 3339 5.6).

use super::lexer::Cursor;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: i64 = 86_400;

/// The year 9999 ends here: both forms have four digits, and the arithmetic no surprises.
const LAST: u64 = 253_402_300_799;

/// In UTC, from seconds since 1970.
pub fn print(unix: u64) -> String {
    let unix = unix.min(LAST) as i64;
    let (days, second) = (unix / DAY, unix % DAY);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} +0000",
        DAYS[(days + 4).rem_euclid(7) as usize],
        MONTHS[(month - 1).clamp(0, 11) as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// As logs write it, in UTC, from seconds since 1970.
pub fn print_rfc3339(unix: u64) -> String {
    let unix = unix.min(LAST) as i64;
    let (days, second) = (unix / DAY, unix % DAY);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The value of a Date field as seconds since 1970, obsolete forms included (RFC 5322 4.3). The name
/// of the day is not looked at. `None` for what is no date.
pub fn parse(value: &[u8]) -> Option<i64> {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws()?;
    if cursor.peek()?.is_ascii_alphabetic() {
        cursor.take_while(|b| b.is_ascii_alphabetic());
        cursor.skip_cfws()?;
        cursor.eat(b',');
    }
    let (day, _) = number(&mut cursor, 2)?;
    cursor.skip_cfws()?;
    let name = cursor.take_while(|b| b.is_ascii_alphabetic());
    let month =
        MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))? as i64 + 1;
    let year = match number(&mut cursor, 4)? {
        (year, 2) if year < 50 => 2000 + year,
        (year, 2 | 3) => 1900 + year,
        (year, 4) if year >= 1900 => year,
        _ => return None,
    };
    let (hour, _) = number(&mut cursor, 2)?;
    cursor.skip_cfws()?;
    cursor.eat(b':').then_some(())?;
    let (minute, _) = number(&mut cursor, 2)?;
    cursor.skip_cfws()?;
    let second = if cursor.eat(b':') { number(&mut cursor, 2)?.0 } else { 0 };
    cursor.skip_cfws()?;
    let zone = zone(&mut cursor)?;
    cursor.skip_cfws()?;
    let real =
        (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    (real && cursor.at_end()).then(|| {
        days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second - zone
    })
}

/// A number of one to `max` digits, and how many it has.
fn number(cursor: &mut Cursor<'_>, max: usize) -> Option<(i64, usize)> {
    cursor.skip_cfws()?;
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    let len = digits.len();
    (1..=max).contains(&len).then_some(())?;
    Some((digits.iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0')), len))
}

/// Seconds east of Greenwich. Letters that mean nothing are UTC (RFC 5322 4.3).
fn zone(cursor: &mut Cursor<'_>) -> Option<i64> {
    let sign = match cursor.peek() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(b) if b.is_ascii_alphabetic() => {
            let name = cursor.take_while(|b| b.is_ascii_alphabetic()).to_ascii_uppercase();
            let hours = match name.as_slice() {
                b"EDT" => -4,
                b"EST" | b"CDT" => -5,
                b"CST" | b"MDT" => -6,
                b"MST" | b"PDT" => -7,
                b"PST" => -8,
                _ => 0,
            };
            return Some(hours * 3600);
        }
        _ => return None,
    };
    cursor.bump();
    let (hhmm, len) = number(cursor, 4)?;
    (len == 4 && hhmm % 100 < 60).then(|| sign * (hhmm / 100 * 3600 + hhmm % 100 * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, with years that begin in March and eras of 400 years.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month, day: the inverse.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_000_000_000, "Sun, 09 Sep 2001 01:46:40 +0000"),
            (1_764_028_799, "Mon, 24 Nov 2025 23:59:59 +0000"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 +0000"),
        ] {
            assert_eq!(print(unix), text);
            assert_eq!(parse(text.as_bytes()), Some(unix as i64), "{text}");
        }
        assert_eq!(print(u64::MAX), print(253_402_300_799));
    }

    #[test]
    fn dates_of_logs() {
        assert_eq!(print_rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(print_rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(print_rfc3339(1_795_478_400 - 1), "2026-11-23T23:59:59Z");
        assert_eq!(print_rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn obsolete_and_folded_dates() {
        for (text, unix) in [
            (" Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706),
            ("21 Nov 97 09:55:06 GMT", 880_106_106),
            ("21 Nov 97 09:55 EST", 880_124_100),
            ("Fri,\r\n 21 Nov 1997\r\n 09:55:06 +0000 (UTC)", 880_106_106),
            ("1 jan 101 00:00:00 -0000", 978_307_200),
            ("1 Jan 49 00:00 Z", 2_493_072_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(unix), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "yesterday",
            "Fri, 21 Nov",
            "30 Feb 2020 00:00:00 +0000",
            "0 Jan 2020 00:00:00 +0000",
            "1 Jan 2020 24:00:00 +0000",
            "1 Jan 2020 00:00:00",
            "1 Jan 2020 00:00:00 +00",
            "1 Jan 99999 00:00:00 +0000",
            "1 Jan 2020 00:00:00 +0000 x",
            "99999999999999999999 Jan 2020 00:00:00 +0000",
            "(((",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_prints_and_parses_back() {
        for day in (0..40_000).step_by(7) {
            let unix = day * 86_400 + day % 86_400;
            assert_eq!(parse(print(unix).as_bytes()), Some(unix as i64));
        }
    }
}
