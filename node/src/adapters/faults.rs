//! Where crash tests stop this process: `HAGGLE_CRASH_AFTER=<step>`, on chain 31337 only.

use async_trait::async_trait;
use haggle_base::NetworkFile;
use haggle_trade::ports::Faults;

/// Names the step after whose flush the process aborts.
pub(crate) const CRASH_AFTER: &str = "HAGGLE_CRASH_AFTER";

/// Aborts the process when the named step is on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashPoint(Option<String>);

impl CrashPoint {
    /// Reads the environment; a real chain ignores it.
    pub(crate) fn from_env(network: &NetworkFile) -> Self {
        Self(std::env::var(CRASH_AFTER).ok().filter(|step| network.is_devnet() && !step.is_empty()))
    }
}

#[async_trait]
impl Faults for CrashPoint {
    async fn reached(&self, step: &'static str) {
        if self.0.as_deref() == Some(step) {
            tracing::warn!(step, "aborting after {step}, as {CRASH_AFTER} asks");
            std::process::abort();
        }
    }
}
