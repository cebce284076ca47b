//! What two endpoints must say alike to say the same: the parts of an answer that the chain fixes.

use std::collections::BTreeMap;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket, ResponsePayload};
use serde_json::Value;

/// What kind of question a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// A signed transaction on its way: it goes to everybody.
    Send,
    /// The newest block.
    Latest,
    /// The block of a number: has one answer for ever, but for reorganisations.
    Block,
    /// What became of a transaction.
    Receipt,
    /// Events of a range of blocks.
    Logs,
    /// State at the newest block, which may differ for a moment.
    State,
    /// Prices, estimates, pools: everybody's own opinion.
    Opinion,
}

impl Question {
    pub(crate) fn of(request: &RequestPacket) -> Self {
        let Some(single) = request.as_single() else { return Self::Opinion };
        let params = || single.params().map(|raw| raw.get()).unwrap_or_default();
        match single.method() {
            "eth_sendRawTransaction" => Self::Send,
            "eth_getBlockByNumber" if params().contains("\"latest\"") => Self::Latest,
            "eth_getBlockByNumber" => Self::Block,
            "eth_getTransactionReceipt" => Self::Receipt,
            "eth_getLogs" => Self::Logs,
            "eth_call" | "eth_getBalance" | "eth_getCode" => Self::State,
            "eth_getTransactionCount" if !params().contains("\"pending\"") => Self::State,
            _ => Self::Opinion,
        }
    }

    /// Whether two endpoints that know the same blocks can only give one answer to it.
    pub(crate) const fn is_fixed(self) -> bool {
        matches!(self, Self::Block | Self::Receipt | Self::Logs)
    }

    /// Whether it is worth asking more than one endpoint.
    pub(crate) const fn is_voted(self) -> bool {
        matches!(self, Self::Block | Self::Receipt | Self::Logs | Self::State)
    }
}

/// What an endpoint said, reduced to what the chain fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It does not know such a thing, perhaps not yet.
    Nothing,
    /// This.
    This(String),
}

/// Reduces an answer; `None` if it is no answer to the question.
pub(crate) fn said(question: Question, answer: &ResponsePacket) -> Option<Said> {
    let ResponsePacket::Single(response) = answer else { return None };
    let value: Value = match &response.payload {
        ResponsePayload::Success(raw) => serde_json::from_str(raw.get()).ok()?,
        ResponsePayload::Failure(payload) => {
            let data = payload.as_revert_data();
            let reverted = data.is_some() || payload.message.contains("revert");
            return reverted.then(|| Said::This(format!("reverted:{}", data.unwrap_or_default())));
        }
    };
    if value.is_null() {
        return Some(Said::Nothing);
    }
    let fixed = match question {
        Question::Block | Question::Latest => pick(&value, &["number", "hash", "parentHash", "timestamp"])?,
        Question::Receipt => {
            let place = pick(&value, &["transactionHash", "blockHash", "blockNumber", "gasUsed"])?;
            let status = text(value.get("status"));
            format!("{place}|{status}|{}", events(value.get("logs")?, &["address", "topics", "data"])?)
        }
        Question::Logs => events(&value, &["blockHash", "transactionHash", "logIndex", "address", "topics", "data"])?,
        Question::State | Question::Send | Question::Opinion => value.to_string().to_ascii_lowercase(),
    };
    Some(Said::This(fixed))
}

/// Number and hash of the block an answer holds.
pub(crate) fn head(answer: &ResponsePacket) -> Option<(u64, String)> {
    let ResponsePacket::Single(response) = answer else { return None };
    let ResponsePayload::Success(raw) = &response.payload else { return None };
    let block: Value = serde_json::from_str(raw.get()).ok()?;
    let number = block.get("number")?.as_str()?.strip_prefix("0x")?;
    Some((u64::from_str_radix(number, 16).ok()?, text(block.get("hash"))))
}

/// The endpoint's words, if it refused for a reason of its own: nothing that the chain or the sender has to do with.
pub(crate) fn own_trouble(answer: &ResponsePacket) -> Option<String> {
    let ResponsePacket::Single(response) = answer else { return None };
    let ResponsePayload::Failure(payload) = &response.payload else { return None };
    let message = payload.message.to_ascii_lowercase();
    let about_us = ["revert", "insufficient funds", "nonce", "already known", "underpriced", "gas", "invalid"];
    let ours = payload.as_revert_data().is_some() || about_us.iter().any(|word| message.contains(word));
    // -32600 to -32602 and "more than" limits are about the request: everybody would say so
    let request = matches!(payload.code, -32_602..=-32_600) || payload.code == 3;
    (!ours && !request).then_some(message)
}

fn text(value: Option<&Value>) -> String {
    value.map(|value| value.to_string().to_ascii_lowercase()).unwrap_or_default()
}

fn pick(value: &Value, fields: &[&str]) -> Option<String> {
    value.get("hash").or_else(|| value.get("blockHash"))?;
    Some(fields.iter().map(|field| text(value.get(field))).collect::<Vec<_>>().join("|"))
}

fn events(value: &Value, fields: &[&str]) -> Option<String> {
    let mut sorted = BTreeMap::new();
    for (index, log) in value.as_array()?.iter().enumerate() {
        let place = (text(log.get("blockNumber")), text(log.get("logIndex")), index);
        sorted.insert(place, fields.iter().map(|field| text(log.get(field))).collect::<Vec<_>>().join("|"));
    }
    Some(sorted.into_values().collect::<Vec<_>>().join("\n"))
}
