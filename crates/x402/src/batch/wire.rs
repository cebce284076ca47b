//! Payloads as x402 writes them. Read by hand: a voucher comes with every call.

use std::str::FromStr;

use alloy_primitives::{B256, U256, aliases::U40};
use serde_json::{Map, Value, json};

use haggle_base::{EvmSignature, Timestamp, Usdc, eip712::channel::ChannelConfig};

use super::{BatchPayload, Deposit, DepositTerms, SignedVoucher};
use crate::X402Error;

const MALFORMED: X402Error = X402Error::Malformed { line: 0, column: 0 };

pub(super) fn read(payload: &Value) -> Result<BatchPayload, X402Error> {
    let payload = payload.as_object().ok_or(MALFORMED)?;
    let channel = channel(object(payload, "channelConfig")?)?;
    let said = object(payload, "voucher")?;
    let voucher = SignedVoucher {
        channel_id: parsed::<B256>(said, "channelId")?,
        max_claimable: amount(said, "maxClaimableAmount")?,
        signature: signature(said, "voucher.signature", "the payer's authoriser")?,
    };
    match text(payload, "type")? {
        "voucher" => Ok(BatchPayload::Voucher { channel, voucher }),
        "deposit" => Ok(BatchPayload::Deposit { channel, voucher, deposit: deposit(object(payload, "deposit")?)? }),
        "refund" => {
            let amount = payload.contains_key("amount").then(|| amount(payload, "amount")).transpose()?;
            Ok(BatchPayload::Refund { channel, voucher, amount })
        }
        "receipt" => Ok(BatchPayload::Receipt { channel, voucher }),
        _ => Err(MALFORMED),
    }
}

pub(super) fn write(payload: &BatchPayload) -> Value {
    let channel = payload.channel();
    let mut object = Map::new();
    let kind = match payload {
        BatchPayload::Deposit { .. } => "deposit",
        BatchPayload::Voucher { .. } => "voucher",
        BatchPayload::Refund { .. } => "refund",
        BatchPayload::Receipt { .. } => "receipt",
    };
    object.insert("type".to_owned(), kind.into());
    object.insert(
        "channelConfig".to_owned(),
        json!({
            "payer": channel.payer.to_string(),
            "payerAuthorizer": channel.payerAuthorizer.to_string(),
            "receiver": channel.receiver.to_string(),
            "receiverAuthorizer": channel.receiverAuthorizer.to_string(),
            "token": channel.token.to_string(),
            "withdrawDelay": channel.withdrawDelay.to::<u64>(),
            "salt": channel.salt.to_string(),
        }),
    );
    let voucher = payload.voucher();
    object.insert(
        "voucher".to_owned(),
        json!({
            "channelId": voucher.channel_id.to_string(),
            "maxClaimableAmount": voucher.max_claimable.units().to_string(),
            "signature": voucher.signature.to_string(),
        }),
    );
    match payload {
        BatchPayload::Deposit { deposit, .. } => {
            let authorization = json!({
                "validAfter": deposit.terms.valid_after.as_secs().to_string(),
                "validBefore": deposit.terms.valid_before.as_secs().to_string(),
                "salt": B256::from(deposit.terms.salt).to_string(),
                "signature": deposit.signature.to_string(),
            });
            let authorization = json!({ "erc3009Authorization": authorization });
            let deposit = json!({ "amount": deposit.terms.amount.units().to_string(), "authorization": authorization });
            object.insert("deposit".to_owned(), deposit);
        }
        BatchPayload::Refund { amount: Some(amount), .. } => {
            object.insert("amount".to_owned(), amount.units().to_string().into());
        }
        BatchPayload::Voucher { .. } | BatchPayload::Refund { amount: None, .. } | BatchPayload::Receipt { .. } => {}
    }
    Value::Object(object)
}

fn channel(said: &Map<String, Value>) -> Result<ChannelConfig, X402Error> {
    let delay = said.get("withdrawDelay").and_then(Value::as_u64).ok_or(MALFORMED)?;
    Ok(ChannelConfig {
        payer: parsed(said, "payer")?,
        payerAuthorizer: parsed(said, "payerAuthorizer")?,
        receiver: parsed(said, "receiver")?,
        receiverAuthorizer: parsed(said, "receiverAuthorizer")?,
        token: parsed(said, "token")?,
        withdrawDelay: U40::try_from(delay).map_err(|_| MALFORMED)?,
        salt: parsed(said, "salt")?,
    })
}

fn deposit(said: &Map<String, Value>) -> Result<Deposit, X402Error> {
    let authorization = object(object(said, "authorization")?, "erc3009Authorization")
        .map_err(|_| X402Error::Mismatch { field: "assetTransferMethod" })?;
    Ok(Deposit {
        terms: DepositTerms {
            amount: amount(said, "amount")?,
            valid_after: seconds(authorization, "validAfter")?,
            valid_before: seconds(authorization, "validBefore")?,
            salt: parsed::<U256>(authorization, "salt")?,
        },
        signature: signature(authorization, "deposit.signature", "the payer")?,
    })
}

fn object<'a>(within: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, X402Error> {
    within.get(name).and_then(Value::as_object).ok_or(MALFORMED)
}

fn text<'a>(within: &'a Map<String, Value>, name: &str) -> Result<&'a str, X402Error> {
    within.get(name).and_then(Value::as_str).ok_or(MALFORMED)
}

/// `0x` and hexadecimal digits, in either case.
fn parsed<T: FromStr>(within: &Map<String, Value>, name: &str) -> Result<T, X402Error> {
    let text = text(within, name)?;
    if text.starts_with("0x") { text.parse().map_err(|_| MALFORMED) } else { Err(MALFORMED) }
}

fn number(within: &Map<String, Value>, name: &str) -> Result<Option<u64>, X402Error> {
    let digits = text(within, name)?;
    let canonical = digits.len() == 1 || !digits.starts_with('0');
    if !canonical || !(1..=78).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    Ok(digits.parse().ok())
}

fn amount(within: &Map<String, Value>, name: &str) -> Result<Usdc, X402Error> {
    number(within, name)?.map(Usdc::from_units).ok_or(X402Error::BadAmount)
}

fn seconds(within: &Map<String, Value>, name: &str) -> Result<Timestamp, X402Error> {
    // a time beyond 64 bits is as good as never
    Ok(number(within, name)?.map_or(Timestamp::MAX, Timestamp::from_secs))
}

fn signature(within: &Map<String, Value>, field: &'static str, by: &'static str) -> Result<EvmSignature, X402Error> {
    let text = text(within, "signature")?;
    text.parse().map_err(|_| X402Error::BadSignature { field, by })
}
