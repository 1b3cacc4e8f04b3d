//! Dates by arithmetic: days to (year, month, day) and back, and the forms of RFC 3339 that nearly
//! every event uses.
//!
//! Only speed is at stake here: whatever [`parse_common`] declines goes to jiff, and a test holds
//! both to the same answer. What is *not* here: time zones, leap seconds, durations. The calendar
//! is the proleptic Gregorian one.

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 of a date in the years 0 to 9999.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day at the end, so that months are counted without a
    // table.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The (year, month, day) of a day number since 1970-01-01.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.f…]Z` as milliseconds since 1970. `None` for every other form, right
/// or wrong.
pub(crate) fn parse_common(text: &str) -> Option<i64> {
    let (head, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let &[_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = head else {
        return None;
    };
    let two = |at: usize| digits(&head[at..at + 2]);
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let ms = match rest {
        [b'Z'] => 0,
        [b'.', a, b, c, b'Z'] => digits(&[*a, *b, *c])?,
        _ => return None,
    };
    let in_range = (1..=9999).contains(&year) && hour <= 23 && minute <= 59 && second <= 59;
    if !in_range || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(days_of(year, month, day) * DAY_MS + seconds * 1_000 + ms)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// RFC 3339 in UTC with milliseconds, of a time in the years 1 to 9999.
pub(crate) fn print(ms: i64) -> [u8; 24] {
    let (year, month, day) = date_of(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, width: usize, mut number: i64| {
        for place in (at..at + width).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, of_day / 3_600_000);
    put(14, 2, of_day / 60_000 % 60);
    put(17, 2, of_day / 1_000 % 60);
    put(20, 3, of_day % 1_000);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_with_jiff_over_ten_thousand_years() {
        let epoch = jiff::civil::date(1970, 1, 1);
        for days in (-719_162..2_932_896).step_by(13) {
            let (year, month, day) = date_of(days);
            let date = jiff::civil::date(year as i16, month as i8, day as i8);
            let since = date.duration_since(epoch).as_hours() / 24;
            assert_eq!((days, days), (since, days_of(year, month, day)), "{date}");
        }
    }

    #[test]
    fn common_times_are_read_and_printed_as_jiff_does() {
        let step = 86_399_999 * 37 + 1;
        let mut ms = -62_135_596_800_000_i64;
        while ms < 253_402_300_799_999 {
            let jiff = jiff::Timestamp::from_millisecond(ms).expect("in range");
            let text = format!("{jiff:.3}");
            assert_eq!(parse_common(&text), Some(ms), "{text}");
            assert_eq!(print(ms), *text.as_bytes(), "{text}");
            ms += step;
        }
    }

    #[test]
    fn what_is_not_common_is_declined() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T13:36:00",
            "2026-11-20T13:36:00+02:00",
            "2026-11-20t13:36:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T13:36:60Z",
            "0000-01-01T00:00:00Z",
            "2026-11-20T13:36:00.1234Z",
            "+026-11-20T13:36:00Z",
            "2026-11-20T13:36:00.12éZ",
        ] {
            assert_eq!(parse_common(text), None, "{text}");
        }
        assert!(parse_common("2024-02-29T23:59:59.999Z").is_some());
    }
}
