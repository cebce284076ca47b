//! Amounts: what is read, what is refused, and the laws of fees.

use proptest::prelude::*;

use super::*;

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

#[test]
fn plain_decimals_are_read_exactly() {
    let rows = [
        ("0", 0),
        ("5", 5_000_000),
        ("0.25", 250_000),
        ("0.000001", 1),
        ("007.50", 7_500_000),
        ("18446744073709.551615", u64::MAX),
    ];
    for (text, units) in rows {
        assert_eq!(text.parse(), Ok(Usdc::from_units(units)), "{text}");
    }
}

#[test]
fn anything_but_a_plain_decimal_is_refused_with_its_code() {
    let rows = [
        ("", "bad_amount"),
        (".", "bad_amount"),
        (".5", "bad_amount"),
        ("5.", "bad_amount"),
        ("+5", "bad_amount"),
        ("-5", "bad_amount"),
        ("1e3", "bad_amount"),
        ("1_000", "bad_amount"),
        ("1,5", "bad_amount"),
        (" 5", "bad_amount"),
        ("NaN", "bad_amount"),
        ("1.2.3", "bad_amount"),
        ("٣", "bad_amount"),
        ("0.0000001", "too_many_decimals"),
        ("1.0000000", "too_many_decimals"),
        ("18446744073709.551616", "amount_too_large"),
        ("99999999999999999999", "amount_too_large"),
    ];
    for (text, code) in rows {
        assert_eq!(text.parse::<Usdc>().unwrap_err().code(), code, "{text:?}");
    }
    let long = "0".repeat(1_000_000);
    assert_eq!(long.parse::<Usdc>(), Err(AmountError::BadAmount));
}

#[test]
fn a_json_number_is_read_by_its_text_and_not_as_a_float() {
    for raw in ["0.1", "\"0.1\"", "1e-1", " 0.1 ", "10E-2"] {
        assert_eq!(Usdc::from_json_text(raw), Ok(Usdc::from_units(100_000)), "{raw}");
    }
    assert_eq!(Usdc::from_json_text("1e2"), Ok(Usdc::from_units(100_000_000)));
    let rows = [
        ("0.0000001", "too_many_decimals"),
        ("1e-7", "too_many_decimals"),
        ("-1", "bad_amount"),
        ("-1e2", "bad_amount"),
        ("1e400", "bad_amount"),
        ("\"1e2\"", "bad_amount"),
        ("\"1", "bad_amount"),
        ("null", "bad_amount"),
        ("1e25", "amount_too_large"),
    ];
    for (raw, code) in rows {
        assert_eq!(Usdc::from_json_text(raw).unwrap_err().code(), code, "{raw}");
    }
}

#[test]
fn json_carries_text_and_cbor_carries_units() {
    let price = usdc("0.25");
    assert_eq!(serde_json::to_string(&price).unwrap(), "\"0.25\"");
    assert_eq!(serde_json::from_str::<Usdc>("\"0.25\"").unwrap(), price);
    assert!(serde_json::from_str::<Usdc>("0.25").is_err(), "a JSON number is not an amount");
    let bytes = crate::cbor::to_vec(&price).unwrap();
    assert_eq!(hex::encode(&bytes), "1a0003d090");
    assert_eq!(crate::cbor::from_slice::<Usdc>(&bytes, 9).unwrap(), price);
}

#[test]
fn both_of_the_owners_fee_profiles_are_exact() {
    assert_eq!(usdc("5").fee_bps(250), usdc("0.125"));
    assert_eq!(usdc("5").fee_bps(1000), usdc("0.5"));
    assert_eq!(usdc("0.000039").fee_bps(250), Usdc::ZERO, "a fraction of a unit is no fee");
    assert_eq!(Usdc::MAX.fee_bps(10_000), Usdc::MAX);
    assert_eq!(Usdc::MAX.fee_bps(u16::MAX), Usdc::MAX);
}

#[test]
fn chain_widths_are_converted_without_loss() {
    assert_eq!(Usdc::try_from(Usdc::MAX.to_u256()), Ok(Usdc::MAX));
    assert_eq!(Usdc::try_from(Usdc::MAX.to_u96()), Ok(Usdc::MAX));
    assert_eq!(Usdc::try_from(U256::MAX), Err(AmountError::TooLarge));
    assert_eq!(Usdc::try_from(U96::MAX), Err(AmountError::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_printed_is_read_back(units: u64) {
        let amount = Usdc::from_units(units);
        prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        prop_assert_eq!(Usdc::try_from(amount.to_decimal()), Ok(amount));
        prop_assert_eq!(Usdc::from_json_text(&amount.to_string()), Ok(amount));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-+0-9.eE ]{0,44}|\\PC{0,20}") {
        if let Ok(amount) = text.parse::<Usdc>() {
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
        let _any_answer = Usdc::from_json_text(&text);
    }

    #[test]
    fn a_fee_is_never_more_than_the_payment_and_never_rounds_up(units: u64, bps in 0_u16..=10_000) {
        let (amount, fee) = (Usdc::from_units(units), Usdc::from_units(units).fee_bps(bps));
        prop_assert!(fee <= amount);
        let exact = u128::from(units) * u128::from(bps);
        prop_assert!(u128::from(fee.units()) * 10_000 <= exact);
        prop_assert!((u128::from(fee.units()) + 1) * 10_000 > exact);
    }

    #[test]
    fn no_sum_creates_or_destroys_money(a: u64, b: u64) {
        let (a, b) = (Usdc::from_units(a), Usdc::from_units(b));
        match a.checked_add(b) {
            Some(sum) => {
                prop_assert_eq!(sum.checked_sub(b), Some(a));
                prop_assert_eq!(sum.checked_sub(a), Some(b));
            }
            None => prop_assert!(u128::from(a.units()) + u128::from(b.units()) > u128::from(u64::MAX)),
        }
        prop_assert_eq!(a.checked_sub(b).is_some(), a >= b);
    }

    #[test]
    fn splitting_a_fee_per_part_never_takes_more(units: u64, cut: u64, bps in 0_u16..=1_000) {
        let part = Usdc::from_units(cut.min(units));
        let rest = Usdc::from_units(units - part.units());
        let whole_fee = Usdc::from_units(units).fee_bps(bps);
        let part_fees = part.fee_bps(bps).checked_add(rest.fee_bps(bps)).unwrap();
        prop_assert!(part_fees <= whole_fee);
    }
}
