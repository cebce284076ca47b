//! Pays for a URL with r402's own reqwest middleware.
//!
//! Printed is one line of JSON, the same as ../x402-js/client.mjs prints. It fails, with the reason, if a request was
//! not paid for: what was seen until then is printed all the same.

use std::sync::{Arc, Mutex};

use alloy_signer_local::PrivateKeySigner;
use r402_client::{
    AllowedAssets, ClientHooks, CreatedPayment, PaymentCreationContext, SpendControlAsset, SpendControls,
};
use r402_evm::{Eip155BatchSettlementClient, Eip155ExactClient};
use r402_http::{PAYMENT_REQUIRED, PAYMENT_RESPONSE, WithPayments, X402Client};
use r402_protocol::payment::{Base64Bytes, PaymentRequired, SettleResponse};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Asked, Problem};

/// Remembers the payment that goes out, so that a test can send it again.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Option<String>>>);

impl Sent {
    fn put(&self, payment: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner), payment)
    }
}

impl ClientHooks for Sent {
    async fn after_payment_creation(&self, _: &PaymentCreationContext, created: &CreatedPayment) {
        self.put(Some(created.signed_payload.clone()));
    }
}

pub(crate) async fn run(asked: &Asked) -> Result<(), Problem> {
    let url = asked.word.as_deref().ok_or("a URL is needed")?;
    let method: reqwest::Method = asked.get("method").unwrap_or("GET").parse()?;
    let times: usize = asked.get("times").unwrap_or("1").parse()?;
    let signer: PrivateKeySigner = std::env::var("KEY")?.parse()?;
    let payer = signer.address();
    let sent = Sent::default();
    let token = SpendControlAsset {
        network: asked.network().parse()?,
        asset: asked.need("asset")?.into(),
        max_amount_per_payment: None,
    };
    let controls = SpendControls { allowed_assets: AllowedAssets::List(vec![token]), ..SpendControls::default() };
    let x402 = X402Client::new().with_spend_controls(controls).with_hook(sent.clone());
    let signer = Arc::new(signer);
    let x402 = match asked.get("scheme").unwrap_or("exact") {
        "exact" => x402.register(Eip155ExactClient::new(signer)),
        "batch-settlement" => x402.register(Eip155BatchSettlementClient::new(signer)),
        other => return Err(format!("no scheme {other}").into()),
    };
    let http = reqwest::Client::builder().no_proxy().build()?.with_payments(x402);

    let mut paid = Vec::new();
    let mut problem = None;
    while paid.len() < times && problem.is_none() {
        let mut request = http.request(method.clone(), url);
        if let Some(body) = asked.get("body") {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let settled: Option<SettleResponse> = header(answer.headers(), PAYMENT_RESPONSE)?;
        let required: Option<PaymentRequired> = header(answer.headers(), PAYMENT_REQUIRED)?;
        let is_paid = status.is_success() && settled.as_ref().is_some_and(SettleResponse::is_success);
        let seen = json!({
            "status": status.as_u16(),
            "body": answer.text().await?,
            "settled": settled,
            "required": required,
            "sent": sent.put(None),
        });
        if !is_paid {
            let words = [&seen["required"]["error"], &seen["settled"]["errorReason"]].map(ToString::to_string);
            problem = Some(format!("not paid, status {status}: {}", words.join(", ")));
        }
        paid.push(seen);
    }
    println!("{}", json!({"payer": payer, "paid": paid}));
    problem.map_or(Ok(()), |problem| Err(problem.into()))
}

/// A header of the answer as r402 reads it. One that it cannot read is an error, not an absence.
fn header<T: DeserializeOwned + Serialize>(headers: &HeaderMap, name: &str) -> Result<Option<T>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let bytes = Base64Bytes::from(value.as_bytes()).decode()?;
    let read = serde_json::from_slice(&bytes).map_err(|cause| {
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        format!("r402 cannot read {name}: {cause}: {said}")
    });
    Ok(Some(read?))
}
