//! One A2A call over libp2p beside one raw libp2p request of equal size, in the same run.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use haggle_bench::a2a::A2a;
use haggle_bench::raw::Raw;
use tokio::runtime::Runtime;

/// Text that makes the request about 1 KiB.
const TEXT_BYTES: usize = 880;

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (request, size) = A2a::request(&"x".repeat(TEXT_BYTES));
    let (raw, a2a) = runtime.block_on(async { (Raw::start().await, A2a::start().await) });
    let mut group = criterion.benchmark_group("one call");
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function("raw libp2p request-response", |bencher| {
        bencher.iter(|| runtime.block_on(raw.call(vec![7; size])));
    });
    group.bench_function("A2A SendMessage over libp2p", |bencher| {
        bencher.iter(|| runtime.block_on(a2a.call(request.clone())));
    });
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
