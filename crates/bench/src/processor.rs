//! Processor time, which other programs on the machine do not stretch, and memory of this process.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What this thread has used so far.
#[must_use]
pub fn of_thread() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// What all threads of this process have used so far.
#[must_use]
pub fn of_process() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// A figure of this process's memory in MiB, such as `VmRSS` or `RssAnon`; `None` where the system does not tell.
#[must_use]
pub fn memory_mib(figure: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
    let kibibytes: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kibibytes) / 1024.0)
}

/// Zero if the system has no such clock.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn work_takes_processor_time() {
        let (thread, process) = (of_thread(), of_process());
        for number in 0..2_000_000_u64 {
            black_box(number.wrapping_mul(number));
        }
        assert!(of_thread() > thread && of_process() > process);
    }
}
