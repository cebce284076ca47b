//! One voucher verified, beside the bare recovery and alloy's default, in the same run.

use criterion::{Criterion, criterion_group, criterion_main};
use haggle_bench::vouchers::Vouchers;

fn vouchers(criterion: &mut Criterion) {
    let vouchers = Vouchers::sign();
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    let mut group = criterion.benchmark_group("one voucher");
    group.bench_function("bare libsecp256k1 recovery", |bencher| bencher.iter(|| vouchers.recover(next())));
    group.bench_function("payload read and verified", |bencher| bencher.iter(|| vouchers.verify(next())));
    group.bench_function("alloy's default", |bencher| bencher.iter(|| vouchers.verify_by_default(next())));
    group.finish();
}

criterion_group!(benches, vouchers);
criterion_main!(benches);
