//! Moments in time, as JavaScript writes them.

use std::any;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{handoff, ser};

/// A moment in time, for arguments: milliseconds since 1970, as a JavaScript `Date`.
///
/// In JSON it is text such as `2024-05-06T07:08:09.010Z`, which is what a JavaScript client makes of its own dates. In
/// MessagePack it is a date that the client receives as one; a date of a client becomes that text in arguments. A
/// handler can take it as a `Date`, a `String`, or whatever type of a calendar crate reads such text.
///
/// That a text is a date is remembered in the JSON of arguments, by an escape at its beginning (`"\u0032024-…"`),
/// which every JSON parser reads as the same text. It gets lost with whatever keeps the text and not the JSON: a date
/// that is received as a `String` or `Value` and sent again is text.
///
/// ```
/// # use wirebird_proto::value::Date;
/// let date: Date = "2024-05-06T07:08:09.010Z".parse()?;
/// assert_eq!(date.millis(), 1_714_979_289_010);
/// assert_eq!(date.to_string(), "2024-05-06T07:08:09.010Z");
/// # Ok::<(), wirebird_proto::value::ParseDateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

const MILLIS_PER_DAY: i64 = 86_400_000;

impl Date {
    /// The first moment that JavaScript knows: 100,000,000 days before 1970.
    pub const MIN: Self = Self(-100_000_000 * MILLIS_PER_DAY);
    /// The last moment that JavaScript knows: 100,000,000 days after 1970 began.
    pub const MAX: Self = Self(100_000_000 * MILLIS_PER_DAY);

    /// So many milliseconds after 1970 began, or before it when negative; `None` beyond [`MIN`](Self::MIN) and
    /// [`MAX`](Self::MAX).
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since 1970 began.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The moment for the clock of the system; `None` when that does not reach so far.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }

    /// Appends the date as JSON that remembers to be one, with `nanos` beyond its milliseconds.
    #[cfg(feature = "msgpack")]
    pub(crate) fn write_marked(self, nanos: u32, out: &mut String) {
        let mut text = self.to_string();
        if nanos > 0 {
            text.pop();
            let _ = write!(text, "{nanos:06}");
            text.truncate(text.trim_end_matches('0').len());
            text.push('Z');
        }
        mark(&text, out);
    }

    /// The date that a JSON string (with its quotes) remembers to be.
    #[cfg(feature = "msgpack")]
    pub(crate) fn read_marked(raw: &str) -> Option<Self> {
        let escape = raw.strip_prefix(r#""\u00"#)?;
        let first = u8::from_str_radix(escape.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        let rest = escape[2..].strip_suffix('"')?;
        format!("{}{rest}", char::from(first)).parse().ok()
    }
}

/// Appends a date in text as a JSON string that remembers to be one.
fn mark(text: &str, out: &mut String) {
    let mut chars = text.chars();
    let first = chars.next().map_or(0, u32::from);
    let _ = write!(out, "\"\\u{first:04x}{}\"", chars.as_str());
}

/// As JSON that remembers to be a date.
pub(super) fn marked(text: &[u8]) -> String {
    let mut out = String::new();
    mark(&String::from_utf8_lossy(text), &mut out);
    out
}

/// Milliseconds are rounded down; what JavaScript does not know becomes the nearest moment that it does.
impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Self {
        let millis = |distance: Duration| i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
        let since = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => {
                let before = before.duration();
                -millis(before) - i64::from(before.subsec_nanos() % 1_000_000 > 0)
            }
        };
        Self(since.clamp(Self::MIN.0, Self::MAX.0))
    }
}

/// As JavaScript's `toISOString`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(MILLIS_PER_DAY), self.0.rem_euclid(MILLIS_PER_DAY));
        let (year, month, day) = civil(days);
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+07}")?;
        }
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

/// Why a text is no [`Date`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDateError(());

impl fmt::Display for ParseDateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a date such as 2024-05-06T07:08:09.010Z")
    }
}

impl std::error::Error for ParseDateError {}

/// Reads what JavaScript writes: years of four digits, or of six with a sign; any fraction of a second, of which
/// milliseconds count; always `Z`.
impl FromStr for Date {
    type Err = ParseDateError;

    fn from_str(text: &str) -> Result<Self, ParseDateError> {
        parse(text.as_bytes()).and_then(Self::from_millis).ok_or(ParseDateError(()))
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let (sign, digits, text) = match text.split_first()? {
        (b'+', rest) => (1, 6, rest),
        (b'-', rest) => (-1, 6, rest),
        _ => (1, 4, text),
    };
    let (year, text) = number(text, digits)?;
    let (month, text) = number(text.strip_prefix(b"-")?, 2)?;
    let (day, text) = number(text.strip_prefix(b"-")?, 2)?;
    let (hours, text) = number(text.strip_prefix(b"T")?, 2)?;
    let (minutes, text) = number(text.strip_prefix(b":")?, 2)?;
    let (seconds, text) = number(text.strip_prefix(b":")?, 2)?;
    let mut text = text.strip_suffix(b"Z")?;
    let mut millis = 0;
    if let Some(fraction) = text.strip_prefix(b".") {
        if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digit = |place: usize| fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        millis = digit(0) * 100 + digit(1) * 10 + digit(2);
        text = &[];
    }
    let days = days(sign * year, month, day);
    let valid = text.is_empty()
        && civil(days) == (sign * year, month, day)
        && hours < 24
        && minutes < 60
        && seconds < 60
        && !(sign < 0 && year == 0);
    valid.then_some(days * MILLIS_PER_DAY + ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

/// The number of exactly so many digits, and what follows.
fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number = number
        .iter()
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))?;
    Some((number, rest))
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years begin in March here, and 400 of them are
/// an era.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day since 1970 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

/// As text; in arguments as text that remembers to be a date.
impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        if ser::writes_args(any::type_name::<S>()) {
            handoff::with_date(|| serializer.serialize_bytes(text.as_bytes()))
        } else {
            serializer.serialize_str(&text)
        }
    }
}

/// From text, or from a number of milliseconds.
impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DateVisitor;

        impl Visitor<'_> for DateVisitor {
            type Value = Date;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date such as 2024-05-06T07:08:09.010Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Date, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Date, E> {
                Date::from_millis(millis)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(millis), &self))
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Date, E> {
                self.visit_i64(i64::try_from(millis).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(DateVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::socket_io::RawArgs;
    use crate::value::{Value, decode_args, encode_args};

    const KNOWN: [(i64, &str); 9] = [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_714_979_289_010, "2024-05-06T07:08:09.010Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
        (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
    ];

    #[test]
    fn text() {
        for (millis, text) in KNOWN {
            let date = Date::from_millis(millis).unwrap();
            assert_eq!(date.to_string(), text);
            assert_eq!(text.parse(), Ok(date));
        }
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.1Z", 100),
            ("1970-01-01T00:00:00.123999Z", 123),
            ("+001970-01-01T00:00:00.000Z", 0),
            ("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
        ] {
            assert_eq!(text.parse::<Date>().map(Date::millis), Ok(millis), "{text}");
        }
        for text in [
            "",
            "Z",
            "1970",
            "1970-01-01",
            "1970-01-01T00:00:00.000",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.0x0Z",
            "1970-01-01T00:00:00.000Zx",
            "1970-01-01T00:00:00.000+01:00",
            "1970-01-01 00:00:00.000Z",
            "1970-1-01T00:00:00.000Z",
            "1970-00-01T00:00:00.000Z",
            "1970-13-01T00:00:00.000Z",
            "1970-02-29T00:00:00.000Z",
            "1970-01-00T00:00:00.000Z",
            "1970-01-01T24:00:00.000Z",
            "1970-01-01T00:60:00.000Z",
            "1970-01-01T00:00:60.000Z",
            "+1970-01-01T00:00:00.000Z",
            "-000000-01-01T00:00:00.000Z",
            "+275760-09-13T00:00:00.001Z",
            "+999999-01-01T00:00:00.000Z",
            "１970-01-01T00:00:00.000Z",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_calendar() {
        // Every day of some eras, and each follows the one before.
        let mut before = civil(-800_001);
        for day in -800_000..800_000 {
            let now = civil(day);
            assert_eq!(days(now.0, now.1, now.2), day);
            assert!(now > before && (now.2 == before.2 + 1 || now.2 == 1), "{before:?} {now:?}");
            before = now;
        }
    }

    #[test]
    fn the_clock_of_the_system() {
        let epoch = SystemTime::UNIX_EPOCH;
        let time = epoch + Duration::from_micros(1_500);
        assert_eq!((Date::from(time).millis(), Date::from(epoch).millis()), (1, 0));
        assert_eq!(Date::from(epoch - Duration::from_micros(1_500)).millis(), -2);
        assert_eq!(Date::from(epoch - Duration::from_millis(2)).millis(), -2);
        for date in [Date(0), Date(-5), Date(1_714_979_289_010)] {
            assert_eq!(date.to_system_time().map(Date::from), Some(date));
        }
        let far = epoch.checked_add(Duration::from_secs(10_000_000_000_000));
        assert!(far.is_none_or(|far| Date::from(far) == Date::MAX));
        assert_eq!((Date::from_millis(i64::MAX), Date::from_millis(i64::MIN)), (None, None));
    }

    fn args<T: Serialize>(value: &T) -> String {
        let (mut json, mut attachments) = (Vec::new(), Vec::new());
        encode_args(value, &mut json, &mut attachments).unwrap();
        assert!(attachments.is_empty());
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn arguments_remember_that_it_is_a_date() {
        let date = Date(0);
        let marked = r#""\u0031970-01-01T00:00:00.000Z""#;
        assert_eq!(args(&date), marked);
        assert_eq!(args(&Some(date)), marked);
        assert_eq!(args(&(1, [date])), format!("1,[{marked}]"));
        assert_eq!(args(&BTreeMap::from([("a", (date, "b"))])), format!(r#"{{"a":[{marked},"b"]}}"#));
        assert_eq!(args(&Date::MAX), r#""\u002b275760-09-13T00:00:00.000Z""#);
        // Keys are text, and so is everything in other formats.
        assert_eq!(args(&BTreeMap::from([(date, 1)])), r#"{"1970-01-01T00:00:00.000Z":1}"#);
        assert_eq!(serde_json::to_string(&date).unwrap(), r#""1970-01-01T00:00:00.000Z""#);
        // Bytes that come after are bytes.
        let (mut json, mut attachments) = (Vec::new(), Vec::new());
        encode_args(&(date, bytes::Bytes::from_static(b"x")), &mut json, &mut attachments).unwrap();
        assert_eq!(attachments.len(), 1);
    }

    #[test]
    fn handlers_take_dates() {
        let read = |json: &str| {
            let args = RawArgs::from_json_elements(json.into(), Vec::new()).unwrap();
            decode_args::<Date>(&args)
        };
        for (millis, text) in KNOWN {
            assert_eq!(read(&format!("{text:?}")).unwrap().millis(), millis);
            assert_eq!(read(&args(&Date(millis))).unwrap().millis(), millis);
            assert_eq!(read(&millis.to_string()).unwrap().millis(), millis);
        }
        for json in ["\"x\"", "null", "1.5", "9000000000000000", "18446744073709551615", "true"] {
            let error = read(json).unwrap_err().to_string();
            assert!(json == "null" || error.contains("expected a date"), "{json}: {error}");
        }
        let args = RawArgs::from_json_elements(args(&Date(0)).into(), Vec::new()).unwrap();
        assert_eq!(decode_args::<Value>(&args).unwrap(), Value::from("1970-01-01T00:00:00.000Z"));
        assert_eq!(decode_args::<String>(&args).unwrap(), "1970-01-01T00:00:00.000Z");
    }
}
