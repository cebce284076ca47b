//! The RPC endpoints' standing, as metrics.

use haggle_escrow::{ChainReader, EndpointReport, Standing};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;

/// The endpoints of a connection, read when somebody scrapes.
#[derive(Debug)]
pub(crate) struct Endpoints(pub(crate) ChainReader);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: String,
}

type Read = fn(&EndpointReport) -> u64;

const FIGURES: [(&str, &str, Read); 4] = [
    ("haggle_chain_endpoint_believed", "Whether the RPC endpoint is believed now", |report| {
        u64::from(report.standing < Standing::Down)
    }),
    ("haggle_chain_endpoint_behind_blocks", "Blocks the RPC endpoint is behind", |report| report.behind),
    ("haggle_chain_endpoint_failures", "Requests the RPC endpoint did not answer", |report| report.failures),
    ("haggle_chain_endpoint_contradictions", "Answers that two others contradicted", |report| report.contradictions),
];

impl Collector for Endpoints {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let reports = self.0.endpoints();
        for (name, help, read) in FIGURES {
            let family = Family::<Endpoint, Gauge>::default();
            for report in &reports {
                let value = i64::try_from(read(report)).unwrap_or(i64::MAX);
                family.get_or_create(&Endpoint { endpoint: report.host.clone() }).set(value);
            }
            family.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
