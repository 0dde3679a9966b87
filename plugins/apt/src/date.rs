//! Dates of Release files: RFC 5322 with a zone of `UTC`, `GMT` or `+0000`, as apt reads them.

use time::{Date, Month, Time};

/// Seconds since 1970; none when it is no such date, or before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_whitespace();
    let day: u8 = words.next()?.parse().ok()?;
    let month = month(words.next()?)?;
    let year: i32 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone = words.next()?;
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000" | "-0000") || words.next().is_some() {
        return None;
    }
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    u64::try_from(date.with_time(time).assume_utc().unix_timestamp()).ok()
}

fn month(name: &str) -> Option<Month> {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let number = NAMES.iter().position(|known| *known == name)? + 1;
    Month::try_from(u8::try_from(number).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_release_files_are_read() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:01 UTC"), Some(1));
        assert_eq!(parse("Sat, 12 Sep 2026 10:14:18 UTC"), Some(1_789_208_058));
        assert_eq!(parse("Sat,  2 Sep 2000 10:14:18 +0000"), Some(967_889_658));
        for bad in [
            "",
            "Sat, 31 Feb 2026 10:14:18 UTC",
            "Sat, 12 Sep 2026 10:14:18 +0200",
            "Sat, 12 Sep 2026 25:14:18 UTC",
            "Sat, 12 Sep 1926 10:14:18 UTC",
            "Sat, 12 Sep 2026 10:14 UTC",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
