//! Time as a value: a millisecond timestamp, and clocks that are handed in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::aliases::U40;
use serde::{Deserialize, Serialize};

const MILLIS_PER_DAY: u64 = 86_400_000;

/// The largest number of seconds that Solidity's `uint40` holds.
const MAX_U40: u64 = (1 << 40) - 1;

/// A moment in Unix time, in milliseconds. Serialised as the plain number of milliseconds.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);
    /// The end of time, as far as this type can tell.
    pub const MAX: Self = Self(u64::MAX);

    /// A moment from Unix milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A moment from Unix seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole Unix seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Whole Unix seconds as Solidity's `uint40`, saturating at its largest value.
    #[must_use]
    pub fn to_u40(self) -> U40 {
        U40::from(self.as_secs().min(MAX_U40))
    }

    /// A moment from Solidity's `uint40` seconds.
    #[must_use]
    pub fn from_u40(secs: U40) -> Self {
        Self::from_secs(secs.to::<u64>())
    }

    /// Later by `by`, saturating at [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }

    /// Earlier by `by`, saturating at [`Timestamp::ZERO`].
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, for example `2026-11-20T15:04:05.250Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = civil_from_days(self.0 / MILLIS_PER_DAY);
        let ms = self.0 % MILLIS_PER_DAY;
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1000 % 60, ms % 1000);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }

    /// Reads RFC 3339 with any offset, from 1970 to 9999; what is finer than a millisecond is cut off, and a leap second
    /// is the second before it. `None` for anything else.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if text.len() > LONGEST_TIME || !text.is_ascii() {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .try_fold(0, |sum: u64, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
        };
        let stands = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
        let between =
            [(4, b"-" as &[u8]), (7, b"-"), (10, b"Tt"), (13, b":"), (16, b":")].iter().all(|(at, of)| stands(*at, of));
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !between || year < 1970 || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut milli = 0;
        if stands(at, b".") {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let kept = number(at + 1, at + 1 + digits.min(3))?;
            milli = match digits {
                0 => return None,
                1 => kept * 100,
                2 => kept * 10,
                _ => kept,
            };
            at += 1 + digits;
        }
        let days = days_from_civil(year, month, day);
        let local = days * MILLIS_PER_DAY + ((hour * 60 + minute) * 60 + second.min(59)) * 1000 + milli;
        match bytes.get(at)? {
            b'Z' | b'z' if bytes.len() == at + 1 => Some(Self(local)),
            sign @ (b'+' | b'-') if bytes.len() == at + 6 && stands(at + 3, b":") => {
                let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                let offset = (hours * 60 + minutes) * 60_000;
                if hours > 23 || minutes > 59 {
                    return None;
                }
                if *sign == b'+' { local.checked_sub(offset).map(Self) } else { Some(Self(local + offset)) }
            }
            _ => None,
        }
    }
}

/// Longest text that is read as a time.
const LONGEST_TIME: usize = 64;

/// The day, counted from 1970-01-01, of a date that is not before it.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A duration in whole milliseconds, saturating.
fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`,
/// for days that are not negative).
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Where a service reads the time. Machines never hold one: they take `now` as an argument.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current moment.
    fn now(&self) -> Timestamp;
}

/// The wall clock of this machine.
#[derive(Copy, Clone, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's wall clock")]
        let now = SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(whole_millis(since_epoch))
    }
}

/// A clock moved by hand; clones share the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward by `by` and returns the new time.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let by = whole_millis(by);
        let before = self.0.fetch_add(by, Ordering::SeqCst);
        Timestamp(before.saturating_add(by))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_knows_leap_days_and_centuries() {
        let of = |secs| Timestamp::from_secs(secs).to_rfc3339();
        assert_eq!(of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(of(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(of(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_795_129_445_250).to_rfc3339(), "2026-11-19T23:04:05.250Z");
        let _the_end_of_time_has_a_name = Timestamp::MAX.to_rfc3339();
    }

    #[test]
    fn a_time_that_was_written_is_read_again_in_any_offset() {
        for millis in [0, 1, 951_782_400_000, 1_709_164_800_250, 1_795_000_000_123, 4_102_444_799_999] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::from_rfc3339(&time.to_rfc3339()), Some(time), "{time}");
        }
        let noon = Timestamp::from_rfc3339("2026-11-21T12:00:00Z");
        assert!(noon.is_some());
        for same in ["2026-11-21T13:30:00+01:30", "2026-11-20T23:00:00.0009-13:00", "2026-11-21t12:00:00.000000z"] {
            assert_eq!(Timestamp::from_rfc3339(same), noon, "{same}");
        }
        assert_eq!(Timestamp::from_rfc3339("1970-01-01T00:00:00.5Z"), Some(Timestamp::from_millis(500)));
        for none in [
            "",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00ZZ",
            "2026-11-21 12:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-21T12:00:00+0100",
            "２026-11-21T12:00:00Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(none), None, "{none}");
        }
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Timestamp::MAX.plus(hour), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.minus(hour), Timestamp::ZERO);
        assert_eq!(Timestamp::ZERO.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(7200).since(Timestamp::from_secs(3600)), hour);
    }

    #[test]
    fn chain_seconds_fit_uint40_and_come_back() {
        let moment = Timestamp::from_secs(1_795_129_445);
        assert_eq!(Timestamp::from_u40(moment.to_u40()), moment);
        assert_eq!(Timestamp::MAX.to_u40(), U40::MAX);
    }

    #[test]
    fn clones_of_a_manual_clock_share_one_time() {
        let clock = ManualClock::new(Timestamp::from_secs(10));
        let seen_by_bob = clock.clone();
        assert_eq!(clock.advance(Duration::from_secs(5)), Timestamp::from_secs(15));
        assert_eq!(seen_by_bob.now(), Timestamp::from_secs(15));
        seen_by_bob.set(Timestamp::ZERO);
        assert_eq!(clock.now(), Timestamp::ZERO);
    }
}
