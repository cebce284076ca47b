//! The NAT matrix: nodes on the open internet, behind cone and symmetric routers, and behind one that leads to the relay
//! alone, pair by pair over TCP and QUIC. Every machine is a network namespace; routers and internet are in this process.
//!
//! `RUST_LOG=haggle_network=debug` tells what each node does, under the name of its case; `HAGGLE_NAT_CASE=cone` plays the
//! cases alone that have that in their name.
#![cfg(target_os = "linux")]

#[cfg(test)]
mod case;
#[cfg(test)]
mod host;
#[cfg(test)]
mod internet;
#[cfg(test)]
mod router;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Ipv4Addr;
    use std::process::Command;

    use tracing_subscriber::EnvFilter;

    use crate::case::Case;
    use crate::host::Machine;

    const STORY: &str = "tests::every_pair_of_nodes_finds_the_best_way_to_each_other";
    /// Set for the story as it runs with the rights of a namespace's root.
    const AS_ROOT: &str = "HAGGLE_NAT_AS_ROOT";

    /// Tells what CI is to show even of a test that passes.
    fn tell(line: &str) {
        writeln!(std::io::stderr(), "{line}").unwrap();
    }

    /// Runs the story as root of a user namespace. `false` if there are none here.
    fn is_told_as_root() -> bool {
        let unshare = |program: &str| {
            let mut command = Command::new("unshare");
            command.args(["-r", program]);
            command
        };
        if std::env::var_os(AS_ROOT).is_some() || !unshare("true").output().is_ok_and(|tried| tried.status.success()) {
            return false;
        }
        let program = std::env::current_exe().unwrap();
        let mut story = unshare(program.to_str().unwrap());
        let run = story.args(["--exact", STORY, "--nocapture"]).env(AS_ROOT, "1").status().unwrap();
        assert!(run.success(), "the story failed there");
        true
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_pair_of_nodes_finds_the_best_way_to_each_other() {
        let only = std::env::var("HAGGLE_NAT_CASE").unwrap_or_default();
        let cases: Vec<_> = Case::all().into_iter().filter(|case| case.to_string().contains(&only)).collect();
        if let Err(error) = Machine::new("probe".to_owned(), Ipv4Addr::new(11, 0, 0, 1)).await {
            if !is_told_as_root() {
                let all = cases.len();
                tell(&format!("NAT matrix: skipped {all} of {all} cases: no network can be made here: {error}"));
            }
            return;
        }
        if std::env::var_os("RUST_LOG").is_some() {
            tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_thread_names(true).init();
        }
        let running: Vec<_> = cases.iter().map(|case| (case, tokio::spawn(case.run()))).collect();
        let mut failed = Vec::new();
        for (case, running) in running {
            let outcome = running.await.unwrap();
            let word = outcome.as_ref().map_or("FAILED", |()| case.expected().as_str());
            tell(&format!("NAT matrix: {case} {word}"));
            failed.extend(outcome.err().map(|error| format!("{case}: {error}")));
        }
        tell(&format!("NAT matrix: skipped 0 of {} cases", cases.len()));
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
